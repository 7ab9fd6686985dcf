//! What sums and products of values come to, and in which unit. Allocates nothing.

use crate::ast::{Arithmetic, ArithmeticOperator, Operand};
use crate::condition::Condition;
use crate::evaluator::{Lookup, Reading};
use crate::unit::{RATIO, Unit};

/// Two values that no sign joins: their units do not fit.
#[derive(Clone, Copy)]
pub(crate) struct Unjoined<'a> {
    pub(crate) arithmetic: &'a Arithmetic,
    pub(crate) operator: ArithmeticOperator,
    pub(crate) left: Option<&'a Unit>,
    pub(crate) right: Option<&'a Unit>,
}

/// A value within a calculation.
#[derive(Clone, Copy)]
struct Term<'a> {
    value: f64,
    kind: Kind<'a>,
}

/// What a number means within a calculation.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// The author's own number without a unit: it scales whatever it meets.
    Constant,
    /// A sample without a unit, which may be of any.
    Bare,
    /// A part of something, in per cent or as a ratio.
    Share(&'a Unit),
    Of(&'a Unit),
}

impl<'a> Kind<'a> {
    fn of(unit: Option<&'a Unit>) -> Self {
        match unit {
            None => Self::Bare,
            Some(unit) if unit.is_share() => Self::Share(unit),
            Some(unit) => Self::Of(unit),
        }
    }

    const fn unit(self) -> Option<&'a Unit> {
        match self {
            Self::Constant | Self::Bare => None,
            Self::Share(unit) | Self::Of(unit) => Some(unit),
        }
    }
}

impl Condition {
    /// Returns what the calculation comes to now; `Ok(None)` is nil: one of its values is nil, or it
    /// divides by zero.
    ///
    /// # Errors
    ///
    /// Says which two of its values have units that do not fit.
    #[inline(never)]
    pub(crate) fn calculate<'a>(
        &'a self,
        arithmetic: &'a Arithmetic,
        lookup: &'a impl Lookup,
    ) -> Result<Option<Reading<'a>>, Unjoined<'a>> {
        let term = self.sum_up(arithmetic, lookup)?;
        let reading = term.map(|term| Reading { value: term.value, unit: term.kind.unit() });
        Ok(reading.filter(|reading| !reading.value.is_nan()))
    }

    fn sum_up<'a>(
        &'a self,
        arithmetic: &'a Arithmetic,
        lookup: &'a impl Lookup,
    ) -> Result<Option<Term<'a>>, Unjoined<'a>> {
        let mut total = self.term(&arithmetic.first, lookup)?;
        for (operator, operand) in &arithmetic.rest {
            // Evaluated in any case, so that the order of values never matters to an error in them.
            let next = self.term(operand, lookup)?;
            let (Some(left), Some(right)) = (total, next) else {
                total = None;
                continue;
            };
            let joined = left.joined(*operator, right).ok_or_else(|| Unjoined {
                arithmetic,
                operator: *operator,
                left: left.kind.unit(),
                right: right.kind.unit(),
            })?;
            let is_defined = *operator != ArithmeticOperator::Divide || right.value != 0.0;
            total = is_defined.then_some(joined);
        }
        Ok(total)
    }

    /// Returns whether it is nil because it divides by zero.
    pub(crate) fn divides_by_zero(&self, arithmetic: &Arithmetic, lookup: &impl Lookup) -> bool {
        let is_within = |operand: &Operand| match operand {
            Operand::Arithmetic(inner) => self.divides_by_zero(inner, lookup),
            Operand::Quantity(_) | Operand::Metric(_) | Operand::Window(_) | Operand::Nil => false,
        };
        is_within(&arithmetic.first)
            || arithmetic.rest.iter().any(|(operator, operand)| {
                let is_zero = || self.value(operand, lookup).is_some_and(|it| it.value == 0.0);
                is_within(operand) || (*operator == ArithmeticOperator::Divide && is_zero())
            })
    }

    fn term<'a>(
        &'a self,
        operand: &'a Operand,
        lookup: &'a impl Lookup,
    ) -> Result<Option<Term<'a>>, Unjoined<'a>> {
        if let Operand::Arithmetic(arithmetic) = operand {
            return self.sum_up(arithmetic, lookup);
        }
        let is_constant = matches!(operand, Operand::Quantity(quantity) if quantity.unit.is_none());
        let reading = self.plain_value(operand, lookup);
        Ok(reading.map(|Reading { value, unit }| {
            let kind = if is_constant { Kind::Constant } else { Kind::of(unit) };
            Term { value, kind }
        }))
    }
}

