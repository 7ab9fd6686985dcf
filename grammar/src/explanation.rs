//! Why a condition is true or not, in words for its author.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::ast::{Arithmetic, Comparison, Leaf, Metric, Operand, Quantity, Window};
use crate::calendar::Calendar;
use crate::condition::Condition;
use crate::evaluator::{History, Lookup, Reading};
use crate::unit::{Unit, compare};
use crate::watch::Watch;
use crate::writing::{Number, Span};

/// Comparisons that one explanation speaks of.
const MAX_COMPARISONS: usize = 16;
/// Values of one calculation that its explanation speaks of.
const MAX_VALUES: usize = 8;
/// Characters of one explanation.
const MAX_LENGTH: usize = 1_000;

impl Condition {
    /// Explains the expression as of now: each comparison, days and hours too, how it came out, and the values that
    /// made it so. `cpu > 23% is false: cpu = 20%, posted 4 s ago; mem == nil is true: never posted`
    #[must_use]
    pub fn explain(&self, lookup: &impl Lookup) -> String {
        let mut leaves = Vec::new();
        self.for_each_leaf(&mut |leaf| leaves.push(leaf));
        let mut text = String::new();
        for (index, leaf) in leaves.iter().take(MAX_COMPARISONS).enumerate() {
            if index > 0 {
                text.push_str("; ");
            }
            // Writing to a string cannot fail.
            let _ = match leaf {
                Leaf::Comparison(it) => self.explain_comparison(&mut text, it, lookup),
                Leaf::Calendar(calendar) => explain_calendar(&mut text, calendar, lookup),
            };
        }
        if let Some(more @ 1..) = leaves.len().checked_sub(MAX_COMPARISONS) {
            let _ = write!(text, "; and {more} more");
        }
        if let Some((end, _)) = text.char_indices().nth(MAX_LENGTH) {
            text.truncate(end);
            text.push('…');
        }
        text
    }

    /// Says of the first value without a unit that is compared with one that has a unit what is
    /// compared, `mem = 20 without a unit, compared with 512`: the bare numbers, which may not be what
    /// their author and their sender mean. Allocates nothing while there is none.
    #[must_use]
    pub fn unit_missing(&self, lookup: &impl Lookup) -> Option<String> {
        let mut found = None;
        self.for_each_leaf(&mut |leaf| {
            if let (None, Leaf::Comparison(comparison)) = (&found, leaf) {
                found = self.bare_side(comparison, lookup);
            }
        });
        found
    }

    fn bare_side(&self, comparison: &Comparison, lookup: &impl Lookup) -> Option<String> {
        let bare = |operand: &Operand, other: &Operand| {
            let note = bare_note(self.bare_against(operand, other, lookup)?);
            let value = Number(self.value(operand, lookup)?.value);
            Some(format!("{} = {value}{note}", self.written(operand)))
        };
        let Comparison { left, right, .. } = comparison;
        bare(left, right).or_else(|| bare(right, left))
    }

    /// Returns the number with a unit that a posted value without one is compared with.
    fn bare_against(
        &self,
        operand: &Operand,
        other: &Operand,
        lookup: &impl Lookup,
    ) -> Option<f64> {
        if !self.has_posted_unit(operand) {
            return None;
        }
        let (own, other) = (self.value(operand, lookup)?, self.value(other, lookup)?);
        (own.unit.is_none() && other.unit.is_some()).then_some(other.value)
    }

    /// Returns whether samples could give the operand a unit.
    fn has_posted_unit(&self, operand: &Operand) -> bool {
        let mut has = false;
        operand.for_each_value(&mut |value| match value {
            Operand::Metric(_) => has = true,
            Operand::Window(place) => {
                has |= self.windows[*place].function.has_unit_of_samples();
            }
            Operand::Quantity(_) | Operand::Arithmetic(_) | Operand::Nil => {}
        });
        has
    }

    fn explain_comparison(
        &self,
        text: &mut String,
        comparison: &Comparison,
        lookup: &impl Lookup,
    ) -> fmt::Result {
        let written = self.written(comparison);
        match self.truth_of_comparison(comparison, lookup) {
            Ok(truth) => write!(text, "{written} is {truth}")?,
            Err(_) => write!(text, "{written} fails, the units do not fit")?,
        }
        let operands =
            [(&comparison.left, &comparison.right), (&comparison.right, &comparison.left)];
        let mut facts = Vec::new();
        for (operand, other) in operands {
            let beside = match other {
                Operand::Quantity(quantity) => Some(quantity),
                Operand::Metric(_) | Operand::Window(_) | Operand::Arithmetic(_) | Operand::Nil => {
                    None
                }
            };
            // The name of the only metric need not be said twice.
            let alone = matches!(other, Operand::Quantity(_) | Operand::Nil);
            let bare = self.bare_against(operand, other, lookup).map(bare_note);
            let fact = Fact { beside, bare: bare.unwrap_or_default(), alone };
            facts.extend(fact.of(self, operand, lookup));
            if matches!(operand, Operand::Arithmetic(_)) {
                self.facts_within(operand, lookup, &mut facts);
            }
        }
        if !facts.is_empty() {
            write!(text, ": {}", facts.join(", "))?;
        }
        Ok(())
    }

