//! Why a condition is true or not, in words for its author.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::ast::{Comparison, Expr, Metric, Operand, Quantity, Window};
use crate::condition::Condition;
use crate::evaluator::{History, Lookup};
use crate::unit::{Unit, compare};
use crate::watch::Watch;
use crate::writing::{Number, Span};

/// Comparisons that one explanation speaks of.
const MAX_COMPARISONS: usize = 16;
/// Characters of one explanation.
const MAX_LENGTH: usize = 1_000;

impl Condition {
    /// Explains the expression as of now: each comparison, how it came out, and the values that
    /// made it so. `cpu > 23% is false: cpu = 20, posted 4 s ago; mem == nil is true: never posted`
    #[must_use]
    pub fn explain(&self, lookup: &impl Lookup) -> String {
        let mut comparisons = Vec::new();
        collect(&self.expr, &mut comparisons);
        let mut text = String::new();
        for (index, comparison) in comparisons.iter().take(MAX_COMPARISONS).enumerate() {
            if index > 0 {
                text.push_str("; ");
            }
            // Writing to a string cannot fail.
            let _ = self.explain_comparison(&mut text, comparison, lookup);
        }
        if let Some(more @ 1..) = comparisons.len().checked_sub(MAX_COMPARISONS) {
            let _ = write!(text, "; and {more} more");
        }
        if let Some((end, _)) = text.char_indices().nth(MAX_LENGTH) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    fn explain_comparison(
        &self,
        text: &mut String,
        comparison: &Comparison,
        lookup: &impl Lookup,
    ) -> fmt::Result {
        let written = self.written(comparison);
        match self.compare(comparison, lookup) {
            Ok(truth) => write!(text, "{written} is {truth}")?,
            Err(_) => write!(text, "{written} fails, the units do not fit")?,
        }
        let operands = [&comparison.left, &comparison.right];
        // The name of the only metric need not be said twice.
        let alone = operands
            .iter()
            .filter(|operand| matches!(operand, Operand::Metric(_) | Operand::Window(_)))
            .count()
            == 1;
        let beside = operands.into_iter().find_map(|operand| match operand {
            Operand::Quantity(quantity) => Some(quantity),
            Operand::Metric(_) | Operand::Window(_) | Operand::Nil => None,
        });
        let facts: Vec<String> = operands
            .into_iter()
            .filter_map(|operand| match operand {
                Operand::Metric(place) => {
                    Some(metric_fact(&self.metrics[*place], lookup, beside, alone))
                }
                Operand::Window(place) => Some(window_fact(&self.windows[*place], lookup, beside)),
                Operand::Quantity(_) | Operand::Nil => None,
            })
            .collect();
        if !facts.is_empty() {
            write!(text, ": {}", facts.join(", "))?;
        }
        Ok(())
    }
}

impl Watch {
    /// Explains the condition as of `now`: as [`Condition::explain`], and how far `for` is.
    #[must_use]
    pub fn explain(&self, condition: &Condition, lookup: &impl Lookup, now: Duration) -> String {
        let mut text = condition.explain(lookup);
        if let Some(hold) = condition.hold() {
            let hold = Span(hold);
            let _ = match self.true_for(now) {
                Some(lasted) => write!(text, "; true for {} of {hold}", Age(lasted)),
                None => write!(text, "; to be true for {hold}"),
            };
        }
        text
    }
}

fn metric_fact(
    metric: &Metric,
    lookup: &impl Lookup,
    beside: Option<&Quantity>,
    alone: bool,
) -> String {
    let name = metric.name();
    let value = match lookup.reading(metric) {
        Some(reading) => format!("{name} = {}", shown(reading.value, reading.unit, beside)),
        None => name.to_owned(),
    };
    let subject = if alone { String::new() } else { format!("{name} ") };
    match lookup.history(metric) {
        History::NeverPosted => format!("{subject}never posted"),
        History::Known => value,
        History::Posted(age) => format!("{value}, posted {} ago", Age(age)),
        History::Stale(age) => format!("{subject}stale, posted {} ago", Age(age)),
    }
}

fn window_fact(window: &Window, lookup: &impl Lookup, beside: Option<&Quantity>) -> String {
    let count = lookup.samples(window).map_or(0, |samples| samples.count());
    let result = lookup.samples(window).and_then(|samples| {
        let result = samples.result(window.function())?;
        Some(format!("{window} = {}", shown(result, samples.unit(), beside)))
    });
    let samples = if count == 1 { "sample" } else { "samples" };
    match result {
        Some(result) => format!("{result} over {count} {samples}"),
        None => format!("{window} is nil over {count} {samples}"),
    }
}

/// Writes a value for people. Beside a number it has that number's unit, and no more digits than an
/// eye takes in, unless it then seemed to be on another side of the number.
fn shown(value: f64, unit: Option<&Unit>, beside: Option<&Quantity>) -> String {
    let text = |value, unit: Option<&Unit>| {
        format!("{}{}", Number(value), unit.map_or("", |unit| unit.shown()))
    };
    let short = beside.and_then(|beside| {
        let (factor, order, unit) = match (unit, &beside.unit) {
            (Some(own), Some(other)) => {
                let order = compare((value, own), (beside.value, other)).ok()?;
                (own.factor_to(other)?, order, Some(other))
            }
            (own, _) => (1.0, value.partial_cmp(&beside.value), own),
        };
        let short = rounded(value * factor);
        (short.partial_cmp(&beside.value) == order).then(|| text(short, unit))
    });
    short.unwrap_or_else(|| text(value, unit))
}

/// Rounds to six digits, but not what is before the point.
fn rounded(value: f64) -> f64 {
    if value.abs() >= 1e5 {
        return value.round();
    }
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Writes a time span for people, in its greatest unit.
struct Age(Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds @ 1..120 => write!(f, "{seconds} s"),
            seconds @ 120..7_200 => write!(f, "{} min", seconds / 60),
            seconds @ 7_200..172_800 => write!(f, "{} h", seconds / 3_600),
            seconds => write!(f, "{} d", seconds / 86_400),
        }
    }
}

fn collect<'a>(expr: &'a Expr, comparisons: &mut Vec<&'a Comparison>) {
    match expr {
        Expr::Comparison(comparison) => comparisons.push(comparison),
        Expr::Not(negated) => collect(negated, comparisons),
        Expr::And(terms) | Expr::Or(terms) => {
            for term in terms {
                collect(term, comparisons);
            }
        }
    }
}
