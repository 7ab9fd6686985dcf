//! How a running pod differs from what it should be: in its limits, and on a cluster in all that
//! makes it. Pure.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::messages::{CommandError, Effect};
use crate::workload::{Limits, Workload};

/// Shortest time between two writes of a Deployment: each may restart its pod, and a condition that
/// flaps, or another controller that changes it back, would do that without end.
const WRITE_PERIOD: Duration = Duration::from_secs(60);

/// The limits that the pod has.
#[derive(Debug, Default)]
enum Applied {
    /// Those that were applied before the agent was restarted, for the workload as it is.
    #[default]
    Inherited,
    /// These.
    Known(Limits),
    /// Some, or others, or none.
    Unknown,
}

/// What is known of the difference.
#[derive(Debug, Default)]
pub(crate) struct Drift {
    applied: Applied,
    /// The Deployment was modified outside the agent, and is not restored yet.
    is_changed: bool,
    /// The registry credentials changed, which are no part of what identifies the pod.
    is_unwritten: bool,
    /// A Deployment is not written before.
    next_write: Monotonic,
    /// A Deployment is not suspended before, even if something else scales it up each time.
    next_suspension: Monotonic,
    /// Why the last attempt failed, as it was reported.
    failure: Option<String>,
}

impl Drift {
    /// Notes that a pod was started with `limits`.
    pub(crate) fn started(&mut self, limits: Limits) {
        // Made anew it has all its memory.
        self.applied = Applied::Known(Limits { squeezed: false, ..limits });
        self.next_suspension = Monotonic::default();
    }

    /// Notes that a command is on its way, with the credentials as they are now.
    pub(crate) fn sent(&mut self, effect: Effect, now: Monotonic) {
        let next = now + WRITE_PERIOD;
        match effect {
            Effect::Started => self.is_unwritten = false,
            Effect::Updated => (self.is_unwritten, self.next_write) = (false, next),
            Effect::Suspended => self.next_suspension = next,
            Effect::ImagesPresent
            | Effect::Frozen
            | Effect::Thawed
            | Effect::Removed
            | Effect::None => {}
        }
    }

    /// Notes that a command failed, or may have.
    pub(crate) fn not_written(&mut self, effect: Effect) {
        match effect {
            Effect::Started | Effect::Updated => {
                (self.is_unwritten, self.applied) = (true, Applied::Unknown);
            }
            Effect::ImagesPresent
            | Effect::Frozen
            | Effect::Thawed
            | Effect::Removed
            | Effect::Suspended
            | Effect::None => {}
        }
    }

    /// Notes that limits were brought to the pod that runs, or why not; returns the reason if that
    /// is news.
    pub(crate) fn limited(
        &mut self,
        limits: Limits,
        is_cluster: bool,
        error: Option<&CommandError>,
    ) -> Option<String> {
        if error.is_some() && is_cluster {
            self.not_written(Effect::Updated);
        } else {
            // After a failure, too: the pod runs well but for them, so they are not tried again
            // before they change.
            self.applied = Applied::Known(limits);
        }
        let failure = error.map(ToString::to_string);
        let is_news = self.failure != failure;
        self.failure.clone_from(&failure);
        failure.filter(|_| is_news)
    }

    /// Notes that the workload has other registry credentials than before.
    pub(crate) fn credentials_changed(&mut self) {
        self.is_unwritten = true;
    }

    /// Notes that the configuration has other profiles or limits than `old` for the same pod: limits that
    /// only `old` brings may still be applied, from before the agent was restarted.
    pub(crate) fn conditions_changed(&mut self, old: &Workload) {
        if matches!(self.applied, Applied::Inherited) && brings_limits(old) {
            self.forget();
        }
    }

    /// Notes whether something else changed the Deployment; returns whether that is news.
    pub(crate) fn note_change(&mut self, is_changed: bool) -> bool {
        let was_changed = std::mem::replace(&mut self.is_changed, is_changed);
        is_changed && !was_changed
    }

    /// Notes that it is not known any more what the pod has.
    pub(crate) fn forget(&mut self) {
        self.applied = Applied::Unknown;
    }

    /// Returns when the Deployment may be suspended.
    pub(crate) fn next_suspension(&self) -> Monotonic {
        self.next_suspension
    }

    /// Returns when to bring to the running pod of `workload` what it lacks, `limits` among it;
    /// `None` when it lacks nothing. `may_be_restrained` says whether an agent before this one may have
    /// restrained it.
    pub(crate) fn next_write(
        &self,
        workload: &Workload,
        limits: Limits,
        may_be_restrained: bool,
    ) -> Option<Monotonic> {
        let differs = match self.applied {
            Applied::Known(applied) => applied != limits,
            Applied::Unknown => true,
            // Only what comes from elsewhere can be missing from an adopted pod.
            Applied::Inherited => {
                let is_cluster = workload.executor.is_cluster();
                brings_limits(workload)
                    || brings_credentials(workload)
                    || may_be_restrained && !is_cluster
            }
        };
        // Only a Deployment can be changed by others, and has the credentials.
        let is_cluster = workload.executor.is_cluster();
        let differs = differs || is_cluster && (self.is_unwritten || self.is_changed);
        let at = if is_cluster { self.next_write } else { Monotonic::default() };
        differs.then_some(at)
    }
}

/// Returns whether some condition of `workload` brings a limit.
fn brings_limits(workload: &Workload) -> bool {
    let mut conditions = workload.profiles.iter().flat_map(|profile| &profile.conditions);
    conditions.any(|condition| condition.cpu.is_some() || condition.memory.is_some())
}

/// Returns whether the cluster has to be given credentials, which may have changed while the agent
/// was not running.
fn brings_credentials(workload: &Workload) -> bool {
    workload.executor.is_cluster() && !workload.registries.is_empty()
}
