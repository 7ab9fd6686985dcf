//! Events that a decision gives rise to, collected until the actor sends them. Pure.

use chrono::{DateTime, Utc};

use crate::workload::{Event, EventKind, WorkloadName};

/// Collects events.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    at: DateTime<Utc>,
    events: Vec<Event>,
}

impl Notices {
    /// Sets the time of the events to come.
    pub(crate) fn set_time(&mut self, at: DateTime<Utc>) {
        self.at = at;
    }

    /// Adds something that happened as it should.
    pub(crate) fn normal(
        &mut self,
        reason: &'static str,
        workload: &WorkloadName,
        message: String,
    ) {
        self.add(EventKind::Normal, reason, workload, message);
    }

    /// Adds something that needs attention.
    pub(crate) fn warn(&mut self, reason: &'static str, workload: &WorkloadName, message: String) {
        self.add(EventKind::Warn, reason, workload, message);
    }

    /// Returns what was collected and forgets it.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn add(
        &mut self,
        kind: EventKind,
        reason: &'static str,
        workload: &WorkloadName,
        message: String,
    ) {
        let workload = Some(workload.clone());
        self.events.push(Event { kind, reason, workload, message, at: self.at });
    }
}
