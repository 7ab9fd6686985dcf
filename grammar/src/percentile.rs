//! A percentile of weighted values, in bounded memory and without allocating.

use crate::window::MAX_BUCKETS;

/// Returns the smallest value that 95 of 100 parts of the weight do not exceed, of at most
/// [`MAX_BUCKETS`] values and their weights.
pub(crate) fn percentile_95(values: impl Iterator<Item = (f64, u64)>) -> Option<f64> {
    let mut kept = [(0.0, 0); MAX_BUCKETS];
    let mut count = 0;
    for (place, value) in kept.iter_mut().zip(values) {
        *place = value;
        count += 1;
    }
    let mut open = kept.get_mut(..count)?;
    let weight = weight_of(open);
    // Rounded up: the 19th of 19 or of 20, the 20th of 21.
    let mut rank = weight - weight / 20;
    while open.len() > 1 {
        let middle = open.len() / 2;
        open.select_nth_unstable_by(middle, |(a, _), (b, _)| a.total_cmp(b));
        let (lower, upper) = open.split_at_mut(middle);
        let below = weight_of(lower);
        open = if rank <= below {
            lower
        } else {
            rank -= below;
            upper
        };
    }
    open.first().map(|(value, _)| *value)
}

fn weight_of(values: &[(f64, u64)]) -> u64 {
    values.iter().fold(0, |sum, (_, weight)| weight.saturating_add(sum))
}

/// Numbers that no rhythm in the input follows: xorshift64. Clones continue alike.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Default for Dice {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Dice {
    /// Returns true once in `chances` calls, on average.
    pub(crate) fn hits_one_of(&mut self, chances: u64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (u128::from(self.0) * u128::from(chances)) >> 64 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(f64, u64)]) -> Option<f64> {
        percentile_95(values.iter().copied())
    }

    #[test]
    fn the_rank_is_rounded_up() {
        let values: Vec<(f64, u64)> = (1..=100).rev().map(|value| (f64::from(value), 1)).collect();
        for (count, expected) in [(1, 100.0), (19, 100.0), (20, 99.0), (21, 99.0), (100, 95.0)] {
            assert_eq!(of(&values[..count]), Some(expected), "{count}");
        }
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_value_counts_by_its_weight() {
        assert_eq!(of(&[(3.0, 5), (1.0, 95)]), Some(1.0));
        assert_eq!(of(&[(3.0, 6), (1.0, 95)]), Some(3.0));
        assert_eq!(of(&[(2.0, u64::MAX), (1.0, u64::MAX)]), Some(1.0));
    }

    #[test]
    fn the_dice_hit_as_often_as_they_should() {
        let mut dice = Dice::default();
        let hits = (0..100_000).filter(|_| dice.hits_one_of(10)).count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
        assert!(dice.hits_one_of(1));
    }
}
