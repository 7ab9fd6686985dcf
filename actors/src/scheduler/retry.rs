//! How long a job waits between a failed run and the next: constant or exponential delays.

use std::time::Duration;

use crate::workload::RetryPolicy;

/// Longest exponential delay. A constant one is its author's own choice.
const MAX_EXPONENTIAL_DELAY: Duration = Duration::from_secs(300);
/// Shortest delay of any policy: a pod that fails at once shall not busy the device.
const MIN_DELAY: Duration = Duration::from_secs(1);
/// A run of this length is healthy whatever the delay before it was.
const ALWAYS_HEALTHY_AFTER: Duration = Duration::from_secs(600);

/// The delays of one job, from its first failure to its next healthy run.
///
/// It holds for any policy, [`checked`] or not: a value out of its range counts as the nearest
/// one in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    policy: RetryPolicy,
    rng: fastrand::Rng,
    /// The next exponential delay before it is varied, in seconds.
    next_secs: f64,
    last: Duration,
}

impl Retry {
    /// Starts before the first failure. Jobs with equal seeds vary their delays equally.
    #[must_use]
    pub fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            policy,
            rng: fastrand::Rng::with_seed(seed),
            next_secs: initial_secs(&policy),
            last: Duration::ZERO,
        }
    }

    /// Counts a failure and returns the wait before the next run: at least 1 s, at most 5 min when
    /// the policy is exponential.
    pub fn next_delay(&mut self) -> Duration {
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
    pub fn reset(&mut self) {
        self.next_secs = initial_secs(&self.policy);
        self.last = Duration::ZERO;
    }

    /// Returns how long a run must last before [`reset`](Self::reset) is due: twice the last delay,
    /// at most 10 min. Zero before the first failure.
    #[must_use]
    pub fn healthy_after(&self) -> Duration {
        self.last.saturating_mul(2).min(ALWAYS_HEALTHY_AFTER)
    }
}

/// Returns `policy` when all its values are in their ranges.
///
/// # Errors
/// What is out of its range, in plain words. A delay under 1 s is an error, zero too: nobody who
/// means "retry" means a busy loop, and to wait longer than was asked is not ours to choose.
pub fn checked(policy: RetryPolicy) -> Result<RetryPolicy, String> {
    match policy {
        RetryPolicy::Constant { period } => at_least_minimum("period", period)?,
        RetryPolicy::Exponential { initial, multiplier, randomization } => {
            at_least_minimum("initial delay", initial)?;
            if !(multiplier.is_finite() && multiplier >= 1.0) {
                return Err(format!(
                    "the retry multiplier must be a number from 1, found {multiplier}"
                ));
            }
            if !(0.0..=1.0).contains(&randomization) {
                return Err(format!(
                    "the retry randomization must be a number from 0 to 1, found {randomization}"
                ));
            }
        }
    }
    Ok(policy)
}

