//! What the next heartbeat says, and what the status page says of actors and events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use grammar::{printable, shortened};

use crate::clock::Monotonic;
use crate::control_plane_sync::event_ring::EventRing;
use crate::control_plane_sync::server::api::Heartbeat;
use crate::control_plane_sync::server::wire::AgentStatus;
use crate::messages::{ActorHealth, ActorReport, JobsReported};
use crate::workload::{Configuration, Event, ExecutorKind, JobReport};

/// Shortest interval between early heartbeats after changes of status.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Longest message of an event, in characters.
const MAX_MESSAGE: usize = 1_024;

/// Everything that was reported since the last heartbeat, and stands until the next report.
#[derive(Debug, Default)]
pub(crate) struct Status {
    jobs: Arc<[JobReport]>,
    silent_runtimes: BTreeSet<ExecutorKind>,
    events: EventRing,
    /// Those of the heartbeat that is under way: it may not arrive.
    under_way: Vec<Event>,
    /// The last events, taken by a heartbeat or not.
    recent: EventRing,
    actors: BTreeMap<&'static str, ActorReport>,
    knows_hardware: bool,
    has_news: bool,
    last_sent: Option<Monotonic>,
}

impl Status {
    /// Takes the reports on all workloads; returns whether the status of one changed, or whether
    /// every runtime answers that is needed.
    pub(crate) fn report(&mut self, reported: JobsReported) -> bool {
        let JobsReported { jobs, silent_runtimes, .. } = reported;
        let statuses = |jobs: &[JobReport]| {
            jobs.iter().map(|job| (job.workload.clone(), job.status)).collect::<Vec<_>>()
        };
        let is_news = statuses(&jobs) != statuses(&self.jobs)
            || silent_runtimes.is_empty() != self.silent_runtimes.is_empty();
        self.jobs = jobs;
        self.silent_runtimes = silent_runtimes;
        self.has_news |= is_news;
        is_news
    }

    /// Keeps an event for the next heartbeat and for the status page; of its message, which may quote
    /// an untrusted source, no more than can be shown.
    pub(crate) fn record(&mut self, mut event: Event) {
        let message = shortened(&event.message, MAX_MESSAGE);
        event.message = shortened(&printable(&message), MAX_MESSAGE).into_owned();
        self.recent.push(event.clone());
        self.events.push(event);
    }

    /// Takes note of an actor's health.
    pub(crate) fn actor_health(
        &mut self,
        actor: &'static str,
        health: ActorHealth,
        now: DateTime<Utc>,
    ) {
        let failures = self.actors.get(actor).map_or(0, |known| known.failures);
        let failures = match health {
            ActorHealth::Up => failures,
            ActorHealth::Restarting { .. } => failures.saturating_add(1),
        };
        self.actors.insert(actor, ActorReport { health, since: now, failures });
    }

    /// Returns the health of every actor that has reported one.
    pub(crate) const fn actors(&self) -> &BTreeMap<&'static str, ActorReport> {
        &self.actors
    }

    /// Returns the last events, oldest first.
    pub(crate) fn recent_events(&self) -> Vec<Event> {
        self.recent.all()
    }

    /// Returns whether every actor works, and every runtime that is needed.
    fn is_whole(&self) -> bool {
        self.silent_runtimes.is_empty()
            && self.actors.values().all(|actor| actor.health == ActorHealth::Up)
    }

    /// Returns how long a changed status waits, none when nothing changed.
    pub(crate) fn early(&self, now: Monotonic) -> Option<Duration> {
        let since = self.last_sent.map(|sent| now.saturating_since(sent));
        let wait = since.map_or(Duration::ZERO, |since| MIN_INTERVAL.saturating_sub(since));
        self.has_news.then_some(wait)
    }

    /// Takes what the next heartbeat says; `lacks` says that something did not come that the control
    /// plane should have given.
    pub(crate) fn take(
        &mut self,
        configuration: Option<&Configuration>,
        lacks: bool,
        now: Monotonic,
    ) -> Heartbeat {
        self.has_news = false;
        self.last_sent = Some(now);
        self.under_way = self.events.take();
        Heartbeat {
            status: if self.is_whole() && !lacks { AgentStatus::Up } else { AgentStatus::Degraded },
            configuration_version: configuration.and_then(|it| it.version.clone()),
            jobs: Arc::clone(&self.jobs),
            events: self.under_way.clone(),
            with_hardware: !self.knows_hardware
                || configuration.is_some_and(|it| it.hardware_in_heartbeat),
        }
    }

    /// Takes note that a heartbeat arrived.
    pub(crate) fn delivered(&mut self) {
        self.knows_hardware = true;
        self.under_way.clear();
    }

    /// Puts the events back of a heartbeat that did not arrive, or may not have.
    pub(crate) fn put_back(&mut self) {
        self.events.put_back(std::mem::take(&mut self.under_way));
        self.has_news = false;
    }

    /// Sends the hardware facts again, to a control plane that knows nothing of the device.
    pub(crate) const fn introduce(&mut self) {
        self.knows_hardware = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::EventReason;

    #[test]
    fn an_event_says_no_more_than_can_be_shown() {
        let mut status = Status::default();
        let message = format!("\u{1b}]0;x\u{7}{}", "ü".repeat(2_000));
        let at = DateTime::UNIX_EPOCH;
        status.record(Event::new(EventReason::WorkloadFailed, None, message, at));
        let heartbeat = status.take(None, false, Monotonic::from_start(Duration::ZERO));
        for events in [heartbeat.events, status.recent_events()] {
            let message = &events[0].message;
            assert!(message.starts_with(r"\u{1b}]0;x\u{7}ü"), "{message}");
            assert!(message.ends_with('…') && message.chars().count() == 1_024, "{message}");
        }
    }
}
