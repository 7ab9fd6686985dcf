//! The configuration in force, and whether an answer replaces it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::Monotonic;
use crate::control_plane_sync::state::deletion_guard::DeletionGuard;
use crate::control_plane_sync::state::store::{with_last_good, with_missing};
use crate::workload::{Configuration, Outcome, Updates, Workload, WorkloadId};

/// Period of all calls until a configuration says otherwise.
const DEFAULT_PERIOD: Duration = Duration::from_secs(60);
/// Shortest period, whatever a configuration says.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adoption {
    /// It says what is in force already.
    Unchanged,
    /// It is in force now.
    Changed,
    /// It would empty the device and is not believed yet.
    Unconfirmed,
}

/// The configuration in force; none before the first.
#[derive(Debug, Default)]
pub(crate) struct Desired {
    current: Option<Configuration>,
    /// It is an older generation than the one that was in force; the source was not heard yet.
    is_outdated: bool,
    empty: DeletionGuard,
}

impl Desired {
    /// Starts with what was kept on the disk.
    pub(crate) fn restored(current: Option<Configuration>, is_outdated: bool) -> Self {
        let trusted = |mut current: Configuration| {
            // What an older generation knows as open may have proved itself since, or may never have run:
            // it is not taken back, and is nothing to come back to.
            if is_outdated {
                current.updates.forget_previous_of_open();
            }
            current
        };
        Self { current: current.map(trusted), is_outdated, empty: DeletionGuard::default() }
    }

    /// Notes what has become of its specifications; returns whether that is to be kept.
    pub(crate) fn note(&mut self, outcomes: &BTreeMap<WorkloadId, Outcome>) -> bool {
        self.current.as_mut().is_some_and(|current| current.updates.note(outcomes))
    }

    /// Dates the updates that have just come.
    pub(crate) fn date_updates(&mut self, now: DateTime<Utc>) {
        if let Some(current) = &mut self.current {
            current.updates.date(now);
        }
    }

    /// Returns the configuration in force.
    pub(crate) const fn current(&self) -> Option<&Configuration> {
        self.current.as_ref()
    }

    /// Returns whether workloads may be wanted that it does not know.
    pub(crate) const fn is_outdated(&self) -> bool {
        self.is_outdated
    }

    /// Returns the time between two calls of one kind.
    pub(crate) fn period(&self) -> Duration {
        let period = self.current.as_ref().map(|it| it.heartbeat_period);
        period.unwrap_or(DEFAULT_PERIOD).max(MIN_PERIOD)
    }

    /// Takes the answer of a server or an empty folder; one that would empty the device must be repeated.
    pub(crate) fn adopt_guarded(&mut self, new: Configuration, now: Monotonic) -> Adoption {
        let is_wipe = is_empty(&new) && !self.current.as_ref().is_some_and(is_empty);
        if is_wipe && !self.empty.confirms(now) {
            return Adoption::Unconfirmed;
        }
        self.adopt(new)
    }

    /// Takes an answer that does not know what `unread` wants.
    pub(crate) fn adopt_partial(&mut self, new: Configuration, unread: &str) -> Adoption {
        let new = with_missing(self.current.as_ref(), new, unread);
        // It stays outdated: what is not read may be what the older generation does not know.
        self.replace(new)
    }

    /// Takes an answer as it is.
    pub(crate) fn adopt(&mut self, new: Configuration) -> Adoption {
        let was_outdated = std::mem::take(&mut self.is_outdated);
        let adoption = self.replace(new);
        if was_outdated { Adoption::Changed } else { adoption }
    }

    fn replace(&mut self, new: Configuration) -> Adoption {
        self.empty.clear();
        let mut new = with_last_good(self.current.as_ref(), new);
        match &mut self.current {
            // What is in force stays: others hold it, too, and so it is in memory once.
            Some(current) if means_the_same(current, &new) => {
                current.version = new.version;
                Adoption::Unchanged
            }
            current => {
                let old = current.as_ref().map_or(&[][..], |old| &old.workloads);
                let updates = current.as_ref().map(|old| old.updates.clone()).unwrap_or_default();
                new.updates = updates.after(old, &new.workloads);
                *current = Some(new);
                Adoption::Changed
            }
        }
    }

    /// Leaves the device without workloads, because it was deleted.
    pub(crate) fn clear(&mut self) {
        let heartbeat_period = self.period();
        self.adopt(Configuration {
            version: None,
            heartbeat_period,
            hardware_in_heartbeat: false,
            objectives: Vec::new(),
            profiles: Vec::new(),
            workloads: Vec::new(),
            rejected: Vec::new(),
            updates: Updates::default(),
        });
    }
}

fn is_empty(configuration: &Configuration) -> bool {
    configuration.workloads.is_empty() && configuration.rejected.is_empty()
}

/// Compares what a source says, but for the version, which the server counts up with each heartbeat.
fn means_the_same(old: &Configuration, new: &Configuration) -> bool {
    old.heartbeat_period == new.heartbeat_period
        && old.hardware_in_heartbeat == new.hardware_in_heartbeat
        && old.profiles == new.profiles
        && old.objectives == new.objectives
        && old.rejected == new.rejected
        && old.workloads.len() == new.workloads.len()
        && old.workloads.iter().zip(&new.workloads).all(|(old, new)| is_same(old, new))
}

