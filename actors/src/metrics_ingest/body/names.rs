//! The one rule by which what senders call a metric becomes a name that a condition can refer to, and
//! the unit that such a name implies.

use std::borrow::Cow;
use std::fmt;

use crate::workload::MetricName;

/// Longest name of a metric, in bytes.
pub(super) const MAX_NAME: usize = 256;

/// Longest unit, in bytes.
pub(super) const MAX_UNIT: usize = 64;

/// Most labels that are kept of a series: one more than can stand in a name, each with three
/// characters at least.
const MAX_LABELS: usize = MAX_NAME / 3 + 1;

/// A key and a value that tell one series of a metric from another: a label, a tag, an attribute.
pub(super) type Label<'a> = (Cow<'a, str>, Cow<'a, str>);

/// What a sender calls a metric. Written as Prometheus does, `name{key="value"}`.
#[derive(Clone, Debug)]
pub(super) struct Series<'a> {
    pub(super) name: Cow<'a, str>,
    /// In order of their keys.
    labels: Vec<Label<'a>>,
}

/// Why there is no name for a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameError {
    /// Its name has no letter and no digit that a condition knows.
    NothingLeft,
    /// It has more than [`MAX_NAME`] bytes.
    TooLong,
}

/// Adds a label. One without a value counts as absent, and so does what is too much for any name: a body
/// of nothing but labels takes no more memory than others.
pub(super) fn add_label<'a>(labels: &mut Vec<Label<'a>>, label: Label<'a>) {
    if !label.1.is_empty() && labels.len() < MAX_LABELS {
        labels.push(label);
    }
}

impl<'a> Series<'a> {
    /// Labels are those that [`add_label`] added.
    pub(super) fn new(name: impl Into<Cow<'a, str>>, mut labels: Vec<Label<'a>>) -> Self {
        labels.sort();
        Self { name: name.into(), labels }
    }

    /// Returns whether it has that name and no labels.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.labels.is_empty() && self.name == name
    }

    /// Returns the name under which conditions know it: its name, then `_key_value` for each label
    /// in order of keys. `_` stands for each character but ASCII letters, digits, `_` and `.`, and in
    /// front of what is no name: a digit, `.`, the words `nil` and `for`.
    pub(super) fn known_as(&self) -> Result<MetricName, NameError> {
        if self.labels.is_empty() && is_metric_name(&self.name) {
            return Ok(MetricName::from(&*self.name));
        }
        // No part is read further than it can count, here and below.
        if !self.name.bytes().take(MAX_NAME).any(|byte| byte.is_ascii_alphanumeric()) {
            return Err(NameError::NothingLeft);
        }
        let labels = self.labels.iter().flat_map(|(key, value)| ["_", key, "_", value]);
        let mut known = String::new();
        for part in std::iter::once(&*self.name).chain(labels) {
            known.extend(part.chars().take(MAX_NAME + 1).map(in_name));
            if known.len() > MAX_NAME {
                return Err(NameError::TooLong);
            }
        }
        if !is_metric_name(&known) {
            known.insert(0, '_');
        }
        match is_metric_name(&known) {
            true => Ok(MetricName::from(known.as_str())),
            false => Err(NameError::TooLong),
        }
    }
}

impl fmt::Display for Series<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (place, (key, value)) in self.labels.iter().enumerate() {
            let start = if place == 0 { "{" } else { "," };
            write!(f, "{start}{key}={value:?}")?;
        }
        if self.labels.is_empty() { Ok(()) } else { f.write_str("}") }
    }
}

fn in_name(c: char) -> char {
    if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }
}

/// Returns whether a condition can refer to the name as it is.
pub(super) fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts_well
        && name.len() <= MAX_NAME
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
        && name != "nil"
        && name != "for"
}

/// Returns whether a sample may have the unit.
pub(super) fn may_be_unit(unit: &str) -> bool {
    unit.len() <= MAX_UNIT && unit.chars().all(grammar::is_printable)
}

/// Returns the unit that the end of a name implies, by Prometheus' convention of base units:
/// `_bytes`, `_seconds`, also before `_total` and `_sum`.
pub(super) fn implied_unit(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let name = name.strip_suffix("_sum").unwrap_or(name);
    let unit = match name.rsplit(['_', '.']).next()? {
        "bytes" => "B",
        "seconds" => "s",
        "milliseconds" => "ms",
        "microseconds" => "us",
        "nanoseconds" => "ns",
        "celsius" => "C",
        "hertz" => "Hz",
        "percent" => "%",
        _ => return None,
    };
    Some(unit)
}

#[cfg(test)]
mod tests;
