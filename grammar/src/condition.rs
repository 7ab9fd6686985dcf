//! A condition: what is read once per configuration and evaluated at each post.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::ast::{Expr, Metric, Window};
use crate::error::ConditionError;
use crate::parser;
use crate::writing::{Span, Written};

/// A condition of a profile: a boolean expression over metrics, and how long it must have been
/// true to count.
///
/// [`fmt::Display`] writes it so that it parses back to an equal condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(crate) expr: Expr,
    pub(crate) hold: Option<Duration>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) windows: Vec<Window>,
}

impl Condition {
    /// Reads a condition.
    ///
    /// ```
    /// let condition = grammar::Condition::parse("x<3% || x == nil")?;
    /// assert_eq!(condition.to_string(), "x < 3% || x == nil");
    /// # Ok::<(), grammar::ConditionError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Says at which column the text leaves the language, what was found there and what was
    /// expected. A text over 64 KiB, and brackets nested over 64 deep, are refused too.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let parser::Parsed { expr, hold, metrics, windows } = parser::parse(text)?;
        Ok(Self { expr, hold, metrics, windows })
    }

    /// Returns the metrics that it names, in windows too, each once.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Returns the windows that it looks at, each once.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// Returns how long the expression must have been true: the duration after `for`.
    #[must_use]
    pub const fn hold(&self) -> Option<Duration> {
        self.hold
    }

    /// Tells the condition where its [`crate::Lookup`] keeps each metric and each window, so that
    /// an evaluation finds them without a search.
    pub fn assign_slots(
        &mut self,
        mut of_metric: impl FnMut(&str) -> u32,
        mut of_window: impl FnMut(&Window) -> u32,
    ) {
        for metric in &mut self.metrics {
            metric.slot = of_metric(&metric.name);
        }
        for window in &mut self.windows {
            window.metric.slot = of_metric(&window.metric.name);
            window.slot = of_window(window);
        }
    }

    pub(crate) const fn written<'a, T>(&'a self, what: &'a T) -> Written<'a, T> {
        Written { what, metrics: self.metrics.as_slice(), windows: self.windows.as_slice() }
    }
}

impl FromStr for Condition {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.written(&self.expr))?;
        match self.hold {
            Some(hold) => write!(f, " for {}", Span(hold)),
            None => Ok(()),
        }
    }
}
