//! Which jobs have to be planned now, and which later though nothing happens. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Monotonic;
use crate::workload::WorkloadName;

/// Jobs to plan.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Something happened to them since they were last planned.
    due: BTreeSet<WorkloadName>,
    alarms: BTreeSet<(Monotonic, WorkloadName)>,
    alarm_of: BTreeMap<WorkloadName, Monotonic>,
}

impl Agenda {
    /// Has `name` planned at the next opportunity.
    pub(super) fn plan_now(&mut self, name: &WorkloadName) {
        self.due.insert(name.clone());
    }

    /// Has `name` planned at `at`, in place of what was set before.
    pub(super) fn plan_at(&mut self, name: &WorkloadName, at: Option<Monotonic>) {
        if let Some(old) = self.alarm_of.remove(name) {
            self.alarms.remove(&(old, name.clone()));
        }
        if let Some(at) = at {
            self.alarm_of.insert(name.clone(), at);
            self.alarms.insert((at, name.clone()));
        }
    }

    /// Returns the next job to plan.
    pub(super) fn next_due(&mut self, now: Monotonic) -> Option<WorkloadName> {
        while self.alarms.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, name)) = self.alarms.pop_first() {
                self.alarm_of.remove(&name);
                self.due.insert(name);
            }
        }
        self.due.pop_first()
    }

    /// Returns when the next alarm rings.
    pub(super) fn next_alarm(&self) -> Option<Monotonic> {
        self.alarms.first().map(|(at, _)| *at)
    }
}
