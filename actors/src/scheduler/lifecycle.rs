//! What becomes of a job's runs: started, ended, failed, vanished. Pure.

use chrono::TimeZone;

use super::clock_trust::ClockTrust;
use super::cron::is_set;
use super::job::Job;
use super::notices::Notices;
use super::run::{InFlight, Run};
use crate::clock::Moment;
use crate::messages::ActionKind;
use crate::workload::{ContainerEnd, CurrentState, EventReason, RestartPolicy, TargetState};

/// What is waited for while the wall clock reads a year before 2020.
const NEVER_SET: &str = "waits until the device's clock is set";

impl Job {
    /// Follows the wall clock as far as it is trusted: a tick that it passed asks for a run.
    pub(super) fn pass_ticks<Z: TimeZone>(
        &mut self,
        clock: &ClockTrust,
        now: Moment,
        zone: &Z,
        notices: &mut Notices,
    ) {
        let Some(ticks) = self.cron.ticks_mut() else {
            (self.next_tick, self.awaited_clock) = (None, None);
            return;
        };
        let tick = ticks.advance(now, *clock == ClockTrust::Trusted, zone);
        if tick.due.is_some() {
            self.cron_due(notices);
        }
        self.next_tick = tick.next;
        let awaited = tick.waiting_for_clock.then(|| {
            let doubt = clock.awaited().filter(|_| is_set(now.wall));
            doubt.unwrap_or_else(|| NEVER_SET.into())
        });
        let is_news = awaited != self.awaited_clock && *clock != ClockTrust::Unknown;
        if let Some(why) = awaited.as_deref().filter(|_| is_news) {
            notices.add(EventReason::CronWaitsForClock, &self.name, why.to_owned());
        }
        self.awaited_clock = awaited;
    }

    /// Notes a cron tick.
    fn cron_due(&mut self, notices: &mut Notices) {
        let starts =
            |flight: &InFlight| matches!(flight.kind, ActionKind::Pull | ActionKind::Start);
        if self.is_alive() || self.in_flight.as_ref().is_some_and(starts) {
            notices.add(
                EventReason::CronSkipped,
                &self.name,
                "the previous run has not ended".to_owned(),
            );
        } else {
            self.run_requested = true;
            self.run = Run::Idle;
        }
    }

    /// Draws the consequences of what exists.
    pub(crate) fn settle(&mut self, now: Moment, notices: &mut Notices) {
        if self.in_flight.is_some() {
            return;
        }
        self.note_cron_run();
        match self.current().cloned() {
            Some(CurrentState::Running | CurrentState::Starting) => {
                self.note_started(now);
                self.note_change(notices);
            }
            Some(CurrentState::Crashing { message }) => {
                self.note_started(now);
                self.note_change(notices);
                if self.failure.as_ref() != Some(&message) {
                    notices.add(EventReason::WorkloadCrashing, &self.name, message.clone());
                    self.failure = Some(message);
                }
            }
            Some(CurrentState::Degraded { ended }) => {
                if !self.repeats(&ended) {
                    self.note_started(now);
                } else if self.may_end() {
                    self.run_ended(&ended, now, notices);
                }
            }
            Some(CurrentState::Exited { ended }) => {
                if self.may_end() && !self.run_requested_anew() {
                    self.run_ended(&ended, now, notices);
                }
            }
            Some(CurrentState::Incomplete { message }) => self.run_gone(message, now, notices),
            Some(CurrentState::Suspended) => {
                let message = "the Deployment was scaled to nothing by somebody else";
                self.run_gone(message.to_owned(), now, notices);
            }
            None => {
                self.run_gone("the pod was removed by somebody else".to_owned(), now, notices);
            }
            Some(CurrentState::Unknown) => {}
        }
    }

    /// A cron run may have been asked for in another life of the agent, or before its profile
    /// flapped: as long as it runs, its end matters.
    fn note_cron_run(&mut self) {
        let runs = self.target == TargetState::Running && self.is_alive();
        self.run_requested |= runs && self.cron.is_some();
    }

    /// Whether a run is under way that nobody asked to stop.
    fn has_started(&self) -> bool {
        self.target == TargetState::Running && matches!(self.run, Run::Started { .. })
    }

