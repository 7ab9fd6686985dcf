//! The tree of a condition.

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
    pub(crate) const ALL: [Self; 5] =
        [Self::Average, Self::Minimum, Self::Maximum, Self::Last, Self::Rate];

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
