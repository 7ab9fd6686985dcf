//! Tree and values to truth. Allocates nothing.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use crate::ast::{Comparison, Expr, Metric, Operand, Operator, Window};
use crate::condition::Condition;
use crate::truth::Truth;
use crate::unit::{Unit, UnitsDoNotFit, compare};
use crate::window::SampleWindow;

/// Where an evaluation finds its values.
pub trait Lookup {
    /// Returns the metric's value as it counts now; `None` is nil: never posted, or stale.
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>>;

    /// Returns the samples of the window, advanced to now; `None` if there never were any.
    fn samples(&self, _window: &Window) -> Option<&SampleWindow> {
        None
    }

    /// Returns when the metric becomes nil if nothing is posted.
    fn expires_at(&self, _metric: &Metric) -> Option<Duration> {
        None
    }

    /// Returns how the metric came by its value, for explanations.
    fn history(&self, metric: &Metric) -> History {
        match self.reading(metric) {
            Some(_) => History::Known,
            None => History::NeverPosted,
        }
    }
}

/// A metric's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<'a> {
    /// The number; one that is not a number counts as nil.
    pub value: f64,
    /// The unit that its sender gave.
    pub unit: Option<&'a Unit>,
}

/// How a metric came by its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// It was never posted.
    NeverPosted,
    /// It has a value; since when is not known.
    Known,
    /// It was posted so long ago, and counts.
    Posted(Duration),
    /// It was posted so long ago, and its time to live has passed.
    Stale(Duration),
}

/// Units that do not fit: the condition does not count.
#[derive(Clone, Copy)]
pub struct EvaluationError<'a> {
    condition: &'a Condition,
    comparison: &'a Comparison,
    left: Option<&'a Unit>,
    right: Option<&'a Unit>,
}

impl fmt::Display for EvaluationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let describe = |unit: Option<&Unit>| unit.map_or_else(String::new, Unit::describe);
        write!(
            f,
            "`{}` compares {} with {}: the units do not fit",
            self.condition.written(self.comparison),
            describe(self.left),
            describe(self.right)
        )
    }
}

impl fmt::Debug for EvaluationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvaluationError({self})")
    }
}

impl std::error::Error for EvaluationError<'_> {}

impl Condition {
    /// Evaluates the expression as of now, without regard to `for`: see [`crate::Watch`] for that.
    ///
    /// Every comparison is made, so that the order of terms never matters.
    ///
    /// # Errors
    ///
    /// Says which comparison is between units that do not fit.
    #[inline]
    pub fn evaluate<'a>(&'a self, lookup: &'a impl Lookup) -> Result<Truth, EvaluationError<'a>> {
        self.truth(&self.expr, lookup).map_err(|comparison| self.misfit(comparison, lookup))
    }

    /// Fails with the comparison that cannot be made: small enough for a register, unlike all that
    /// is to be said about it.
    fn truth<'a>(
        &'a self,
        expr: &'a Expr,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, &'a Comparison> {
        match expr {
            Expr::Comparison(comparison) => self.compare(comparison, lookup),
            Expr::Not(negated) => Ok(!self.truth(negated, lookup)?),
            Expr::And(terms) => {
                let mut truth = Truth::True;
                for term in terms {
                    truth = truth.and(self.truth_of_term(term, lookup)?);
                }
                Ok(truth)
            }
            Expr::Or(terms) => {
                let mut truth = Truth::False;
                for term in terms {
                    truth = truth.or(self.truth_of_term(term, lookup)?);
                }
                Ok(truth)
            }
        }
    }

    /// Nearly every term is a comparison, which needs no call.
    #[inline]
    fn truth_of_term<'a>(
        &'a self,
        term: &'a Expr,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, &'a Comparison> {
        match term {
            Expr::Comparison(comparison) => self.compare(comparison, lookup),
            Expr::Not(_) | Expr::And(_) | Expr::Or(_) => self.truth(term, lookup),
        }
    }

    #[cold]
    fn misfit<'a>(
        &'a self,
        comparison: &'a Comparison,
        lookup: &'a impl Lookup,
    ) -> EvaluationError<'a> {
        let unit = |operand: &'a Operand| self.value(operand, lookup).and_then(|value| value.unit);
        EvaluationError {
            condition: self,
            comparison,
            left: unit(&comparison.left),
            right: unit(&comparison.right),
        }
    }

    #[inline]
    pub(crate) fn compare<'a>(
        &'a self,
        comparison: &'a Comparison,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, &'a Comparison> {
        let Comparison { left, operator, right } = comparison;
        let left_reading = self.value(left, lookup);
        let right_reading = self.value(right, lookup);
        let (Some(a), Some(b)) = (left_reading, right_reading) else {
            if *left != Operand::Nil && *right != Operand::Nil {
                return Ok(Truth::Unknown);
            }
            let both_nil = left_reading.is_none() && right_reading.is_none();
            return Ok(Truth::from(both_nil == (*operator == Operator::Equal)));
        };
        // Neither is NaN: that was nil.
        let (Some(left_unit), Some(right_unit)) = (a.unit, b.unit) else {
            return Ok(Truth::from(operator.holds(a.value, b.value)));
        };
        match compare((a.value, left_unit), (b.value, right_unit)) {
            Ok(Some(ordering)) => Ok(Truth::from(operator.accepts(ordering))),
            Ok(None) => Ok(Truth::Unknown),
            Err(UnitsDoNotFit) => Err(comparison),
        }
    }

    /// Returns what the operand stands for now; `None` is nil.
    #[inline]
    pub(crate) fn value<'a>(
        &'a self,
        operand: &'a Operand,
        lookup: &'a impl Lookup,
    ) -> Option<Reading<'a>> {
        let reading = match operand {
            Operand::Quantity(quantity) => {
                Reading { value: quantity.value, unit: quantity.unit.as_ref() }
            }
            Operand::Metric(place) => lookup.reading(&self.metrics[*place])?,
            Operand::Window(place) => {
                let window = &self.windows[*place];
                let samples = lookup.samples(window)?;
                Reading { value: samples.result(window.function)?, unit: samples.unit() }
            }
            Operand::Nil => return None,
        };
        (!reading.value.is_nan()).then_some(reading)
    }
}

impl Operator {
    /// Compares bare numbers, neither of which is NaN.
    #[inline]
    #[allow(clippy::float_cmp, reason = "the author asks for equality")]
    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    #[inline]
    const fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
