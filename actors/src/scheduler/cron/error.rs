//! What is wrong with a cron expression, and where.

use std::fmt::Write;

/// How many characters of an expression an error shows around the place that it is about.
pub(crate) const SHOWN: usize = 60;

/// A text that is not a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read the cron expression: {field}, column {column}: found {found}, expected {expected}"
)]
pub struct CronError {
    field: &'static str,
    column: usize,
    found: String,
    expected: String,
    text: String,
    width: usize,
}

impl CronError {
    /// Returns the name of the field that is wrong, as in crontab(5).
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Returns where the wrong part starts, in characters from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// Returns what stands there.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns what may stand there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns two lines: the expression, and carets under the wrong part. A long expression is
    /// shown in part.
    #[must_use]
    pub fn picture(&self) -> String {
        let start = self.column - 1;
        let first = start.saturating_sub(SHOWN / 2);
        let printable = |c: char| if grammar::is_printable(c) { c } else { ' ' };
        let shown: String = self.text.chars().skip(first).take(SHOWN).collect();
        let before = if first > 0 { "…" } else { "" };
        let cut = self.text.chars().nth(first + SHOWN).is_some();
        let after = if cut { "…" } else { "" };
        let mut picture =
            format!("{before}{}{after}\n", shown.chars().map(printable).collect::<String>());
        let indent = start - first + before.chars().count();
        let carets = "^".repeat(self.width.clamp(1, SHOWN - (start - first)));
        // Writing to a String cannot fail.
        let _ = write!(picture, "{:indent$}{carets}", "");
        picture
    }

    /// The crate `cron` does not take what we made of a sound expression: a mistake of ours.
    pub(crate) fn untranslatable(text: &str, fields: &str, error: &::cron::error::Error) -> Self {
        Word { column: 1, text }.error(
            "expression",
            text,
            format!("one that can be scheduled; {fields} cannot: {error}"),
        )
    }
}

/// A part of the text and where it starts, in characters from 1.
#[derive(Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) column: usize,
    pub(crate) text: &'a str,
}

impl<'a> Word<'a> {
    /// Splits at every `separator`.
    pub(crate) fn split(
        self,
        separator: impl Fn(char) -> bool + Copy,
    ) -> impl Iterator<Item = Word<'a>> {
        let mut column = self.column;
        self.text.split(separator).map(move |text| {
            let word = Word { column, text };
            column += text.chars().count() + 1;
            word
        })
    }

    /// Splits at the first `separator`, if there is one.
    pub(crate) fn split_once(
        self,
        separator: impl Fn(char) -> bool,
    ) -> (Self, Option<(char, Self)>) {
        let Some((at, found)) = self.text.char_indices().find(|(_, c)| separator(*c)) else {
            return (self, None);
        };
        let (before, rest) = self.text.split_at(at);
        let after = Word {
            column: self.column + before.chars().count() + 1,
            text: rest.strip_prefix(found).unwrap_or(rest),
        };
        let before = Word { column: self.column, text: before };
        (before, Some((found, after)))
    }

    /// Says that something else than this part is expected in `text`.
    pub(crate) fn error(self, field: &'static str, text: &str, expected: String) -> CronError {
        let shown: String = self.text.chars().take(SHOWN).collect();
        CronError {
            field,
            column: self.column,
            found: if shown.is_empty() { "nothing".to_owned() } else { format!("{shown:?}") },
            expected,
            text: text.to_owned(),
            width: self.text.chars().count(),
        }
    }
}
