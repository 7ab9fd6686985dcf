//! How many pulls, and how many starts, the device bears at once, and who waits for a place. Pure.

use std::collections::{BTreeMap, VecDeque};

use super::run::Doing;
use crate::clock::Monotonic;
use crate::messages::CommandId;
use crate::workload::WorkloadName;

/// The budget. Pulls and starts have places of their own: a registry that hangs must not keep a
/// pod from its restart.
#[derive(Debug)]
pub(super) struct StartBudget {
    pulls: Places,
    starts: Places,
}

impl StartBudget {
    /// Returns a budget of `limit` pulls and `limit` starts, at least 1 of each.
    pub(super) fn new(limit: usize) -> Self {
        Self { pulls: Places::new(limit), starts: Places::new(limit) }
    }

    /// Returns whether `name` may do that now; if not, it waits its turn.
    pub(super) fn admits(&mut self, name: &WorkloadName, doing: Doing) -> bool {
        self.places(doing).is_none_or(|places| places.admits(name))
    }

    /// Notes that a command was sent.
    pub(super) fn spend(&mut self, command: CommandId, doing: Doing, until: Monotonic) {
        if let Some(places) = self.places(doing) {
            places.under_way.insert(command, until);
        }
    }

    /// Notes that a command was answered.
    pub(super) fn release(&mut self, command: CommandId) {
        for places in [&mut self.pulls, &mut self.starts] {
            places.under_way.remove(&command);
        }
    }

    /// Notes what `name` wants now: it waits for no other place.
    pub(super) fn wants(&mut self, name: &WorkloadName, doing: Option<Doing>) {
        if doing != Some(Doing::Pulling) {
            self.pulls.withdraw(name);
        }
        if doing != Some(Doing::Starting) {
            self.starts.withdraw(name);
        }
    }

    /// Returns the jobs whose turn it is: as many as there is room for.
    pub(super) fn called(&mut self, now: Monotonic) -> Vec<WorkloadName> {
        [&mut self.pulls, &mut self.starts].into_iter().flat_map(|it| it.called(now)).collect()
    }

    /// Returns when a place falls free though no answer comes; matters only while some wait.
    pub(super) fn next_alarm(&self) -> Option<Monotonic> {
        [&self.pulls, &self.starts].into_iter().filter_map(Places::next_alarm).min()
    }

    /// Forgets who waits.
    pub(super) fn clear_waiting(&mut self) {
        for places in [&mut self.pulls, &mut self.starts] {
            places.waiting.clear();
        }
    }

    fn places(&mut self, doing: Doing) -> Option<&mut Places> {
        match doing {
            Doing::Pulling => Some(&mut self.pulls),
            Doing::Starting => Some(&mut self.starts),
            Doing::Limiting | Doing::Stopping | Doing::Suspending => None,
        }
    }
}

/// The places of one kind of command. Those that wait are served in order of arrival.
#[derive(Debug)]
struct Places {
    limit: usize,
    /// Commands under way, and until when each counts though no answer comes.
    under_way: BTreeMap<CommandId, Monotonic>,
    /// Each stays in it until it is served or wants something else.
    waiting: VecDeque<WorkloadName>,
}

impl Places {
    fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), under_way: BTreeMap::new(), waiting: VecDeque::new() }
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.under_way.len())
    }

    fn admits(&mut self, name: &WorkloadName) -> bool {
        let place = self.waiting.iter().position(|other| other == name);
        let is_admitted = place.unwrap_or(self.waiting.len()) < self.room();
        match place {
            Some(place) if is_admitted => drop(self.waiting.remove(place)),
            None if !is_admitted => self.waiting.push_back(name.clone()),
            Some(_) | None => {}
        }
        is_admitted
    }

    fn withdraw(&mut self, name: &WorkloadName) {
        self.waiting.retain(|other| other != name);
    }

    fn called(&mut self, now: Monotonic) -> Vec<WorkloadName> {
        self.under_way.retain(|_, until| *until > now);
        self.waiting.iter().take(self.room()).cloned().collect()
    }

    fn next_alarm(&self) -> Option<Monotonic> {
        if self.waiting.is_empty() { None } else { self.under_way.values().min().copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[WorkloadName]) -> Vec<&str> {
        names.iter().map(WorkloadName::as_str).collect()
    }

    #[test]
    fn pulls_and_starts_have_places_of_their_own() {
        let mut budget = StartBudget::new(1);
        let now = Monotonic::default();
        assert!(budget.admits(&"a".into(), Doing::Pulling));
        budget.spend(CommandId(1), Doing::Pulling, now + std::time::Duration::from_secs(1));
        assert!(!budget.admits(&"b".into(), Doing::Pulling));
        assert!(budget.admits(&"c".into(), Doing::Starting));
        assert!(budget.called(now).is_empty());
        budget.release(CommandId(1));
        assert_eq!(names(&budget.called(now)), ["b"]);
    }

    #[test]
    fn nobody_overtakes_those_that_wait() {
        let mut budget = StartBudget::new(1);
        let now = Monotonic::default();
        budget.spend(CommandId(1), Doing::Starting, now + std::time::Duration::from_secs(1));
        for name in ["z", "y"] {
            assert!(!budget.admits(&name.into(), Doing::Starting));
        }
        budget.release(CommandId(1));
        assert!(!budget.admits(&"a".into(), Doing::Starting));
        assert!(!budget.admits(&"y".into(), Doing::Starting));
        assert_eq!(names(&budget.called(now)), ["z"]);
        budget.wants(&"z".into(), None);
        assert_eq!(names(&budget.called(now)), ["y"], "it was its place, and it wants it no more");
        assert!(budget.admits(&"y".into(), Doing::Starting));
    }
}
