//! The tree of a condition.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::calendar::Calendar;
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
    /// How many samples there are.
    Count,
    /// How often a sample differed from the one before it.
    Changes,
    /// The smallest sample that at least 95 of 100 samples do not exceed.
    Percentile95,
}

impl WindowFunction {
    pub(crate) const ALL: [Self; 8] = [
        Self::Average,
        Self::Minimum,
        Self::Maximum,
        Self::Last,
        Self::Rate,
        Self::Count,
        Self::Changes,
        Self::Percentile95,
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
            Self::Count => "count",
            Self::Changes => "changes",
            Self::Percentile95 => "p95",
        }
    }

    /// Returns whether a result has the unit of the samples: it is a sample, or made of samples.
    pub(crate) const fn has_unit_of_samples(self) -> bool {
        match self {
            Self::Average
            | Self::Minimum
            | Self::Maximum
            | Self::Last
            | Self::Rate
            | Self::Percentile95 => true,
            Self::Count | Self::Changes => false,
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
    /// Of values that are at hand: nearly every one.
    Comparison(Comparison),
    /// A comparison with a calculation on a side, kept apart so that the others cost nothing for it.
    Calculation(Box<Comparison>),
    /// Whether the local time is within.
    Calendar(Calendar),
}

/// What is true or not by itself.
#[derive(Clone, Copy)]
pub(crate) enum Leaf<'a> {
    Comparison(&'a Comparison),
    Calendar(&'a Calendar),
}

impl Expr {
    /// Calls `visit` with everything that is true or not by itself, in the order of the text.
    pub(crate) fn for_each_leaf<'a>(&'a self, visit: &mut impl FnMut(Leaf<'a>)) {
        match self {
            Self::Comparison(comparison) => visit(Leaf::Comparison(comparison)),
            Self::Calculation(comparison) => visit(Leaf::Comparison(comparison)),
            Self::Calendar(calendar) => visit(Leaf::Calendar(calendar)),
            Self::Not(negated) => negated.for_each_leaf(visit),
            Self::And(terms) | Self::Or(terms) => {
                terms.iter().for_each(|term| term.for_each_leaf(visit));
            }
        }
    }
}

/// An expression, and how long it must have been true to count: `cpu > 85% for 10s`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clause {
    pub(crate) expr: Expr,
    pub(crate) hold: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) left: Operand,
    pub(crate) operator: Operator,
    pub(crate) right: Operand,
}

impl Comparison {
    pub(crate) const fn is_calculation(&self) -> bool {
        matches!(self.left, Operand::Arithmetic(_)) || matches!(self.right, Operand::Arithmetic(_))
    }
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
    Arithmetic(Box<Arithmetic>),
    Nil,
}

impl Operand {
    /// Calls `visit` with every operand that is no calculation, in the order of the text.
    pub(crate) fn for_each_value<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        match self {
            Self::Arithmetic(arithmetic) => {
                arithmetic.first.for_each_value(visit);
                arithmetic.rest.iter().for_each(|(_, operand)| operand.for_each_value(visit));
            }
            Self::Quantity(_) | Self::Metric(_) | Self::Window(_) | Self::Nil => visit(self),
        }
    }
}

/// Values joined from left to right by signs of one rank, `a + b - c` or `a * b / c`. A list and no tree,
/// so that only brackets nest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arithmetic {
    pub(crate) first: Operand,
    /// At least one.
    pub(crate) rest: Vec<(ArithmeticOperator, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArithmeticOperator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl ArithmeticOperator {
    /// Returns the operator with that sign.
    pub(crate) fn of(sign: &str) -> Option<Self> {
        let all = [Self::Add, Self::Subtract, Self::Multiply, Self::Divide];
        all.into_iter().find(|operator| operator.as_str() == sign)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }

    /// Returns whether it joins what is a product, or a value.
    pub(crate) const fn joins_products(self) -> bool {
        match self {
            Self::Add | Self::Subtract => true,
            Self::Multiply | Self::Divide => false,
        }
    }
}

/// A finite number and what it means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) value: f64,
    pub(crate) unit: Option<Unit>,
}
