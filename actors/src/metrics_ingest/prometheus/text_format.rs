//! Writes Prometheus' text format 0.0.4. Pure.
//!
//! No client library: those keep counters of their own, while the actors are asked for theirs at each
//! scrape.

use std::fmt::{self, Write as _};

use grammar::{printable_lines, shortened};

use crate::latency::Latencies;

/// Longest value of a label, in characters.
const MAX_LABEL: usize = 1_024;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Prometheus text under construction.
#[derive(Default)]
pub(super) struct Exposition {
    family: &'static str,
    text: String,
}

impl Exposition {
    /// Starts a family; its samples follow.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.family = name;
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// Writes a sample of the family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl fmt::Display) {
        self.series("", labels, value);
    }

    /// Writes all samples of a histogram without labels. Its buckets are cumulative.
    pub(super) fn histogram(&mut self, latencies: &Latencies) {
        let mut total = 0;
        for (bound, count) in latencies.classes() {
            total += count;
            let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
            self.series("_bucket", &[("le", &bound)], total);
        }
        self.series("_sum", &[], latencies.sum());
        self.series("_count", &[], total);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    fn series(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
        let family = self.family;
        if labels.is_empty() {
            return self.line(format_args!("{family}{suffix} {value}"));
        }
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        self.line(format_args!("{family}{suffix}{{{}}} {value}", labels.join(",")));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

/// Escapes a label's value for the text format, which itself escapes line ends and no other character
/// that a terminal acts on.
fn escape(value: &str) -> String {
    shortened(&printable_lines(value), MAX_LABEL)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests;
