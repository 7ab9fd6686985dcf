//! When to try again: delays that grow while something fails, and jitter around a period.

use std::time::Duration;

use exponential_backoff::IntoIter;

/// Longest first delay after a failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Longest delay of all.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(5 * 60);
/// Share by which a period varies, to either side.
const PERIOD_JITTER: f64 = 0.1;
/// Doublings after which every delay is the longest; keeps the shift small.
const MAX_DOUBLINGS: u32 = 16;

/// Delays between attempts: doubled from the first one up to the longest, with 10 % of jitter.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    delays: IntoIter,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let mut delays = exponential_backoff::Backoff::new(u32::MAX, first, longest);
        delays.set_factor(2);
        delays.set_jitter(0.1);
        Self { first, longest, delays: delays.iter() }
    }

    /// Counts a failure; returns the time until the next attempt.
    pub(crate) fn next_delay(&mut self) -> Duration {
        self.delays.next().flatten().unwrap_or(self.longest)
    }

    /// Starts from the first delay again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.first, self.longest);
    }
}

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures(u32);

impl Failures {
    /// Returns their number.
    pub(crate) const fn count(self) -> u32 {
        self.0
    }

    /// Counts one more.
    pub(crate) const fn add(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    /// Starts from zero.
    pub(crate) const fn reset(&mut self) {
        self.0 = 0;
    }

    /// Returns how long to wait after the last one: 1 s doubled with each failure up to 5 min, of
    /// which a random half is taken off, so that a fleet does not come back at once. `random` is
    /// between 0 and 1.
    pub(crate) fn delay(self, random: f64) -> Duration {
        let doublings = self.0.saturating_sub(1).min(MAX_DOUBLINGS);
        let longest = FIRST_DELAY.saturating_mul(1 << doublings).min(MAX_DELAY);
        longest.mul_f64(1.0 - share(random) / 2.0)
    }
}

/// Returns `period` with 10 % of jitter to either side. `random` is between 0 and 1.
pub(crate) fn jittered(period: Duration, random: f64) -> Duration {
    period.mul_f64(1.0 + PERIOD_JITTER * (2.0 * share(random) - 1.0))
}

/// Returns the longest delay after any number of failures, with jitter: the cap.
pub(crate) fn capped(random: f64) -> Duration {
    MAX_DELAY.mul_f64(1.0 - share(random) / 2.0)
}

/// Keeps a random number in its bounds, whatever its source.
fn share(random: f64) -> f64 {
    if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(failures: u32, random: f64) -> Duration {
        Failures(failures).delay(random)
    }

    #[test]
    fn delay_doubles_up_to_five_minutes() {
        let delays: Vec<u64> = (1..=11).map(|n| after(n, 0.0).as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn half_of_the_delay_is_random_even_at_the_cap() {
        assert_eq!(after(1, 1.0), Duration::from_millis(500));
        assert_eq!(after(u32::MAX, 1.0), Duration::from_secs(150));
        assert_eq!(after(u32::MAX, 0.0), MAX_DELAY);
        assert_eq!(capped(1.0), Duration::from_secs(150));
    }

    #[test]
    fn period_varies_by_a_tenth() {
        let minute = Duration::from_secs(60);
        assert_eq!(jittered(minute, 0.0), Duration::from_secs(54));
        assert_eq!(jittered(minute, 0.5), minute);
        assert_eq!(jittered(minute, 1.0), Duration::from_secs(66));
    }

    proptest! {
        #[test]
        fn no_delay_leaves_its_bounds(failures in any::<u32>(), random in any::<f64>()) {
            let delay = after(failures, random);
            prop_assert!(delay >= FIRST_DELAY / 2 && delay <= MAX_DELAY);
        }
    }
}
