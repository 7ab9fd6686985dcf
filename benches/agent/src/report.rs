//! The table: what was measured beside what was aimed at.

use std::fmt::Write as _;

/// Whether a target was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// There is no target, or this run is too short to tell.
    Open,
}

impl Outcome {
    /// Returns [`Self::Met`] if it was `met`.
    pub(crate) const fn of(met: bool) -> Self {
        if met { Self::Met } else { Self::Missed }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::Open => "–",
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: &'static str,
    /// What it should be.
    pub(crate) target: &'static str,
    /// What it is.
    pub(crate) measured: String,
    /// Whether that is good enough.
    pub(crate) outcome: Outcome,
    /// How it was measured, and what else there is to say.
    pub(crate) notes: Vec<String>,
}

/// Returns the rows as a Markdown table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| what | target | measured | |\n|---|---|---|---|\n");
    for Row { what, target, measured, outcome, .. } in rows {
        let _ = writeln!(text, "| {what} | {target} | {measured} | {} |", outcome.as_str());
    }
    text
}

/// Returns what is to be said about the rows, as a Markdown list.
pub(crate) fn notes(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| !row.notes.is_empty()) {
        let _ = writeln!(text, "- **{}**: {}", row.what, row.notes.join(" "));
    }
    text
}

/// Returns the value below which a share of `sorted` lies. `share` is between 0 and 1.
pub(crate) fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a list of measurements"
    )]
    let index = (last as f64 * share).round() as usize;
    sorted.get(index).copied()
}

/// Returns the middle one, after sorting.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5).unwrap_or(f64::NAN)
}