impl<'a> Term<'a> {
    /// Returns the value as a part of one: 80 % is 0.8.
    fn share(self) -> f64 {
        match self.kind {
            Kind::Share(unit) => unit.share(self.value),
            Kind::Constant | Kind::Bare | Kind::Of(_) => self.value,
        }
    }

    /// Returns what the two come to, if their units fit.
    fn joined(self, operator: ArithmeticOperator, right: Self) -> Option<Self> {
        match operator {
            ArithmeticOperator::Add => self.plus(right, 1.0),
            ArithmeticOperator::Subtract => self.plus(right, -1.0),
            ArithmeticOperator::Multiply => self.times(right),
            ArithmeticOperator::Divide => self.over(right),
        }
    }

    /// A number without a unit counts in the unit of the other, as in a comparison.
    fn plus(self, right: Self, sign: f64) -> Option<Self> {
        let (kind, value) = match (self.kind.unit(), right.kind.unit()) {
            (Some(unit), Some(other)) => (self.kind, other.convert(right.value, unit)?),
            (Some(_), None) => (self.kind, right.value),
            (None, Some(_)) => (right.kind, right.value),
            (None, None) => match (self.kind, right.kind) {
                (Kind::Constant, Kind::Constant) => (Kind::Constant, right.value),
                (
                    Kind::Constant | Kind::Bare | Kind::Share(_) | Kind::Of(_),
                    Kind::Constant | Kind::Bare | Kind::Share(_) | Kind::Of(_),
                ) => (Kind::Bare, right.value),
            },
        };
        Some(Self { value: self.value + sign * value, kind })
    }

    fn times(self, right: Self) -> Option<Self> {
        let plainly = |kind| Some(Self { value: self.value * right.value, kind });
        let shared = |kind| Some(Self { value: self.share() * right.share(), kind });
        match (self.kind, right.kind) {
            (Kind::Constant, kind) | (kind, Kind::Constant) => plainly(kind),
            (Kind::Bare, Kind::Bare) => plainly(Kind::Bare),
            (Kind::Bare, Kind::Of(unit)) | (Kind::Of(unit), Kind::Bare) => plainly(Kind::Of(unit)),
            (Kind::Share(_), Kind::Of(unit)) | (Kind::Of(unit), Kind::Share(_)) => {
                shared(Kind::Of(unit))
            }
            (Kind::Share(_), Kind::Share(_) | Kind::Bare) | (Kind::Bare, Kind::Share(_)) => {
                shared(Kind::Share(&RATIO))
            }
            (Kind::Of(_), Kind::Of(_)) => None,
        }
    }

    fn over(self, right: Self) -> Option<Self> {
        let plainly = |kind| Some(Self { value: self.value / right.value, kind });
        let shared = |kind| Some(Self { value: self.share() / right.share(), kind });
        match (self.kind, right.kind) {
            (kind, Kind::Constant) => plainly(kind),
            (Kind::Constant, Kind::Bare) => plainly(Kind::Bare),
            // Numbers of which one has no unit, or neither, are taken to be of one unit.
            (Kind::Bare, Kind::Bare | Kind::Of(_)) => plainly(Kind::Share(&RATIO)),
            (Kind::Of(unit), Kind::Bare) => plainly(Kind::Of(unit)),
            (Kind::Bare, Kind::Share(_)) => shared(Kind::Bare),
            (Kind::Of(unit), Kind::Share(_)) => shared(Kind::Of(unit)),
            (Kind::Constant | Kind::Share(_), Kind::Share(_)) | (Kind::Share(_), Kind::Bare) => {
                shared(Kind::Share(&RATIO))
            }
            (Kind::Of(unit), Kind::Of(other)) => {
                let value = unit.quotient(self.value, (right.value, other))?;
                Some(Self { value, kind: Kind::Share(&RATIO) })
            }
            (Kind::Constant | Kind::Share(_), Kind::Of(_)) => None,
        }
    }
}
