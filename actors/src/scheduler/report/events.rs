//! The events of one turn, collected until the actor sends them. Pure.

use chrono::{DateTime, Utc};

use crate::workload::{Event, EventReason, WorkloadName};

/// Collects events.
#[derive(Debug, Default)]
pub(crate) struct EventBuffer {
    at: DateTime<Utc>,
    events: Vec<Event>,
}

impl EventBuffer {
    /// Sets the time of the events to come.
    pub(crate) fn set_time(&mut self, at: DateTime<Utc>) {
        self.at = at;
    }

    /// Adds an event.
    pub(crate) fn add(&mut self, reason: EventReason, workload: &WorkloadName, message: String) {
        self.events.push(Event::new(reason, Some(workload.clone()), message, self.at));
    }

    /// Adds an event that is about no workload.
    pub(crate) fn add_of_device(&mut self, reason: EventReason, message: String) {
        self.events.push(Event::new(reason, None, message, self.at));
    }

    /// Returns what was collected and forgets it.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}