    /// Adds what is known of each value that a calculation names.
    fn facts_within(&self, operand: &Operand, lookup: &impl Lookup, facts: &mut Vec<String>) {
        let mut values = Vec::new();
        operand.for_each_value(&mut |value| {
            let is_named = matches!(value, Operand::Metric(_) | Operand::Window(_));
            if is_named && values.len() <= MAX_VALUES && !values.contains(&value) {
                values.push(value);
            }
        });
        let fact = Fact { beside: None, bare: String::new(), alone: false };
        let known = values.iter().take(MAX_VALUES);
        facts.extend(known.filter_map(|value| fact.of(self, value, lookup)));
        if values.len() > MAX_VALUES {
            facts.push("and more".to_owned());
        }
    }
}

impl Watch {
    /// Explains the condition as of `now`: as [`Condition::explain`], how far `for` is, and with
    /// `until` which of its expressions is awaited.
    #[must_use]
    pub fn explain(&self, condition: &Condition, lookup: &impl Lookup, now: Duration) -> String {
        let mut text = condition.explain(lookup);
        if condition.has_end() {
            let (state, side, hold, lasted) = if self.is_on() {
                let lasted = self.end_true_for(now);
                ("has begun: it ends", "after", condition.end_hold(), lasted)
            } else {
                let lasted = self.true_for(now);
                ("has not begun: it begins", "before", condition.hold(), lasted)
            };
            let _ = write!(text, "; {state} once what stands {side} `until` is true");
            if let Some(hold) = hold {
                let _ = write!(text, " for {}", Span(hold));
                if let Some(lasted) = lasted {
                    let _ = write!(text, ", so far for {}", Age(lasted));
                }
            }
            if !self.is_on() {
                text.push_str(" and what stands after it is not");
            }
        } else if let Some(hold) = condition.hold() {
            let hold = Span(hold);
            let _ = match self.true_for(now) {
                Some(lasted) => write!(text, "; true for {} of {hold}", Age(lasted)),
                None => write!(text, "; to be true for {hold}"),
            };
        }
        text
    }
}

fn explain_calendar(text: &mut String, calendar: &Calendar, lookup: &impl Lookup) -> fmt::Result {
    write!(text, "{calendar} is {}: ", calendar.truth(lookup))?;
    match lookup.local_time() {
        Some(time) => write!(text, "it is {time}"),
        None => text.write_str("the device's clock is not known to be set"),
    }
}

/// Says of a value without a unit what it is compared with.
fn bare_note(number: f64) -> String {
    format!(" without a unit, compared with {}", Number(number))
}

/// What a fact about one operand of a comparison is written with.
struct Fact<'a> {
    /// The number on the other side.
    beside: Option<&'a Quantity>,
    /// What [`bare_note`] says.
    bare: String,
    /// Its metric is the only one of the comparison.
    alone: bool,
}

impl Fact<'_> {
    /// Returns what is known of the operand; nothing of what its author wrote.
    fn of(&self, condition: &Condition, operand: &Operand, lookup: &impl Lookup) -> Option<String> {
        match operand {
            Operand::Metric(place) => Some(self.of_metric(&condition.metrics[*place], lookup)),
            Operand::Window(place) => Some(self.of_window(&condition.windows[*place], lookup)),
            Operand::Arithmetic(arithmetic) => {
                Some(self.of_arithmetic(condition, arithmetic, lookup))
            }
            Operand::Quantity(_) | Operand::Nil => None,
        }
    }

    fn of_metric(&self, metric: &Metric, lookup: &impl Lookup) -> String {
        let name = metric.name();
        let value = match lookup.reading(metric) {
            Some(reading) => {
                let value = shown(reading.value, reading.unit, self.beside);
                format!("{name} = {value}{}", self.bare)
            }
            None => name.to_owned(),
        };
        let subject = if self.alone { String::new() } else { format!("{name} ") };
        match lookup.history(metric) {
            History::NeverPosted => format!("{subject}never posted"),
            History::Known => value,
            History::Posted(age) => format!("{value}, posted {} ago", Age(age)),
            History::Stale(age) => format!("{subject}stale, posted {} ago", Age(age)),
        }
    }

    fn of_arithmetic(
        &self,
        condition: &Condition,
        arithmetic: &Arithmetic,
        lookup: &impl Lookup,
    ) -> String {
        let written = condition.written(arithmetic);
        match condition.calculate(arithmetic, lookup) {
            Ok(Some(Reading { value, unit })) => {
                format!("{written} = {}{}", shown(value, unit, self.beside), self.bare)
            }
            Ok(None) if condition.divides_by_zero(arithmetic, lookup) => {
                format!("{written} is nil, for it divides by 0")
            }
            Ok(None) | Err(_) => format!("{written} is nil"),
        }
    }

    fn of_window(&self, window: &Window, lookup: &impl Lookup) -> String {
        let count = lookup.samples(window).map_or(0, |samples| samples.count());
        let result = lookup.samples(window).and_then(|samples| {
            let Reading { value, unit } = window.reading(samples)?;
            let value = shown(value, unit, self.beside);
            Some(format!("{window} = {value}{}", self.bare))
        });
        let samples = if count == 1 { "sample" } else { "samples" };
        let separator = if self.bare.is_empty() { "" } else { "," };
        match result {
            Some(result) => format!("{result}{separator} over {count} {samples}"),
            None => format!("{window} is nil over {count} {samples}"),
        }
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
