//! How far a condition is from being true, as a number. Allocates nothing.

use crate::ast::{Comparison, Expr};
use crate::condition::Condition;
use crate::evaluator::Lookup;
use crate::truth::Truth;
use crate::unit::UnitsDoNotFit;

/// How far off is what is false and has no measure: a comparison with nil, a day or an hour.
const UNMEASURED: f64 = f64::INFINITY;
/// What that is returned as.
const WITHOUT_MEASURE: f64 = 1.0;

/// The least number that a gap is divided by. Not the least there is: all gaps to zero would be beyond
/// [`f64::MAX`], and none could be told from another.
const LEAST_SCALE: f64 = 1e-9;

impl Condition {
    /// Returns how far the expression is from being true: 0.0 exactly when [`Condition::evaluate`] finds
    /// it true, a finite number above 0.0 when false, `None` when unknown or when units do not fit.
    /// Of two moments, the one with the smaller number is the better one.
    ///
    /// A comparison of numbers that is false is as far off as its sides are apart, in the unit of the
    /// right one and divided by it: `x < 60` is 0.5 off at 90. It is at least [`f64::MIN_POSITIVE`] off,
    /// as `x < 60` is at 60. A right side of 0 counts as 1e-9. Moments compare best if the right side is
    /// the threshold: one that moves is another scale. What has no measure (`x == nil`, `on sat`) is 1.0
    /// off; in an `||` it counts only where nothing else has one.
    ///
    /// `&&` is as far off as the farthest of its parts that are false, `||` as the nearest, and `!x` as
    /// far as `x` is from being false. As in [`Condition::evaluate`], `for` does not count, so that what
    /// is true but not for long enough is 0.0 off; and with `until` it is one that was not true before:
    /// the expression before it is to be true, and the one after it is not.
    ///
    /// ```
    /// use grammar::{Condition, Lookup, Metric, Reading};
    ///
    /// struct Temperature(f64);
    ///
    /// impl Lookup for Temperature {
    ///     fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
    ///         (metric.name() == "temp").then_some(Reading { value: self.0, unit: None })
    ///     }
    /// }
    ///
    /// let condition = Condition::parse("temp < 60C")?;
    /// assert_eq!(condition.shortfall(&Temperature(90.0)), Some(0.5));
    /// assert_eq!(condition.shortfall(&Temperature(75.0)), Some(0.25));
    /// assert_eq!(condition.shortfall(&Temperature(59.0)), Some(0.0));
    /// # Ok::<(), grammar::ConditionError>(())
    /// ```
    #[must_use]
    pub fn shortfall(&self, lookup: &impl Lookup) -> Option<f64> {
        let begins = self.distance(&self.begin.expr, true, lookup).ok()?;
        let distance = match &self.end {
            None => begins,
            Some(end) => farther(begins, self.distance(&end.expr, false, lookup).ok()?),
        };
        distance.map(|distance| if distance.is_finite() { distance } else { WITHOUT_MEASURE })
    }

    /// Returns how far the expression is from being `wanted`; `Ok(None)` is unknown.
    ///
    /// Every part is looked at, as in an evaluation: units that do not fit anywhere fail the whole.
    fn distance(
        &self,
        expr: &Expr,
        wanted: bool,
        lookup: &impl Lookup,
    ) -> Result<Option<f64>, UnitsDoNotFit> {
        let (terms, all_are_needed) = match expr {
            Expr::Comparison(comparison) => {
                return self.distance_of_comparison(comparison, wanted, lookup);
            }
            Expr::Calculation(comparison) => {
                return self.distance_of_comparison(comparison, wanted, lookup);
            }
            Expr::Calendar(calendar) => {
                return Ok(distance_of_leaf(calendar.truth(lookup), wanted, || UNMEASURED));
            }
            Expr::Not(negated) => return self.distance(negated, !wanted, lookup),
            // Of an `&&` that is to be false one term has to be: De Morgan's laws.
            Expr::And(terms) => (terms, wanted),
            Expr::Or(terms) => (terms, !wanted),
        };
        let mut distance = Some(if all_are_needed { 0.0 } else { UNMEASURED });
        for term in terms {
            let next = self.distance(term, wanted, lookup)?;
            distance =
                if all_are_needed { farther(distance, next) } else { nearer(distance, next) };
        }
        Ok(distance)
    }

    fn distance_of_comparison(
        &self,
        comparison: &Comparison,
        wanted: bool,
        lookup: &impl Lookup,
    ) -> Result<Option<f64>, UnitsDoNotFit> {
        // Asked first and believed: a gap that is rounded cannot contradict an evaluation.
        let truth =
            self.truth_of_comparison(comparison, lookup).map_err(|_misfit| UnitsDoNotFit)?;
        let measure = || self.gap(comparison, lookup).unwrap_or(UNMEASURED);
        Ok(distance_of_leaf(truth, wanted, measure))
    }

    /// Returns how far the sides are apart, measured by the right one; `None` if a side is nil.
    fn gap(&self, comparison: &Comparison, lookup: &impl Lookup) -> Option<f64> {
        let left = self.value(&comparison.left, lookup)?;
        let right = self.value(&comparison.right, lookup)?;
        let left_value = match (left.unit, right.unit) {
            (Some(unit), Some(other)) => unit.convert(left.value, other)?,
            (Some(_), None) | (None, Some(_) | None) => left.value,
        };
        // Bounded above, too: from infinity everything finite is far.
        let scale = right.value.abs().clamp(LEAST_SCALE, f64::MAX);
        let gap = (left_value - right.value).abs() / scale;
        // Equal infinities are not apart, but their difference is not a number.
        let gap = if gap.is_nan() { 0.0 } else { gap };
        Some(gap.clamp(f64::MIN_POSITIVE, f64::MAX))
    }
}

/// Returns how far what is true or not by itself is from being `wanted`: `measure` if it is not.
fn distance_of_leaf(truth: Truth, wanted: bool, measure: impl FnOnce() -> f64) -> Option<f64> {
    match if wanted { truth } else { !truth } {
        Truth::True => Some(0.0),
        Truth::Unknown => None,
        Truth::False => Some(measure()),
    }
}

/// Returns the distance to where both hold: what is false decides over what is unknown.
fn farther(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        // Beside something measured it is a number as good as any.
        (Some(UNMEASURED), Some(other)) | (Some(other), Some(UNMEASURED))
            if other > 0.0 && other.is_finite() =>
        {
            Some(other.max(WITHOUT_MEASURE))
        }
        (Some(a), Some(b)) => Some(a.max(b)),
        (Some(distance), None) | (None, Some(distance)) => (distance > 0.0).then_some(distance),
        (None, None) => None,
    }
}

/// Returns the distance to where either holds: what is true decides over what is unknown.
fn nearer(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (Some(distance), None) | (None, Some(distance)) => (distance <= 0.0).then_some(distance),
        (None, None) => None,
    }
}
