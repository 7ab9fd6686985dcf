//! How long a job waits between a failed run and the next: constant or exponential delays.

use std::time::Duration;

use crate::workload::RetryPolicy;

/// Longest exponential delay. A constant one is its author's own choice.
const MAX_EXPONENTIAL_DELAY: Duration = Duration::from_secs(300);
/// Shortest delay of any policy: a pod that fails at once must not keep the device busy.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// A run of this length is healthy whatever the delay before it was.
const ALWAYS_HEALTHY_AFTER: Duration = Duration::from_secs(600);

/// The delays of one job, from its first failure to its next healthy run.
///
/// It holds for any policy: a value out of its range counts as the nearest one in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Retry {
    policy: RetryPolicy,
    rng: fastrand::Rng,
    /// The next exponential delay before it is varied, in seconds.
    next_secs: f64,
    last: Duration,
}

impl Retry {
    /// Starts before the first failure. Jobs with equal seeds vary their delays equally.
    #[must_use]
    pub(crate) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            policy,
            rng: fastrand::Rng::with_seed(seed),
            next_secs: initial_secs(&policy),
            last: Duration::ZERO,
        }
    }

    /// Counts a failure and returns the wait before the next run: at least 1 s, at most 5 min when
    /// the policy is exponential.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.last = match self.policy {
            RetryPolicy::Constant { period } => period.max(MIN_DELAY),
            RetryPolicy::Exponential { multiplier, randomization, .. } => {
                let longest = MAX_EXPONENTIAL_DELAY.as_secs_f64();
                let middle = self.next_secs;
                // `max` and `min` also mend NaN and infinity.
                self.next_secs = (middle * multiplier.max(1.0)).min(longest);
                let spread = middle * share(randomization);
                let low = (middle - spread).max(MIN_DELAY.as_secs_f64());
                // The range ends at the cap; the delays do not pile up there, so that jobs which
                // failed together do not stay together.
                let high = (middle + spread).min(longest);
                let secs = low + (high - low) * self.rng.f64();
                Duration::try_from_secs_f64(secs).unwrap_or(MAX_EXPONENTIAL_DELAY)
            }
        };
        self.last
    }

    /// Forgets all failures: the next delay is the first again.
    pub(crate) fn reset(&mut self) {
        self.next_secs = initial_secs(&self.policy);
        self.last = Duration::ZERO;
    }

    /// Returns how long a run must last before [`reset`](Self::reset) is due: twice the last delay,
    /// at most 10 min. Zero before the first failure.
    #[must_use]
    pub(crate) fn healthy_after(&self) -> Duration {
        self.last.saturating_mul(2).min(ALWAYS_HEALTHY_AFTER)
    }
}

/// Returns the first exponential delay before it is varied.
fn initial_secs(policy: &RetryPolicy) -> f64 {
    let initial = match policy {
        RetryPolicy::Constant { period } => *period,
        RetryPolicy::Exponential { initial, .. } => *initial,
    };
    initial.clamp(MIN_DELAY, MAX_EXPONENTIAL_DELAY).as_secs_f64()
}

/// Returns `value` as a share of one.
const fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
