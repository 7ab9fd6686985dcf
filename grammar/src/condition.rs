//! A condition: what is read once per configuration and evaluated at each post.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::ast::{Clause, Leaf, Metric, Operand, Quantity, Window};
use crate::calendar::Calendar;
use crate::error::ConditionError;
use crate::parser;
use crate::unit::Unit;
use crate::writing::Written;

/// A condition of a profile: a boolean expression over metrics, how long it must have been true to
/// count, and what ends it, if that is another expression.
///
/// [`fmt::Display`] writes it so that it parses back to an equal condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub(crate) begin: Clause,
    /// Boxed: few conditions have one.
    pub(crate) end: Option<Box<Clause>>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) windows: Vec<Window>,
    pub(crate) calendars: Vec<Calendar>,
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
        let parser::Parsed { begin, end, metrics, windows, calendars } = parser::parse(text)?;
        Ok(Self { begin, end: end.map(Box::new), metrics, windows, calendars })
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

    /// Returns the days and hours that it names, each once.
    #[must_use]
    pub fn calendars(&self) -> &[Calendar] {
        &self.calendars
    }

    /// Returns how long the expression must have been true: the duration after `for`, before any `until`.
    #[must_use]
    pub const fn hold(&self) -> Option<Duration> {
        self.begin.hold
    }

    /// Returns whether it stays true until another expression is: whether it has an `until`.
    #[must_use]
    pub const fn has_end(&self) -> bool {
        self.end.is_some()
    }

    /// Returns how long the expression after `until` must have been true.
    #[must_use]
    pub fn end_hold(&self) -> Option<Duration> {
        self.end.as_ref()?.hold
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

    /// Returns the numbers that a metric, or a window over it, is compared with, and their units. Zero
    /// is left out: it needs none.
    #[must_use]
    pub fn compared_numbers(&self) -> Vec<(&Metric, f64, Option<&Unit>)> {
        let mut found = Vec::new();
        self.for_each_leaf(&mut |leaf| {
            let Leaf::Comparison(comparison) = leaf else { return };
            for (operand, other) in
                [(&comparison.left, &comparison.right), (&comparison.right, &comparison.left)]
            {
                let metric = match operand {
                    Operand::Metric(place) => &self.metrics[*place],
                    Operand::Window(place) => match &self.windows[*place] {
                        window if window.function.has_unit_of_samples() => window.metric(),
                        _ => continue,
                    },
                    Operand::Quantity(_) | Operand::Arithmetic(_) | Operand::Nil => continue,
                };
                if let Operand::Quantity(Quantity { value, unit }) = other
                    && *value != 0.0
                {
                    found.push((metric, *value, unit.as_ref()));
                }
            }
        });
        found
    }

    /// Calls `visit` with everything that is true or not by itself, in the order of the text.
    pub(crate) fn for_each_leaf<'a>(&'a self, visit: &mut impl FnMut(Leaf<'a>)) {
        self.begin.expr.for_each_leaf(visit);
        if let Some(end) = &self.end {
            end.expr.for_each_leaf(visit);
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
        write!(f, "{}", self.written(&self.begin))?;
        match &self.end {
            Some(end) => write!(f, " until {}", self.written(&**end)),
            None => Ok(()),
        }
    }
}
