//! The queues of jobs: those that are due, and those that wait for a place in the start budget. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::clock::Monotonic;
use crate::messages::{ActionKind, CommandId};
use crate::workload::{ExecutorKind, WorkloadName};

/// The jobs to decide about.
#[derive(Debug, Default)]
pub(crate) struct WorkQueue {
    /// Something happened to them since they were last decided about.
    due: BTreeSet<WorkloadName>,
    alarms: BTreeSet<(Monotonic, WorkloadName)>,
    alarm_of: BTreeMap<WorkloadName, Monotonic>,
}

impl WorkQueue {
    /// Makes `name` due.
    pub(crate) fn make_due(&mut self, name: &WorkloadName) {
        self.due.insert(name.clone());
    }

    /// Makes `name` due at `at`, in place of what was set before.
    pub(crate) fn make_due_at(&mut self, name: &WorkloadName, at: Option<Monotonic>) {
        if let Some(old) = self.alarm_of.remove(name) {
            self.alarms.remove(&(old, name.clone()));
        }
        if let Some(at) = at {
            self.alarm_of.insert(name.clone(), at);
            self.alarms.insert((at, name.clone()));
        }
    }

    /// Makes those jobs due whose alarms have come.
    pub(crate) fn ring(&mut self, now: Monotonic) {
        while self.alarms.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, name)) = self.alarms.pop_first() {
                self.alarm_of.remove(&name);
                self.due.insert(name);
            }
        }
    }

    /// Returns the next job that is due.
    pub(crate) fn next_due(&mut self) -> Option<WorkloadName> {
        self.due.pop_first()
    }

    /// Returns when the next alarm comes.
    pub(crate) fn next_alarm(&self) -> Option<Monotonic> {
        self.alarms.first().map(|(at, _)| *at)
    }
}

/// What takes a place: a pull or a start, on this runtime.
pub(crate) type Work = (ExecutorKind, ActionKind);

/// How many pulls, and how many starts, the device bears at once. Each kind has places of its own: a
/// registry that hangs must not keep a pod from its restart. So has each runtime: a user's podman
/// that hangs must not keep root's pods.
#[derive(Debug)]
pub(crate) struct StartBudget {
    places: Vec<(Work, Places)>,
}

impl StartBudget {
    /// Returns a budget of `limit` pulls and `limit` starts on each runtime, at least 1 of each.
    pub(crate) fn new(limit: usize) -> Self {
        let works = ExecutorKind::ALL.into_iter().flat_map(|executor| {
            [ActionKind::Pull, ActionKind::Start].map(|kind| (executor, kind))
        });
        Self { places: works.map(|work| (work, Places::new(limit))).collect() }
    }

    /// Returns whether `name` may do that now: it takes no place, or there is one, and those that
    /// wait leave it one.
    pub(crate) fn has_place(&self, name: &WorkloadName, work: Work) -> bool {
        let places = self.places.iter().find(|(of, _)| *of == work);
        places.is_none_or(|(_, places)| places.has_place(name))
    }

    /// Notes that a command was sent.
    pub(crate) fn spend(&mut self, command: CommandId, work: Work, until: Monotonic) {
        for (_, places) in self.places.iter_mut().filter(|(of, _)| *of == work) {
            places.under_way.insert(command, until);
        }
    }

    /// Notes that a command was answered.
    pub(crate) fn release(&mut self, command: CommandId) {
        for (_, places) in &mut self.places {
            places.under_way.remove(&command);
        }
    }

    /// Notes what `name` waits for a place for; it keeps its turn if it waits already, and waits
    /// for no other.
    pub(crate) fn wait(&mut self, name: &WorkloadName, wanted: Option<Work>) {
        for (work, places) in &mut self.places {
            places.wait(name, Some(*work) == wanted);
        }
    }

    /// Returns the jobs whose turn has come: as many as there is room for.
    pub(crate) fn called(&mut self, now: Monotonic) -> Vec<WorkloadName> {
        self.places.iter_mut().flat_map(|(_, places)| places.called(now)).collect()
    }

    /// Returns when a place falls free though no answer comes; matters only while some wait.
    pub(crate) fn next_alarm(&self) -> Option<Monotonic> {
        self.places.iter().filter_map(|(_, places)| places.next_alarm()).min()
    }

    /// Forgets who waits.
    pub(crate) fn clear_waiting(&mut self) {
        for (_, places) in &mut self.places {
            places.waiting.clear();
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

    fn has_place(&self, name: &WorkloadName) -> bool {
        let turn = self.waiting.iter().position(|other| other == name);
        turn.unwrap_or(self.waiting.len()) < self.room()
    }

    fn wait(&mut self, name: &WorkloadName, waits: bool) {
        let turn = self.waiting.iter().position(|other| other == name);
        match turn {
            Some(turn) if !waits => drop(self.waiting.remove(turn)),
            None if waits => self.waiting.push_back(name.clone()),
            Some(_) | None => {}
        }
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
mod tests;
