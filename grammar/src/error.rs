//! Why a text is not a condition, in words for its author.

use std::fmt;

use crate::printable::is_printable;

/// Characters of the text that a picture shows on either side of the mistake.
const PICTURE_REACH: usize = 40;
/// Characters of the text that a message quotes.
const MAX_QUOTE: usize = 24;

/// A text that is not a condition: where, what was found there, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: found {found}, expected {expected}")]
pub struct ConditionError {
    column: usize,
    found: String,
    expected: String,
    excerpt: Excerpt,
}

/// The part of the text around the mistake, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    text: String,
    /// Characters before the mistake.
    caret: usize,
}

impl ConditionError {
    /// Makes the error for the mistake at byte `offset` of `text`, quoting what stands there.
    pub(crate) fn at(text: &str, offset: usize, expected: impl Into<String>) -> Self {
        let offset = skip_space(text, offset);
        Self::new(text, offset, found_at(&text[offset..]), expected)
    }

    /// Makes the error for the mistake at byte `offset` of `text`, a character boundary.
    pub(crate) fn new(
        text: &str,
        offset: usize,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            column: text[..offset].chars().count() + 1,
            found: found.into(),
            expected: expected.into(),
            excerpt: Excerpt::around(text, offset),
        }
    }

    /// Returns where the mistake is: the first character of the text is column 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// Returns what stands there, in plain words.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns what could stand there, in plain words.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns the text around the mistake, and a caret below it.
    ///
    /// ```
    /// let error = grammar::Condition::parse("cpu > 20 & mem < 3").unwrap_err();
    /// assert_eq!(
    ///     error.picture(),
    ///     "cpu > 20 & mem < 3\n         ^ expected `&&`, `||`, `for`, `until` or the end",
    /// );
    /// ```
    #[must_use]
    pub fn picture(&self) -> String {
        let Excerpt { text, caret } = &self.excerpt;
        format!("{text}\n{:caret$}^ expected {}", "", self.expected)
    }
}

impl Excerpt {
    fn around(text: &str, offset: usize) -> Self {
        let (before, after) = text.split_at(offset);
        let shown_before: Vec<char> = before.chars().rev().take(PICTURE_REACH).collect();
        let cut_before = before.chars().nth(PICTURE_REACH).is_some();
        let cut_after = after.chars().nth(PICTURE_REACH).is_some();
        let mut shown = String::new();
        if cut_before {
            shown.push('…');
        }
        shown.extend(shown_before.iter().rev().map(|&c| on_one_line(c)));
        let caret = shown.chars().count();
        shown.extend(after.chars().take(PICTURE_REACH).map(on_one_line));
        if cut_after {
            shown.push('…');
        }
        Self { text: shown.trim_end().to_owned(), caret }
    }
}

/// Keeps the caret below its character.
fn on_one_line(c: char) -> char {
    if is_printable(c) { c } else { ' ' }
}

fn skip_space(text: &str, offset: usize) -> usize {
    let rest = &text[offset..];
    offset + (rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len())
}

/// Quotes the word, number or sign at the start of `rest`.
fn found_at(rest: &str) -> String {
    let Some(first) = rest.chars().next() else {
        return "the end".to_owned();
    };
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    let is_sign = |c: char| matches!(c, '=' | '!' | '<' | '>' | '&' | '|');
    let quoted: String = if is_word(first) {
        rest.chars().take_while(|&c| is_word(c)).collect()
    } else if is_sign(first) {
        rest.chars().take_while(|&c| is_sign(c)).collect()
    } else {
        first.to_string()
    };
    quote(&quoted)
}

/// Puts `text` between back quotes, shortened and printable.
fn quote(text: &str) -> String {
    let shown = text
        .chars()
        .take(MAX_QUOTE)
        .map(|c| if is_printable(c) { c } else { char::REPLACEMENT_CHARACTER });
    let rest = if text.chars().nth(MAX_QUOTE).is_some() { "…" } else { "" };
    let mut quoted = String::from("`");
    quoted.extend(shown);
    quoted.push_str(rest);
    quoted.push('`');
    quoted
}

/// Joins alternatives: `a, b or c`.
pub(crate) struct Either<'a>(pub(crate) &'a [&'a str]);

impl fmt::Display for Either<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("something else"),
            [only] => f.write_str(only),
            [first @ .., last] => write!(f, "{} or {last}", first.join(", ")),
        }
    }
}
