//! What the attempts of a container's probes come to: its health, by Kubernetes' rules. Pure.

use std::time::Duration;

use crate::pod_manifest::probes::{ContainerProbes, Probe, ProbeKind, VolumeLimit};
use crate::workload::Health;

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Outcome {
    /// It succeeded.
    Success,
    /// It failed; says how.
    Failure(String),
    /// It could not be made, for no fault of the container: it counts neither way.
    Unknown(String),
}

/// Successes or failures in a row.
#[derive(Debug, Default)]
struct Streak {
    successes: u32,
    failures: u32,
}

impl Streak {
    /// Counts `outcome`; returns what the row has come to once it is as long as `probe` wants.
    fn count(&mut self, probe: &Probe, outcome: &Outcome) -> Option<bool> {
        match outcome {
            Outcome::Success => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                (self.successes >= probe.success_threshold).then_some(true)
            }
            Outcome::Failure(_) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                (self.failures >= probe.failure_threshold).then_some(false)
            }
            Outcome::Unknown(_) => None,
        }
    }
}

/// Tracks the probes of one run of a container.
#[derive(Debug)]
pub(in crate::podman_executor) struct Tracker {
    probes: ContainerProbes,
    streaks: [Streak; 3],
    has_started: bool,
    is_ready: bool,
    /// How the startup or the readiness probe failed last.
    reason: Option<String>,
    /// Which probe gave the container up, and the grace period that it has for this.
    failing: Option<(String, Option<Duration>)>,
}

impl Tracker {
    /// Returns a tracker of a container that has just started.
    pub(in crate::podman_executor) fn new(probes: ContainerProbes) -> Self {
        Self {
            has_started: probes.startup.is_none(),
            is_ready: probes.readiness.is_none(),
            probes,
            streaks: Default::default(),
            reason: None,
            failing: None,
        }
    }

    /// Returns the probe of that kind.
    pub(in crate::podman_executor) fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        match kind {
            ProbeKind::Startup => self.probes.startup.as_deref(),
            ProbeKind::Liveness => self.probes.liveness.as_deref(),
            ProbeKind::Readiness => self.probes.readiness.as_deref(),
        }
    }

    /// Returns whether there is anything to tell of its health.
    pub(in crate::podman_executor) fn is_any(&self) -> bool {
        self.probes.is_any() || self.failing.is_some()
    }

    /// Returns the volumes that are held to their limits with the container.
    pub(in crate::podman_executor) fn volumes(&self) -> &[VolumeLimit] {
        &self.probes.volumes
    }

    /// Gives the container up for another reason than a probe.
    pub(in crate::podman_executor) fn give_up(&mut self, reason: String) {
        self.failing.get_or_insert((reason, None));
    }

    /// Returns whether it is given up.
    pub(in crate::podman_executor) const fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Takes the liveness probe that the image brings.
    pub(in crate::podman_executor) fn set_liveness(&mut self, probe: Probe) {
        self.probes.liveness = Some(Box::new(probe));
    }

    /// Notes that the container goes on after it was frozen: what failed before that, or because of it, counts
    /// no longer. How far it has started, and whether it is ready, stays as it was.
    pub(in crate::podman_executor) fn thawed(&mut self) {
        self.streaks = Default::default();
    }

    /// Returns whether a probe of that kind is to be tried now: the others wait for the startup probe, which
    /// is done once it succeeded; none matters for a container that is to be ended.
    pub(in crate::podman_executor) fn wants(&self, kind: ProbeKind) -> bool {
        let is_its_time = (kind == ProbeKind::Startup) != self.has_started;
        self.failing.is_none() && is_its_time && self.probe(kind).is_some()
    }

    /// Notes what an attempt came to; returns whether the health of the container is another now.
    pub(in crate::podman_executor) fn note(&mut self, kind: ProbeKind, outcome: &Outcome) -> bool {
        let Some(probe) = self.probe(kind).cloned().filter(|_| self.wants(kind)) else {
            return false;
        };
        let before = self.health();
        let verdict = self.streaks[kind as usize].count(&probe, outcome);
        let reason = match outcome {
            Outcome::Success => None,
            Outcome::Failure(how) | Outcome::Unknown(how) => {
                Some(format!("{}: {how}", kind.as_str()))
            }
        };
        match (kind, verdict) {
            (ProbeKind::Startup, Some(true)) => {
                self.has_started = true;
                self.reason = None;
            }
            (ProbeKind::Startup | ProbeKind::Liveness, Some(false)) => {
                self.failing = Some((reason.unwrap_or_default(), probe.grace));
            }
            (ProbeKind::Startup, None) => self.reason = reason.or(self.reason.take()),
            (ProbeKind::Liveness, Some(true) | None) => {}
            (ProbeKind::Readiness, Some(is_ready)) => {
                self.is_ready = is_ready;
                self.reason = reason;
            }
            // Still as ready as it was: why it will not be is said when it is not.
            (ProbeKind::Readiness, None) if self.is_ready => {}
            (ProbeKind::Readiness, None) => self.reason = reason.or(self.reason.take()),
        }
        self.health() != before
    }

    /// Returns the container's health.
    pub(in crate::podman_executor) fn health(&self) -> Health {
        if let Some((reason, grace)) = &self.failing {
            return Health::Failing { reason: reason.clone(), grace: *grace };
        }
        let reason = self.reason.clone();
        match (self.has_started, self.is_ready) {
            (false, _) => Health::Starting { reason },
            (true, false) => Health::NotReady { reason },
            (true, true) => Health::Ready,
        }
    }
}

#[cfg(test)]
mod tests;