    /// As [`Self::has_started`], or the pod is one that ended before the agent knew of it.
    fn may_end(&self) -> bool {
        self.has_started() || (self.target == TargetState::Running && self.run == Run::Idle)
    }

    /// A tick has come while the pod of the last run still lies there.
    fn run_requested_anew(&self) -> bool {
        self.run_requested && self.run == Run::Idle
    }

    fn note_started(&mut self, now: Moment) {
        self.ever_ran = true;
        self.rollback.started();
        match self.run {
            Run::Started { since } => {
                let lived = now.monotonic.saturating_since(since);
                if lived >= self.retry.healthy_after() {
                    self.failure = None;
                }
            }
            Run::Idle | Run::Waiting { .. } | Run::Finished => {
                self.run = Run::Started { since: now.monotonic };
            }
        }
    }

    /// Whether a run that ended so is followed by another.
    fn repeats(&self, ended: &[ContainerEnd]) -> bool {
        let failed = ended.iter().any(ContainerEnd::is_failure);
        match self.restart_policy() {
            RestartPolicy::Always => !self.cron.is_some(),
            RestartPolicy::OnFailure => failed,
            RestartPolicy::Never => false,
        }
    }

    fn run_ended(&mut self, ended: &[ContainerEnd], now: Moment, notices: &mut Notices) {
        let message = ended.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.ever_ran = true;
        if self.repeats(ended) {
            self.run_failed(message, now, notices);
            return;
        }
        let failed = ended.iter().any(ContainerEnd::is_failure);
        if failed {
            notices.add(EventReason::WorkloadFailed, &self.name, message.clone());
        } else {
            notices.add(EventReason::WorkloadFinished, &self.name, message.clone());
        }
        self.finish(failed.then_some(message));
    }

    /// The pod is gone, or a ruin: if it shall run, nobody of ours stopped it.
    fn run_gone(&mut self, message: String, now: Moment, notices: &mut Notices) {
        if !self.has_started() {
            if matches!(self.run, Run::Started { .. }) {
                self.run = Run::Idle;
            }
            return;
        }
        if self.repeats(&[]) || self.restart_policy() == RestartPolicy::OnFailure {
            self.run_failed(message, now, notices);
        } else {
            notices.add(EventReason::WorkloadFailed, &self.name, message.clone());
            self.finish(Some(message));
        }
    }

    /// No run follows this one.
    fn finish(&mut self, failure: Option<String>) {
        self.failure = failure;
        self.run = Run::Finished;
        self.run_requested = false;
    }

    fn restart_policy(&self) -> RestartPolicy {
        self.effective().map_or(RestartPolicy::Never, |workload| {
            // A Deployment knows no other.
            if workload.executor.is_cluster() {
                RestartPolicy::Always
            } else {
                workload.restart_policy
            }
        })
    }

    /// A run ended that shall be repeated, or did not come about.
    pub(super) fn run_failed(&mut self, message: String, now: Moment, notices: &mut Notices) {
        if self.cron.is_some() && self.restart_policy() != RestartPolicy::OnFailure {
            notices.add(EventReason::WorkloadFailed, &self.name, message.clone());
            self.finish(Some(message));
            return;
        }
        if let Run::Started { since } = self.run
            && now.monotonic.saturating_since(since) >= self.retry.healthy_after()
        {
            self.retry.reset();
        }
        let delay = self.retry.next_delay();
        self.run = Run::Waiting { until: now.monotonic + delay };
        // Told once for each change: a pod in a crash loop would drown everything else.
        if self.failure.as_ref() != Some(&message) {
            notices.add(
                EventReason::WorkloadFailed,
                &self.name,
                format!("{message}; next try in {delay:?}"),
            );
            self.failure = Some(message);
        }
    }

    /// Notes that a command was sent.
    pub(crate) fn sent(&mut self, flight: InFlight, now: Moment) {
        self.upkeep.sent(flight.kind, now);
        if flight.kind == ActionKind::Start && self.ever_ran {
            self.restarts = self.restarts.saturating_add(1);
        }
        if flight.kind == ActionKind::Start
            && self.effective().is_some_and(|workload| workload.has_moving_image())
        {
            self.images.ask_again(&flight.pod);
        }
        self.in_flight = Some(flight);
    }
}
