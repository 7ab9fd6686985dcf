//! Tree and values to truth. Allocates nothing.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use crate::arithmetic::Unjoined;
use crate::ast::{
    Arithmetic, ArithmeticOperator, Comparison, Expr, Metric, Operand, Operator, Window,
};
use crate::calendar::{Calendar, LocalTime};
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

    /// Returns what the local clock reads; `None` while it is not known to be right.
    fn local_time(&self) -> Option<LocalTime> {
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
    place: Place<'a>,
    left: Option<&'a Unit>,
    right: Option<&'a Unit>,
}

/// What the units would have to fit for.
#[derive(Clone, Copy)]
enum Place<'a> {
    Comparison(&'a Comparison),
    Arithmetic(&'a Arithmetic, ArithmeticOperator),
}

impl fmt::Display for EvaluationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = |unit: Option<&Unit>| {
            unit.map_or_else(|| "a number without a unit".to_owned(), Unit::describe)
        };
        let (verb, preposition) = match self.place {
            Place::Comparison(comparison) => {
                write!(f, "`{}`", self.condition.written(comparison))?;
                ("compares", "with")
            }
            Place::Arithmetic(arithmetic, operator) => {
                write!(f, "`{}`", self.condition.written(arithmetic))?;
                match operator {
                    ArithmeticOperator::Add => ("adds", "to"),
                    ArithmeticOperator::Subtract => ("reduces", "by"),
                    ArithmeticOperator::Multiply => ("multiplies", "by"),
                    ArithmeticOperator::Divide => ("divides", "by"),
                }
            }
        };
        let (left, right) = (unit(self.left), unit(self.right));
        write!(f, " {verb} {left} {preposition} {right}: the units do not fit")
    }
}

impl fmt::Debug for EvaluationError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvaluationError({self})")
    }
}

impl std::error::Error for EvaluationError<'_> {}

impl Condition {
    /// Evaluates the expression as of now, without regard to `for`: see [`crate::Watch`] for that. With
    /// `until` it is evaluated as one that was not true before.
    ///
    /// Every comparison is made, so that the order of terms never matters.
    ///
    /// # Errors
    ///
    /// Says which comparison is between units that do not fit.
    #[inline]
    pub fn evaluate<'a>(&'a self, lookup: &'a impl Lookup) -> Result<Truth, EvaluationError<'a>> {
        match &self.end {
            None => self.truth_of(&self.begin.expr, lookup),
            Some(end) => self.truth_of_both(&end.expr, lookup),
        }
    }

    #[inline(never)]
    fn truth_of_both<'a>(
        &'a self,
        end: &'a Expr,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, EvaluationError<'a>> {
        let begins = self.truth_of(&self.begin.expr, lookup)?;
        Ok(begins.and(!self.truth_of(end, lookup)?))
    }

