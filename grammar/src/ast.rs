//! The tree of a condition, and how it is written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::unit::Unit;

/// A metric that a condition names.
#[derive(Clone, Debug)]
pub struct Metric {
    pub(crate) name: Arc<str>,
    pub(crate) slot: u32,
}

impl Metric {
    /// Returns the name as written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number that [`crate::Condition::assign_slots`] gave it; before that, its place
    /// among the condition's metrics.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }
}

/// By name: a slot says where the values are kept, not what is meant.
impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A span of a metric's samples that a condition looks at, `avg(cpu, 1m)`.
#[derive(Clone, Debug)]
pub struct Window {
    pub(crate) metric: Metric,
    pub(crate) function: WindowFunction,
    pub(crate) span: Duration,
    pub(crate) slot: u32,
}

impl Window {
    /// Returns the metric whose samples count.
    #[must_use]
    pub const fn metric(&self) -> &Metric {
        &self.metric
    }

    /// Returns what is computed from the samples.
    #[must_use]
    pub const fn function(&self) -> WindowFunction {
        self.function
    }

    /// Returns how far the window looks back; at least 1 ms.
    #[must_use]
    pub const fn span(&self) -> Duration {
        self.span
    }

    /// Returns the number that [`crate::Condition::assign_slots`] gave it; before that, its place
    /// among the condition's windows.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }
}

impl PartialEq for Window {
    fn eq(&self, other: &Self) -> bool {
        self.metric == other.metric && self.function == other.function && self.span == other.span
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            metric,
            function,
            span,
            ..
        } = self;
        write!(f, "{function}({}, {})", metric.name, Span(*span))
    }
}

/// What a window computes from its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFunction {
    /// The mean of all samples.
    Average,
    /// The smallest sample.
    Minimum,
    /// The greatest sample.
    Maximum,
    /// The youngest sample.
    Last,
    /// The change per second between the oldest and the youngest sample.
    Rate,
}

impl WindowFunction {
    pub(crate) const ALL: [Self; 5] = [
        Self::Average,
        Self::Minimum,
        Self::Maximum,
        Self::Last,
        Self::Rate,
    ];

    /// Returns the word of the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Average => "avg",
            Self::Minimum => "min",
            Self::Maximum => "max",
            Self::Last => "last",
            Self::Rate => "rate",
        }
    }
}

impl fmt::Display for WindowFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A boolean expression. Its depth is bounded by the parser, so that recursion over it is safe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// At least two terms.
    Or(Vec<Expr>),
    /// At least two terms.
    And(Vec<Expr>),
    Not(Box<Expr>),
    Comparison(Comparison),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) left: Operand,
    pub(crate) operator: Operator,
    pub(crate) right: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(crate) const ALL: [Self; 6] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Quantity(Quantity),
    /// Place among the condition's metrics.
    Metric(usize),
    /// Place among the condition's windows.
    Window(usize),
    Nil,
}

/// A finite number and what it means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) value: f64,
    pub(crate) unit: Option<Unit>,
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
        for (size, name) in [
            (HOUR, "h"),
            (MINUTE, "m"),
            (SECOND, "s"),
            (MILLISECOND, "ms"),
        ] {
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
        Written {
            what,
            metrics: self.metrics,
            windows: self.windows,
        }
    }
}

impl fmt::Display for Written<'_, Expr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (terms, separator) = match self.what {
            Expr::Comparison(comparison) => return write!(f, "{}", self.part(comparison)),
            Expr::Not(negated) => return write!(f, "!({})", self.part(&**negated)),
            Expr::Or(terms) => (terms, " || "),
            Expr::And(terms) => (terms, " && "),
        };
        for (index, term) in terms.iter().enumerate() {
            if index > 0 {
                f.write_str(separator)?;
            }
            let needs_brackets = match (self.what, term) {
                (Expr::Or(_), Expr::Or(_)) | (Expr::And(_), Expr::Or(_) | Expr::And(_)) => true,
                (
                    Expr::Or(_) | Expr::And(_) | Expr::Not(_) | Expr::Comparison(_),
                    Expr::Or(_) | Expr::And(_) | Expr::Not(_) | Expr::Comparison(_),
                ) => false,
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
        let Comparison {
            left,
            operator,
            right,
        } = self.what;
        write!(
            f,
            "{} {} {}",
            self.part(left),
            operator.as_str(),
            self.part(right)
        )
    }
}

impl fmt::Display for Written<'_, Operand> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            Operand::Quantity(quantity) => write!(f, "{quantity}"),
            Operand::Metric(place) => f.write_str(&self.metrics[*place].name),
            Operand::Window(place) => write!(f, "{}", self.windows[*place]),
            Operand::Nil => f.write_str("nil"),
        }
    }
}
