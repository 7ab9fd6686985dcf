//! How a condition is written, so that it reads back as the same one.

use std::fmt;
use std::time::Duration;

use crate::ast::{Arithmetic, Clause, Comparison, Expr, Metric, Operand, Quantity, Window};

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, function, span, .. } = self;
        write!(f, "{function}({}, {})", metric.name, Span(*span))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Number(self.value))?;
        match &self.unit {
            Some(unit) => write!(f, "{unit}"),
            None => Ok(()),
        }
    }
}

/// Writes a number in the fewest characters that read back as the same number.
pub(crate) struct Number(pub(crate) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if size != 0.0 && !(1e-5..1e16).contains(&size) {
            write!(f, "{:e}", self.0)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Writes a duration of whole microseconds as the language reads it, `90s`, `1h`, `0.5ms`.
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HOUR: u128 = 3_600_000_000;
        const MINUTE: u128 = 60_000_000;
        const SECOND: u128 = 1_000_000;
        const MILLISECOND: u128 = 1_000;
        let micros = self.0.as_micros();
        for (size, name) in [(HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (MILLISECOND, "ms")] {
            if micros != 0 && micros.is_multiple_of(size) {
                return write!(f, "{}{name}", micros / size);
            }
        }
        if micros == 0 {
            return f.write_str("0s");
        }
        write!(f, "{}.{:03}ms", micros / MILLISECOND, micros % MILLISECOND)
    }
}

/// What the places in a tree refer to.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a, T> {
    pub(crate) what: &'a T,
    pub(crate) metrics: &'a [Metric],
    pub(crate) windows: &'a [Window],
}

impl<'a, T> Written<'a, T> {
    fn part<U>(&self, what: &'a U) -> Written<'a, U> {
        Written { what, metrics: self.metrics, windows: self.windows }
    }
}

impl fmt::Display for Written<'_, Clause> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.part(&self.what.expr))?;
        match self.what.hold {
            Some(hold) => write!(f, " for {}", Span(hold)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Written<'_, Expr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (terms, separator) = match self.what {
            Expr::Comparison(comparison) => return write!(f, "{}", self.part(comparison)),
            Expr::Calculation(comparison) => return write!(f, "{}", self.part(&**comparison)),
            Expr::Calendar(calendar) => return write!(f, "{calendar}"),
            Expr::Not(negated) => return write!(f, "!({})", self.part(&**negated)),
            Expr::Or(terms) => (terms, " || "),
            Expr::And(terms) => (terms, " && "),
        };
        for (index, term) in terms.iter().enumerate() {
            if index > 0 {
                f.write_str(separator)?;
            }
            let needs_brackets = match term {
                Expr::Or(_) => true,
                Expr::And(_) => matches!(self.what, Expr::And(_)),
                Expr::Not(_) | Expr::Comparison(_) | Expr::Calculation(_) | Expr::Calendar(_) => {
                    false
                }
            };
            if needs_brackets {
                write!(f, "({})", self.part(term))?;
            } else {
                write!(f, "{}", self.part(term))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Written<'_, Comparison> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { left, operator, right } = self.what;
        write!(f, "{} {} {}", self.part(left), operator.as_str(), self.part(right))
    }
}

impl fmt::Display for Written<'_, Operand> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Operand::Quantity(quantity) => write!(f, "{quantity}"),
            Operand::Metric(place) => f.write_str(&self.metrics[*place].name),
            Operand::Window(place) => write!(f, "{}", self.windows[*place]),
            Operand::Arithmetic(arithmetic) => write!(f, "{}", self.part(&**arithmetic)),
            Operand::Nil => f.write_str("nil"),
        }
    }
}

impl fmt::Display for Written<'_, Arithmetic> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arithmetic { first, rest } = self.what;
        let is_sum = rest.iter().any(|(operator, _)| operator.joins_products());
        let write_value = |f: &mut fmt::Formatter<'_>, operand: &Operand| {
            let part = self.part(operand);
            match operand {
                // A product within a sum is the one that needs no brackets.
                Operand::Arithmetic(inner)
                    if !is_sum || inner.rest.iter().any(|(it, _)| it.joins_products()) =>
                {
                    write!(f, "({part})")
                }
                Operand::Arithmetic(_)
                | Operand::Quantity(_)
                | Operand::Metric(_)
                | Operand::Window(_)
                | Operand::Nil => write!(f, "{part}"),
            }
        };
        write_value(f, first)?;
        for (operator, operand) in rest {
            write!(f, " {} ", operator.as_str())?;
            write_value(f, operand)?;
        }
        Ok(())
    }
}