    /// Evaluates one of its expressions.
    #[inline]
    pub(crate) fn truth_of<'a>(
        &'a self,
        expr: &'a Expr,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, EvaluationError<'a>> {
        self.truth(expr, lookup).map_err(|comparison| self.misfit(comparison, lookup))
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
            Expr::Calculation(comparison) => self.compare_calculated(comparison, lookup),
            Expr::Calendar(calendar) => Ok(calendar.truth(lookup)),
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
            Expr::Calculation(_)
            | Expr::Calendar(_)
            | Expr::Not(_)
            | Expr::And(_)
            | Expr::Or(_) => self.truth(term, lookup),
        }
    }

    #[cold]
    fn misfit<'a>(
        &'a self,
        comparison: &'a Comparison,
        lookup: &'a impl Lookup,
    ) -> EvaluationError<'a> {
        let unjoined = |operand: &'a Operand| match operand {
            Operand::Arithmetic(arithmetic) => self.calculate(arithmetic, lookup).err(),
            Operand::Quantity(_) | Operand::Metric(_) | Operand::Window(_) | Operand::Nil => None,
        };
        let unjoined = unjoined(&comparison.left).or_else(|| unjoined(&comparison.right));
        if let Some(Unjoined { arithmetic, operator, left, right }) = unjoined {
            let place = Place::Arithmetic(arithmetic, operator);
            return EvaluationError { condition: self, place, left, right };
        }
        let unit = |operand: &'a Operand| self.value(operand, lookup).and_then(|value| value.unit);
        EvaluationError {
            condition: self,
            place: Place::Comparison(comparison),
            left: unit(&comparison.left),
            right: unit(&comparison.right),
        }
    }

    /// Makes any comparison, for those who do not care what it costs.
    pub(crate) fn truth_of_comparison<'a>(
        &'a self,
        comparison: &'a Comparison,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, &'a Comparison> {
        if comparison.is_calculation() {
            self.compare_calculated(comparison, lookup)
        } else {
            self.compare(comparison, lookup)
        }
    }

    #[inline(never)]
    fn compare_calculated<'a>(
        &'a self,
        comparison: &'a Comparison,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, &'a Comparison> {
        let Ok(left) = self.value_if_joined(&comparison.left, lookup) else {
            return Err(comparison);
        };
        let Ok(right) = self.value_if_joined(&comparison.right, lookup) else {
            return Err(comparison);
        };
        comparison.of(left, right)
    }

    #[inline]
    fn compare<'a>(
        &'a self,
        comparison: &'a Comparison,
        lookup: &'a impl Lookup,
    ) -> Result<Truth, &'a Comparison> {
        let left = self.plain_value(&comparison.left, lookup);
        let right = self.plain_value(&comparison.right, lookup);
        comparison.of(left, right)
    }

    /// Returns what the operand stands for now; `Ok(None)` is nil.
    fn value_if_joined<'a>(
        &'a self,
        operand: &'a Operand,
        lookup: &'a impl Lookup,
    ) -> Result<Option<Reading<'a>>, UnitsDoNotFit> {
        match operand {
            Operand::Arithmetic(arithmetic) => {
                self.calculate(arithmetic, lookup).map_err(|_| UnitsDoNotFit)
            }
            Operand::Quantity(_) | Operand::Metric(_) | Operand::Window(_) | Operand::Nil => {
                Ok(self.plain_value(operand, lookup))
            }
        }
    }

    /// Returns what the operand stands for now; `None` is nil, or a calculation with units that do not
    /// fit.
    pub(crate) fn value<'a>(
        &'a self,
        operand: &'a Operand,
        lookup: &'a impl Lookup,
    ) -> Option<Reading<'a>> {
        self.value_if_joined(operand, lookup).ok().flatten()
    }

    /// Returns what an operand that is no calculation stands for now; `None` is nil.
    #[inline]
    pub(crate) fn plain_value<'a>(
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
                window.reading(lookup.samples(window)?)?
            }
            Operand::Arithmetic(_) | Operand::Nil => return None,
        };
        (!reading.value.is_nan()).then_some(reading)
    }
}

impl Comparison {
    /// Returns what it comes to with these values on its sides.
    #[inline]
    fn of(&self, left: Option<Reading<'_>>, right: Option<Reading<'_>>) -> Result<Truth, &Self> {
        let (Some(a), Some(b)) = (left, right) else {
            if !matches!(self.left, Operand::Nil) && !matches!(self.right, Operand::Nil) {
                return Ok(Truth::Unknown);
            }
            let both_nil = left.is_none() && right.is_none();
            return Ok(Truth::from(both_nil == (self.operator == Operator::Equal)));
        };
        // Neither is NaN: that was nil.
        let (Some(left_unit), Some(right_unit)) = (a.unit, b.unit) else {
            return Ok(Truth::from(self.operator.holds(a.value, b.value)));
        };
        match compare((a.value, left_unit), (b.value, right_unit)) {
            Ok(Some(ordering)) => Ok(Truth::from(self.operator.accepts(ordering))),
            Ok(None) => Ok(Truth::Unknown),
            Err(UnitsDoNotFit) => Err(self),
        }
    }
}

impl Calendar {
    /// Returns whether it is such a day and hour; unknown while the clock is not known to be right.
    #[inline(never)]
    pub(crate) fn truth(&self, lookup: &impl Lookup) -> Truth {
        lookup.local_time().map_or(Truth::Unknown, |time| Truth::from(self.contains(&time)))
    }
}

impl Window {
    /// Returns what it comes to over `samples`. Not inlined: few comparisons have a window, and all would
    /// pay for it.
    #[inline(never)]
    pub(crate) fn reading<'a>(&self, samples: &'a SampleWindow) -> Option<Reading<'a>> {
        let value = samples.result(self.function)?;
        let unit = if self.function.has_unit_of_samples() { samples.unit() } else { None };
        Some(Reading { value, unit })
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
