//! Updates: specifications that have not proved themselves, and what comes back if they do not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Workload, WorkloadId, WorkloadName};
use crate::clock::is_set;

/// A specification that has not proved itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// Its identity.
    pub successor: WorkloadId,
    /// What comes back if it fails: the last one that proved itself; `None` if there never was one.
    pub previous: Option<Arc<Workload>>,
    /// Why it failed, once it has.
    pub failure: Option<String>,
    /// When it came, by the wall clock: for how long it has waited for its gate is known across restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_at: Option<DateTime<Utc>>,
}

/// Returns how long ago something came, as far as wall clocks can be believed: one that was not set says
/// nothing.
pub(crate) fn age(came_at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    let age = Some(now - came_at).filter(|_| is_set(came_at));
    age.and_then(|age| age.to_std().ok()).unwrap_or_default()
}

/// What has become of a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It proved itself, so nothing comes back any more.
    Proved,
    /// It failed, so what it replaced is in force.
    Failed {
        /// Why, in plain words.
        reason: String,
    },
}

/// All updates of a configuration that are open or have failed: a workload that is not among them runs a
/// specification that has proved itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Updates(pub BTreeMap<WorkloadName, Update>);

impl Updates {
    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the update that `workload` is, if it has not proved itself.
    #[must_use]
    pub fn of(&self, workload: &Workload) -> Option<&Update> {
        self.0.get(&workload.name).filter(|update| update.successor == workload.id)
    }

    /// Returns what may come back, in order of name.
    pub fn previous(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.0.values().filter_map(|update| update.previous.as_ref())
    }

    /// Returns the updates once `new` replaces the workloads `old`, which these are the updates of.
    #[must_use]
    pub fn after(&self, old: &[Arc<Workload>], new: &[Arc<Workload>]) -> Self {
        let old: BTreeMap<_, _> = old.iter().map(|old| (&old.name, old)).collect();
        let of = |new: &Arc<Workload>| {
            let update = self.next(old.get(&new.name).copied(), new)?;
            Some((new.name.clone(), update))
        };
        Self(new.iter().filter_map(of).collect())
    }

    /// Returns what replacing `old` by `new` is: no update if that has proved itself.
    fn next(&self, old: Option<&Arc<Workload>>, new: &Workload) -> Option<Update> {
        let open = old.and_then(|old| self.of(old));
        if old.is_some_and(|old| old.id == new.id) {
            return open.cloned();
        }
        let previous = match open {
            // What never proved itself is nothing to come back to.
            Some(open) => open.previous.as_ref(),
            None => old,
        };
        if previous.is_some_and(|previous| previous.id == new.id) {
            return None;
        }
        let (successor, previous) = (new.id.clone(), previous.cloned());
        Some(Update { successor, previous, failure: None, came_at: None })
    }

    /// Dates those that have just come.
    pub fn date(&mut self, now: DateTime<Utc>) {
        for update in self.0.values_mut() {
            update.came_at.get_or_insert(now);
        }
    }

    /// Notes what has become of specifications; returns whether that is news.
    pub fn note(&mut self, outcomes: &BTreeMap<WorkloadId, Outcome>) -> bool {
        let before = self.0.len();
        self.0.retain(|_, update| outcomes.get(&update.successor) != Some(&Outcome::Proved));
        let mut is_news = self.0.len() != before;
        for update in self.0.values_mut().filter(|update| update.failure.is_none()) {
            if let Some(Outcome::Failed { reason }) = outcomes.get(&update.successor) {
                update.failure = Some(reason.clone());
                is_news = true;
            }
        }
        is_news
    }

    /// Leaves what is open with nothing to come back to, if it fails.
    pub fn forget_previous_of_open(&mut self) {
        for update in self.0.values_mut().filter(|update| update.failure.is_none()) {
            update.previous = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workloads::workload;

    fn web(version: u8) -> Arc<Workload> {
        workload("web").image(&format!("localhost/web:{version}")).build()
    }

    /// Returns an update to the version, from the other.
    fn update(to: u8, from: Option<u8>, failure: Option<&str>) -> Updates {
        let update = Update {
            successor: web(to).id.clone(),
            previous: from.map(web),
            failure: failure.map(str::to_owned),
            came_at: None,
        };
        Updates([("web".into(), update)].into())
    }

    #[test]
    fn what_comes_back_is_the_last_that_proved_itself() {
        let none = Updates::default();
        for (what, open, old, new, expected) in [
            ("the first", none.clone(), None, 1, update(1, None, None)),
            ("of one that proved itself", none.clone(), Some(1), 2, update(2, Some(1), None)),
            ("none", none.clone(), Some(1), 1, none.clone()),
            ("repeated", update(2, Some(1), None), Some(2), 2, update(2, Some(1), None)),
            ("failed", update(2, Some(1), Some("x")), Some(2), 2, update(2, Some(1), Some("x"))),
            ("back", update(2, Some(1), Some("x")), Some(2), 1, none.clone()),
            ("on to a third", update(2, Some(1), Some("x")), Some(2), 3, update(3, Some(1), None)),
            ("of one that never ran", update(1, None, None), Some(1), 2, update(2, None, None)),
        ] {
            let old: Vec<_> = old.map(web).into_iter().collect();
            assert_eq!(open.after(&old, &[web(new)]), expected, "{what}");
        }
        assert_eq!(update(2, Some(1), None).after(&[web(2)], &[]), none, "it is gone");
    }

    #[test]
    fn an_outcome_is_news_once_and_only_of_the_specification_that_it_is_about() {
        let failed = Outcome::Failed { reason: "x".to_owned() };
        let again = Outcome::Failed { reason: "y".to_owned() };
        for (version, outcome, is_news, expected) in [
            (2, Outcome::Proved, true, Updates::default()),
            (2, failed.clone(), true, update(2, Some(1), Some("x"))),
            (1, Outcome::Proved, false, update(2, Some(1), None)),
            (3, failed.clone(), false, update(2, Some(1), None)),
        ] {
            let mut updates = update(2, Some(1), None);
            let outcomes = [(web(version).id.clone(), outcome)].into();
            assert_eq!((updates.note(&outcomes), &updates), (is_news, &expected), "{version}");
            assert!(!updates.note(&outcomes));
        }
        let mut updates = update(2, Some(1), Some("x"));
        assert!(!updates.note(&[(web(2).id.clone(), again)].into()));
    }

    #[test]
    fn the_age_of_an_update_is_as_old_as_a_clock_that_was_set_says() {
        let at = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let mut updates = update(2, Some(1), None);
        let age = |updates: &Updates, now| {
            age(updates.of(&web(2)).unwrap().came_at.unwrap(), now).as_secs()
        };
        updates.date(at(0));
        updates.date(at(50));
        assert_eq!([0, 90, -90].map(|now| age(&updates, at(now))), [0, 90, 0]);
        let mut unset = update(2, Some(1), None);
        unset.date(DateTime::from_timestamp(60, 0).unwrap());
        assert_eq!(age(&unset, at(0)), 0, "it came in 1970");
    }
}