fn at_least_minimum(what: &str, delay: Duration) -> Result<(), String> {
    if delay < MIN_DELAY {
        return Err(format!("the retry {what} must be at least {MIN_DELAY:?}, found {delay:?}"));
    }
    Ok(())
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: u64 = 7;

    fn seconds(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn constant(period: Duration) -> RetryPolicy {
        RetryPolicy::Constant { period }
    }

    fn exponential(initial: Duration, multiplier: f64, randomization: f64) -> RetryPolicy {
        RetryPolicy::Exponential { initial, multiplier, randomization }
    }

    fn delays(policy: RetryPolicy, count: usize) -> Vec<Duration> {
        let mut retry = Retry::new(policy, SEED);
        (0..count).map(|_| retry.next_delay()).collect()
    }

    #[test]
    fn a_constant_delay_stays_and_has_no_cap() {
        assert_eq!(delays(constant(seconds(20)), 3), [seconds(20); 3]);
        assert_eq!(delays(constant(seconds(3600)), 3), [seconds(3600); 3]);
    }

    #[test]
    fn an_exponential_delay_grows_to_five_minutes() {
        let secs = [10, 20, 40, 80, 160, 300, 300].map(seconds);
        assert_eq!(delays(exponential(seconds(10), 2.0, 0.0), 7), secs);
        let secs = [1.0, 1.5, 2.25, 3.375].map(Duration::from_secs_f64);
        assert_eq!(delays(exponential(seconds(1), 1.5, 0.0), 4), secs);
        let secs = [300, 300].map(seconds);
        assert_eq!(delays(exponential(seconds(900), 2.0, 0.0), 2), secs);
    }

    #[test]
    fn delays_at_the_cap_still_vary() {
        let all = delays(exponential(seconds(300), 2.0, 0.5), 100);
        assert!(all.iter().all(|delay| *delay >= seconds(150)));
        assert!(all.iter().all(|delay| *delay <= seconds(300)));
        assert!(all.iter().filter(|delay| **delay > seconds(299)).count() < 5);
        assert!(all.iter().any(|delay| *delay < seconds(200)));
        assert!(all.iter().any(|delay| *delay > seconds(250)));
    }

    #[test]
    fn reset_starts_from_the_first_delay() {
        for policy in [constant(seconds(20)), exponential(seconds(10), 3.0, 0.0)] {
            let mut retry = Retry::new(policy, SEED);
            let first = retry.next_delay();
            retry.next_delay();
            retry.next_delay();
            retry.reset();
            assert_eq!(retry.healthy_after(), Duration::ZERO);
            assert_eq!(retry.next_delay(), first);
        }
    }

    #[test]
    fn a_run_is_healthy_after_twice_the_last_delay_or_ten_minutes() {
        let mut retry = Retry::new(exponential(seconds(100), 2.0, 0.0), SEED);
        assert_eq!(retry.healthy_after(), Duration::ZERO);
        for expected in [200, 400, 600, 600] {
            retry.next_delay();
            assert_eq!(retry.healthy_after(), seconds(expected));
        }
        let mut retry = Retry::new(constant(Duration::MAX), SEED);
        assert_eq!(retry.next_delay(), Duration::MAX);
        assert_eq!(retry.healthy_after(), seconds(600));
    }

    #[test]
    fn equal_seeds_give_equal_delays_and_others_do_not() {
        let policy = exponential(seconds(10), 2.0, 0.5);
        let mut one = Retry::new(policy, 1);
        let mut same = Retry::new(policy, 1);
        let mut other = Retry::new(policy, 2);
        let first = one.next_delay();
        assert_eq!(first, same.next_delay());
        assert_ne!(first, other.next_delay());
    }

    #[test]
    fn sound_policies_are_accepted() {
        for policy in [
            constant(seconds(1)),
            constant(Duration::MAX),
            exponential(seconds(1), 1.0, 0.0),
            exponential(seconds(1), 1e300, 1.0),
        ] {
            assert_eq!(checked(policy), Ok(policy));
        }
    }

    #[test]
    fn unsound_policies_are_refused_in_plain_words() {
        let half = Duration::from_millis(500);
        let second = seconds(1);
        let table = [
            (constant(Duration::ZERO), "the retry period must be at least 1s, found 0ns"),
            (constant(half), "the retry period must be at least 1s, found 500ms"),
            (
                exponential(half, 2.0, 0.0),
                "the retry initial delay must be at least 1s, found 500ms",
            ),
            (
                exponential(second, 0.99, 0.0),
                "the retry multiplier must be a number from 1, found 0.99",
            ),
            (
                exponential(second, f64::NAN, 0.0),
                "the retry multiplier must be a number from 1, found NaN",
            ),
            (
                exponential(second, f64::INFINITY, 0.0),
                "the retry multiplier must be a number from 1, found inf",
            ),
            (
                exponential(second, 2.0, -0.1),
                "the retry randomization must be a number from 0 to 1, found -0.1",
            ),
            (
                exponential(second, 2.0, 1.1),
                "the retry randomization must be a number from 0 to 1, found 1.1",
            ),
            (
                exponential(second, 2.0, f64::NAN),
                "the retry randomization must be a number from 0 to 1, found NaN",
            ),
        ];
        for (policy, expected) in table {
            assert_eq!(checked(policy), Err(expected.to_owned()));
        }
    }

    fn any_duration() -> impl Strategy<Value = Duration> {
        prop_oneof![
            (0u64..1000).prop_map(Duration::from_secs),
            (0u64..5000).prop_map(Duration::from_millis),
            any::<Duration>(),
            Just(Duration::MAX),
        ]
    }

    proptest! {
        #[test]
        fn exponential_delays_stay_within_their_spread_and_bounds(
            initial in 1u64..1000,
            multiplier in 1.0..10.0f64,
            randomization in 0.0..=1.0f64,
            seed in any::<u64>(),
        ) {
            let mut retry =
                Retry::new(exponential(seconds(initial), multiplier, randomization), seed);
            let mut middle = (initial as f64).min(300.0);
            for _ in 0..20 {
                let delay = retry.next_delay().as_secs_f64();
                let low = (middle * (1.0 - randomization)).max(1.0);
                let high = (middle * (1.0 + randomization)).min(300.0);
                prop_assert!(delay >= low - 1e-6 && delay <= high + 1e-6, "{low} {delay} {high}");
                middle = (middle * multiplier).min(300.0);
            }
        }

        #[test]
        fn delays_without_randomization_never_shrink(
            initial in any_duration(),
            multiplier in 1.0..10.0f64,
        ) {
            let all = delays(exponential(initial, multiplier, 0.0), 30);
            prop_assert!(all.is_sorted());
        }

        #[test]
        fn no_value_whatsoever_overflows_or_leaves_the_bounds(
            initial in any_duration(),
            multiplier in any::<f64>(),
            randomization in any::<f64>(),
            seed in any::<u64>(),
        ) {
            let mut retry = Retry::new(exponential(initial, multiplier, randomization), seed);
            for _ in 0..50 {
                let delay = retry.next_delay();
                prop_assert!(delay >= MIN_DELAY && delay <= MAX_EXPONENTIAL_DELAY);
                prop_assert!(retry.healthy_after() <= ALWAYS_HEALTHY_AFTER);
            }
            let mut retry = Retry::new(constant(initial), seed);
            prop_assert_eq!(retry.next_delay(), initial.max(MIN_DELAY));
        }
    }
}
