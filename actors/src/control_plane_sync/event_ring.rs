//! The last events: those that no heartbeat has taken yet, or all.

use std::collections::VecDeque;

use crate::workload::Event;

/// Events that are kept.
const CAPACITY: usize = 200;

/// A queue that drops its oldest events first.
#[derive(Debug, Default)]
pub(crate) struct EventRing {
    events: VecDeque<Event>,
}

impl EventRing {
    /// Adds the newest event.
    pub(crate) fn push(&mut self, event: Event) {
        self.events.push_back(event);
        self.trim();
    }

    /// Takes all of them, oldest first.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        self.events.drain(..).collect()
    }

    /// Puts events back that could not be delivered; they are older than those that came since.
    pub(crate) fn put_back(&mut self, events: Vec<Event>) {
        for event in events.into_iter().rev() {
            self.events.push_front(event);
        }
        self.trim();
    }

    /// Returns all of them, oldest first, and keeps them.
    pub(crate) fn all(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }

    fn trim(&mut self) {
        let surplus = self.events.len().saturating_sub(CAPACITY);
        self.events.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::workload::EventReason;

    fn event(number: usize) -> Event {
        Event::new(EventReason::WorkloadStarted, None, number.to_string(), DateTime::UNIX_EPOCH)
    }

    fn messages(ring: &mut EventRing) -> Vec<String> {
        ring.take().into_iter().map(|event| event.message).collect()
    }

    #[test]
    fn the_oldest_event_goes_first_when_there_are_too_many() {
        let mut ring = EventRing::default();
        (0..=CAPACITY).for_each(|number| ring.push(event(number)));
        let messages = messages(&mut ring);
        assert_eq!(messages.len(), CAPACITY);
        assert_eq!(messages.first().map(String::as_str), Some("1"));
    }

    #[test]
    fn events_that_were_put_back_stand_before_newer_ones() {
        let mut ring = EventRing::default();
        ring.push(event(1));
        ring.push(event(2));
        let taken = ring.take();
        ring.push(event(3));
        ring.put_back(taken);
        assert_eq!(messages(&mut ring), ["1", "2", "3"]);
    }
}
