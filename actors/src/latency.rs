//! How long something took, counted in classes. Pure.

use std::time::Duration;

/// Upper bounds of the classes, in seconds; what took longer is in none of them.
const BOUNDS: [f64; 11] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/// Counted durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    /// How many fell into each class of `BOUNDS`; the last one has no bound.
    counts: [u64; BOUNDS.len() + 1],
    /// Their sum, in seconds.
    sum: f64,
}

impl Latencies {
    /// Counts one.
    pub fn count(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let class = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.counts.get_mut(class) {
            *count += 1;
        }
        self.sum += seconds;
    }

    /// Returns their sum, in seconds.
    #[must_use]
    pub const fn sum(&self) -> f64 {
        self.sum
    }

    /// Returns how many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns each class: its upper bound in seconds, the last one infinite, and how many fell
    /// into it and into no lower one.
    pub fn classes(&self) -> impl Iterator<Item = (f64, u64)> {
        BOUNDS.into_iter().chain([f64::INFINITY]).zip(self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_counted_in_the_first_class_that_holds_it() {
        let mut latencies = Latencies::default();
        for micros in [0, 100, 101, 2_500_000, 2_500_001] {
            latencies.count(Duration::from_micros(micros));
        }
        let counted: Vec<_> = latencies.classes().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [(0.000_1, 2), (0.000_25, 1), (2.5, 1), (f64::INFINITY, 1)]);
        assert_eq!(latencies.total(), 5);
        assert!((latencies.sum() - 5.000_202).abs() < 1e-9, "{}", latencies.sum());
    }
}
