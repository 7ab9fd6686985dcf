//! What is brought to a pod that runs: limits, and on a cluster all that makes it. Pure.

use std::time::Duration;

use super::job::Job;
use super::notices::Notices;
use super::run::InFlight;
use crate::clock::{Moment, Monotonic};
use crate::messages::{ActionKind, CommandError};
use crate::workload::{EventReason, Limits, Workload};

/// A Deployment is written so often at most: each time may restart its pod, and a condition that
/// flaps, or another controller that changes it back, would do that without end.
const WRITE_PERIOD: Duration = Duration::from_secs(60);

/// The limits that the pod has.
#[derive(Debug, Default)]
enum Applied {
    /// An earlier life of the agent set them, for the workload as it is.
    #[default]
    Earlier,
    /// The agent set these.
    Known(Limits),
    /// The agent set some, or others, or none.
    Unknown,
}

/// What the pod has of what it shall have.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    applied: Applied,
    /// Somebody else changed the Deployment, and that is not put right yet.
    changed: bool,
    /// The credentials changed, which are no part of what identifies the pod.
    unwritten: bool,
    /// A Deployment is not written before.
    next_write: Monotonic,
    /// Nor suspended again: somebody else scales it up each time.
    next_suspension: Monotonic,
    /// Why the last attempt failed, as it was told.
    failure: Option<String>,
}

impl Upkeep {
    /// Notes that a pod was started with `limits`.
    pub(super) fn started(&mut self, limits: Limits) {
        self.applied = Applied::Known(limits);
        self.next_suspension = Monotonic::default();
    }

    /// Notes that a command is on its way, with the credentials as they are now.
    pub(super) fn sent(&mut self, kind: ActionKind, now: Moment) {
        let next = now.monotonic + WRITE_PERIOD;
        match kind {
            ActionKind::Start => self.unwritten = false,
            ActionKind::Limit => (self.unwritten, self.next_write) = (false, next),
            ActionKind::Suspend => self.next_suspension = next,
            ActionKind::Pull | ActionKind::Stop | ActionKind::Halt => {}
        }
    }

    /// Notes that a command failed, or may have.
    pub(super) fn not_written(&mut self, kind: ActionKind) {
        match kind {
            ActionKind::Start | ActionKind::Limit => {
                (self.unwritten, self.applied) = (true, Applied::Unknown);
            }
            ActionKind::Pull | ActionKind::Stop | ActionKind::Suspend | ActionKind::Halt => {}
        }
    }

    /// Notes that the workload has other registry credentials than before.
    pub(super) fn credentials_changed(&mut self) {
        self.unwritten = true;
    }

    /// Notes that nobody knows any more what the pod has.
    pub(super) fn forget(&mut self) {
        self.applied = Applied::Unknown;
    }
}

impl Job {
    /// Notes whether somebody else changed the Deployment, and tells it once.
    pub(super) fn note_change(&mut self, notices: &mut Notices) {
        let is_changed = self.current_pod().is_some_and(|pod| pod.is_changed);
        let was_changed = std::mem::replace(&mut self.upkeep.changed, is_changed);
        if is_changed && !was_changed {
            let message = "somebody else changed the Deployment: it is put right";
            notices.add(EventReason::WorkloadChanged, &self.name, message.to_owned());
        }
    }

    /// Returns when the Deployment may be suspended.
    pub(super) fn next_suspension(&self) -> Monotonic {
        self.upkeep.next_suspension
    }

    /// Returns when to bring to the pod that runs what it lacks; `None` when it lacks nothing.
    pub(super) fn next_limit(&self) -> Option<Monotonic> {
        let workload = self.effective()?;
        let differs = match self.upkeep.applied {
            Applied::Known(applied) => applied != self.limits,
            Applied::Unknown => true,
            // Only what comes from elsewhere can be missing from an adopted pod.
            Applied::Earlier => brings_limits(workload) || brings_credentials(workload),
        };
        // Only a Deployment can be changed by others, and has the credentials.
        let is_cluster = workload.executor.is_cluster();
        let differs = differs || is_cluster && (self.upkeep.unwritten || self.upkeep.changed);
        // Limits that are not known are not taken away, to be brought back soon: a container
        // would get more than it should, and a Deployment's pod would be restarted twice.
        let is_due = differs && self.limits_are_known;
        let at = if is_cluster { self.upkeep.next_write } else { Monotonic::default() };
        is_due.then_some(at)
    }

    /// Notes that limits were brought to the pod that runs, or why not.
    pub(super) fn limited(
        &mut self,
        flight: &InFlight,
        error: Option<&CommandError>,
        notices: &mut Notices,
    ) {
        if error.is_some() && flight.pod.executor.is_cluster() {
            self.upkeep.not_written(flight.kind);
        } else {
            // After a failure, too: not tried again before they change, the pod runs well but for
            // them.
            self.upkeep.applied = Applied::Known(flight.limits);
        }
        let failure = error.map(ToString::to_string);
        let limits_failed = self.upkeep.failure != failure;
        if let Some(message) = failure.as_ref().filter(|_| limits_failed) {
            notices.add(EventReason::LimitNotApplied, &self.name, message.clone());
        }
        self.upkeep.failure = failure;
    }
}

/// Whether some condition of `workload` brings a limit.
fn brings_limits(workload: &Workload) -> bool {
    let mut conditions = workload.profiles.iter().flat_map(|profile| &profile.conditions);
    conditions.any(|condition| condition.cpu.is_some() || condition.memory.is_some())
}

/// Whether the cluster has to be given credentials, which may be others than those of the agent's
/// previous life.
fn brings_credentials(workload: &Workload) -> bool {
    workload.executor.is_cluster() && !workload.registries.is_empty()
}