/// Mostly a source has taken what is in force already, and nothing needs to be compared.
fn is_same(old: &Arc<Workload>, new: &Arc<Workload>) -> bool {
    Arc::ptr_eq(old, new) || old == new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workloads::workload;
    use crate::workload::{RejectedWorkload, WorkloadName};

    fn configuration(version: &str, rejected: &[&str]) -> Configuration {
        Configuration {
            version: Some(version.to_owned()),
            heartbeat_period: Duration::from_secs(2),
            hardware_in_heartbeat: false,
            objectives: Vec::new(),
            profiles: Vec::new(),
            workloads: Vec::new(),
            rejected: rejected
                .iter()
                .map(|name| RejectedWorkload {
                    name: WorkloadName::from(*name),
                    reason: String::new(),
                })
                .collect(),
            updates: Updates::default(),
        }
    }

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_new_version_alone_changes_nothing() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), false);
        let adoption = desired.adopt_guarded(configuration("2", &["a"]), at(0));
        assert_eq!(adoption, Adoption::Unchanged);
        let version = desired.current().and_then(|it| it.version.as_deref());
        assert_eq!(version, Some("2"));
    }

    #[test]
    fn an_equal_answer_leaves_the_very_workloads_in_force_that_others_hold() {
        let with = |version: &str| Configuration {
            workloads: vec![workload("web").build()],
            ..configuration(version, &[])
        };
        let restored = with("1");
        let mut desired = Desired::restored(Some(restored.clone()), false);
        assert_eq!(desired.adopt_guarded(with("2"), at(0)), Adoption::Unchanged);
        let current = desired.current().unwrap();
        assert!(std::sync::Arc::ptr_eq(&current.workloads[0], &restored.workloads[0]));
    }

    /// Returns a configuration of one workload.
    fn web(image: &str) -> Configuration {
        let workloads = vec![workload("web").image(image).build()];
        Configuration { workloads, ..configuration("1", &[]) }
    }

    /// Returns what comes back if the workload fails that is in force.
    fn previous(desired: &Desired) -> Option<WorkloadId> {
        let updates = &desired.current().unwrap().updates;
        updates.previous().next().map(|previous| previous.id.clone())
    }

    #[test]
    fn an_update_is_open_until_it_has_proved_itself_or_is_taken_back() {
        let mut desired = Desired::restored(Some(web("a:1")), false);
        desired.adopt(web("a:2"));
        let (old, new) = (web("a:1").workloads[0].id.clone(), web("a:2").workloads[0].id.clone());
        assert_eq!(previous(&desired), Some(old.clone()));
        assert_eq!(desired.adopt(web("a:2")), Adoption::Unchanged, "it is no part of an answer");
        assert_eq!(previous(&desired), Some(old.clone()));
        assert!(!desired.note(&[(old, Outcome::Proved)].into()));
        assert!(desired.note(&[(new, Outcome::Proved)].into()));
        assert_eq!(previous(&desired), None);
        desired.adopt(web("a:3"));
        desired.adopt(web("a:2"));
        assert!(desired.current().unwrap().updates.is_empty(), "it had proved itself");
    }

    #[test]
    fn an_older_generation_puts_nothing_in_doubt_and_tries_nothing_first_that_failed() {
        for (failure, is_outdated, comes_back) in
            [(None, false, true), (None, true, false), (Some("it ended".to_owned()), true, true)]
        {
            let mut kept = web("a:2");
            kept.updates = Updates::default().after(&web("a:1").workloads, &kept.workloads);
            kept.updates.0.values_mut().for_each(|update| update.failure.clone_from(&failure));
            let desired = Desired::restored(Some(kept), is_outdated);
            assert_eq!(previous(&desired).is_some(), comes_back, "{failure:?}");
        }
    }

    #[test]
    fn what_an_older_generation_knows_as_open_is_nothing_to_come_back_to() {
        let mut kept = web("a:2");
        kept.updates = Updates::default().after(&[], &kept.workloads);
        let mut desired = Desired::restored(Some(kept), true);
        desired.adopt(web("a:3"));
        assert_eq!(previous(&desired), None);
    }

    #[test]
    fn an_empty_configuration_is_believed_the_third_time() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), false);
        let adoptions = [0, 15, 30].map(|s| desired.adopt_guarded(configuration("2", &[]), at(s)));
        let expected = [Adoption::Unconfirmed, Adoption::Unconfirmed, Adoption::Changed];
        assert_eq!(adoptions, expected);
    }

    #[test]
    fn an_empty_configuration_after_an_empty_one_is_no_wipe() {
        let mut desired = Desired::restored(Some(configuration("1", &[])), false);
        let adoption = desired.adopt_guarded(configuration("2", &[]), at(0));
        assert_eq!(adoption, Adoption::Unchanged);
    }

    #[test]
    fn an_older_generation_is_outdated_until_the_source_is_heard() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), true);
        assert!(desired.is_outdated());
        let doubted = desired.adopt_guarded(configuration("2", &[]), at(0));
        assert_eq!((doubted, desired.is_outdated()), (Adoption::Unconfirmed, true));
        // What it says may be the same: that it is in force is news.
        let adoption = desired.adopt_guarded(configuration("2", &["a"]), at(1));
        assert_eq!((adoption, desired.is_outdated()), (Adoption::Changed, false));
    }

    #[test]
    fn an_older_generation_stays_outdated_while_a_part_of_the_source_is_not_read() {
        let mut desired = Desired::restored(Some(configuration("1", &["a"])), true);
        let adoption = desired.adopt_partial(configuration("2", &["a"]), "b.yaml");
        // Nothing new: it must not be published and stored each period.
        assert_eq!((adoption, desired.is_outdated()), (Adoption::Unchanged, true));
    }

    #[test]
    fn the_period_is_a_minute_until_it_is_known() {
        assert_eq!(Desired::default().period(), DEFAULT_PERIOD);
        let desired = Desired::restored(Some(configuration("1", &[])), false);
        assert_eq!(desired.period(), Duration::from_secs(2));
    }
}
