//! How many pulls, and how many starts, the device bears at once, and who waits for a place. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Monotonic;
use crate::messages::{ActionKind, CommandId};
use crate::workload::{ExecutorKind, WorkloadName};

/// What takes a place: a pull or a start, on this runtime.
pub(super) type Work = (ExecutorKind, ActionKind);

/// The budget. Pulls and starts have places of their own: a registry that hangs must not keep a
/// pod from its restart. So has each runtime: a user's podman that hangs must not keep root's pods.
#[derive(Debug)]
pub(super) struct StartBudget {
    places: Vec<(Work, Places)>,
}

impl StartBudget {
    /// Returns a budget of `limit` pulls and `limit` starts on each runtime, at least 1 of each.
    pub(super) fn new(limit: usize) -> Self {
        let works = ExecutorKind::ALL.into_iter().flat_map(|executor| {
            [ActionKind::Pull, ActionKind::Start].map(|kind| (executor, kind))
        });
        Self { places: works.map(|work| (work, Places::new(limit))).collect() }
    }

    /// Returns whether `name` may do that now; if not, it waits its turn.
    pub(super) fn admits(&mut self, name: &WorkloadName, work: Work) -> bool {
        self.places(work).is_none_or(|places| places.admits(name))
    }

    /// Notes that a command was sent.
    pub(super) fn spend(&mut self, command: CommandId, work: Work, until: Monotonic) {
        if let Some(places) = self.places(work) {
            places.under_way.insert(command, until);
        }
    }

    /// Notes that a command was answered.
    pub(super) fn release(&mut self, command: CommandId) {
        for (_, places) in &mut self.places {
            places.under_way.remove(&command);
        }
    }

    /// Notes what `name` wants now: it waits for no other place.
    pub(super) fn wants(&mut self, name: &WorkloadName, wanted: Option<Work>) {
        for (work, places) in &mut self.places {
            if Some(*work) != wanted {
                places.withdraw(name);
            }
        }
    }

    /// Returns the jobs whose turn it is: as many as there is room for.
    pub(super) fn called(&mut self, now: Monotonic) -> Vec<WorkloadName> {
        self.places.iter_mut().flat_map(|(_, places)| places.called(now)).collect()
    }

    /// Returns when a place falls free though no answer comes; matters only while some wait.
    pub(super) fn next_alarm(&self) -> Option<Monotonic> {
        self.places.iter().filter_map(|(_, places)| places.next_alarm()).min()
    }

    /// Forgets who waits.
    pub(super) fn clear_waiting(&mut self) {
        for (_, places) in &mut self.places {
            places.waiting.clear();
        }
    }

    /// Returns the places for `work`; `None` for what takes none.
    fn places(&mut self, work: Work) -> Option<&mut Places> {
        self.places.iter_mut().find(|(of, _)| *of == work).map(|(_, places)| places)
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

    const PULL: Work = (ExecutorKind::PodmanRootful, ActionKind::Pull);
    const START: Work = (ExecutorKind::PodmanRootful, ActionKind::Start);

    fn names(names: &[WorkloadName]) -> Vec<&str> {
        names.iter().map(WorkloadName::as_str).collect()
    }

    #[test]
    fn pulls_and_starts_have_places_of_their_own() {
        let mut budget = StartBudget::new(1);
        let now = Monotonic::default();
        assert!(budget.admits(&"a".into(), PULL));
        budget.spend(CommandId(1), PULL, now + std::time::Duration::from_secs(1));
        assert!(!budget.admits(&"b".into(), PULL));
        assert!(budget.admits(&"c".into(), START));
        assert!(budget.called(now).is_empty());
        budget.release(CommandId(1));
        assert_eq!(names(&budget.called(now)), ["b"]);
    }

    #[test]
    fn a_runtime_that_hangs_takes_no_place_of_another() {
        let mut budget = StartBudget::new(1);
        let until = Monotonic::default() + std::time::Duration::from_secs(1);
        for (command, work) in [(1, PULL), (2, START)] {
            budget.spend(CommandId(command), (ExecutorKind::PodmanRootless, work.1), until);
            assert!(!budget.admits(&"a".into(), (ExecutorKind::PodmanRootless, work.1)));
            assert!(budget.admits(&"b".into(), work));
        }
    }

    #[test]
    fn nobody_overtakes_those_that_wait() {
        let mut budget = StartBudget::new(1);
        let now = Monotonic::default();
        budget.spend(CommandId(1), START, now + std::time::Duration::from_secs(1));
        for name in ["z", "y"] {
            assert!(!budget.admits(&name.into(), START));
        }
        budget.release(CommandId(1));
        assert!(!budget.admits(&"a".into(), START));
        assert!(!budget.admits(&"y".into(), START));
        assert_eq!(names(&budget.called(now)), ["z"]);
        budget.wants(&"z".into(), None);
        assert_eq!(names(&budget.called(now)), ["y"], "it was its place, and it wants it no more");
        assert!(budget.admits(&"y".into(), START));
    }
}
