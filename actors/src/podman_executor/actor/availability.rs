//! Whether podman answers, and in time: each change is logged, reported and told.

use tracing::{info, warn};

use super::{Availability, OBSERVATION_PERIOD, PodmanExecutor};
use crate::clock::Monotonic;
use crate::messages::{RuntimeUnavailable, WorkloadsObserved, tell};
use crate::podman_executor::api::PodmanError;
use crate::workload::EventReason;

impl PodmanExecutor {
    pub(super) fn available(&mut self) {
        let before = std::mem::replace(&mut self.availability, Availability::Available);
        match before {
            Availability::Available => {}
            Availability::Untold => info!(executor = %self.deps.kind, "runtime answered"),
            Availability::Unavailable { .. } => {
                info!(executor = %self.deps.kind, "runtime answered again");
                let message = format!("{} answers again", self.deps.kind);
                self.record(EventReason::RuntimeAvailable, None, message);
            }
        }
    }

    /// Returns why podman is too slow although it answers; the beginning and the end of that are logged
    /// and reported.
    pub(super) fn slowness(&mut self) -> Option<String> {
        let slow = self.bench.api.complaint();
        if slow.is_some() != self.is_slow {
            self.is_slow = slow.is_some();
            match &slow {
                Some(message) => {
                    warn!(executor = %self.deps.kind, detail = message, "runtime was too slow");
                    self.record(EventReason::RuntimeSlow, None, message.clone());
                }
                None => {
                    info!(executor = %self.deps.kind, "runtime was quick again");
                    let message = format!("{} answers in time again", self.deps.kind);
                    self.record(EventReason::RuntimeAvailable, None, message);
                }
            }
        }
        slow
    }

    /// Tells that podman does not answer: at each change, and once a period. A reason that changes
    /// with each attempt is logged once a period.
    pub(super) fn unavailable(&mut self, error: &PodmanError) {
        let now = self.deps.clock.now();
        let message = error.chain();
        let fresh = |at: &Monotonic| now.monotonic.saturating_since(*at) < OBSERVATION_PERIOD;
        let logged_at = match &self.availability {
            Availability::Unavailable { message: told, told_at, logged_at } if *told == message => {
                if fresh(told_at) {
                    return;
                }
                Some(*logged_at)
            }
            Availability::Unavailable { logged_at, .. } => Some(*logged_at).filter(fresh),
            Availability::Untold | Availability::Available => None,
        };
        if logged_at.is_none() {
            warn!(executor = %self.deps.kind, error = message, "runtime did not answer");
            self.record(EventReason::RuntimeUnavailable, None, message.clone());
        }
        self.availability = Availability::Unavailable {
            message: message.clone(),
            told_at: now.monotonic,
            logged_at: logged_at.unwrap_or(now.monotonic),
        };
        let observed = WorkloadsObserved {
            executor: self.deps.kind,
            observed_at: now,
            pods: Err(RuntimeUnavailable { message }),
            slow: None,
        };
        tell(&self.deps.observations, observed);
    }
}
