//! InfluxDB line protocol, `cpu,host=a usage_idle=98.5,usage_user=1.5 1700000000`: each field is a
//! metric, `cpu_usage_idle`, and tags are its labels. Timestamps are ignored: a sample counts from its
//! arrival.

use std::borrow::Cow;

use super::batch::{Batch, Ignored};
use super::error::{BodyError, quoted};
use super::names::{Label, MAX_NAME, Series, add_label, implied_unit};

/// Reads all points of a body.
///
/// # Errors
/// The first line that is no point, and what a point looks like.
pub(super) fn parse(text: &str, batch: &mut Batch) -> Result<(), BodyError> {
    let mut cursor = Cursor { rest: text, line: 1 };
    loop {
        cursor.skip(|byte| byte.is_ascii_whitespace());
        match cursor.peek() {
            None => return Ok(()),
            Some(b'#') => cursor.skip(|byte| byte != b'\n'),
            Some(_) => point(&mut cursor, batch)?,
        }
        if batch.is_full() {
            return Ok(());
        }
    }
}

fn point(cursor: &mut Cursor<'_>, batch: &mut Batch) -> Result<(), BodyError> {
    let measurement = cursor.name(b", ");
    if measurement.is_empty() {
        return Err(cursor.wrong("a measurement has a name"));
    }
    let mut tags: Vec<Label<'_>> = Vec::new();
    while cursor.eat(b',') {
        let key = cursor.name(b",= ");
        if key.is_empty() || !cursor.eat(b'=') {
            return Err(cursor.wrong("a tag has a key and a value"));
        }
        add_label(&mut tags, (key, cursor.name(b", ")));
    }
    cursor.skip(|byte| byte == b' ');
    // What is too long for a name stays so, and is not copied as a whole for each field.
    let end = measurement.char_indices().nth(MAX_NAME + 1).map_or(measurement.len(), |it| it.0);
    let measurement = measurement.get(..end).unwrap_or_default();
    let mut series = Series::new("", tags);
    loop {
        field(cursor, measurement, &mut series, batch)?;
        if batch.is_full() {
            return Ok(());
        }
        if !cursor.eat(b',') {
            break;
        }
    }
    cursor.skip(|byte| byte == b' ');
    let timestamp = cursor.word(|byte| byte == b'\n');
    let timestamp = timestamp.trim_end();
    if !timestamp.is_empty() && timestamp.parse::<i64>().is_err() {
        let found = quoted(timestamp);
        return Err(cursor.wrong(&format!("{found} is neither a field nor a timestamp")));
    }
    Ok(())
}

fn field(
    cursor: &mut Cursor<'_>,
    measurement: &str,
    series: &mut Series<'_>,
    batch: &mut Batch,
) -> Result<(), BodyError> {
    let key = cursor.name(b",= ");
    if key.is_empty() || !cursor.eat(b'=') {
        return Err(cursor.wrong("a point has a field with a value"));
    }
    series.name = Cow::Owned(format!("{measurement}_{key}"));
    if cursor.peek() == Some(b'"') {
        cursor.skip_text()?;
        batch.ignore(series, Ignored::Text, 1);
        return Ok(());
    }
    let written = cursor.word(|byte| matches!(byte, b',' | b' ' | b'\n' | b'\r'));
    let value = number(written).ok_or_else(|| {
        let (key, found) = (quoted(&key), quoted(written));
        cursor.wrong(&format!("field {key} has the value {found}, which is no number"))
    })?;
    let unit = implied_unit(&series.name).map(str::to_owned);
    batch.take(series, value, unit);
    Ok(())
}

/// Reads a float, an integer `5i`, an unsigned one `5u`, or a boolean, which is 0 or 1.
fn number(text: &str) -> Option<f64> {
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(0.0),
        _ => {}
    }
    if let Some(digits) = text.strip_suffix(['i', 'u']) {
        // Larger ones than the protocol knows are no less numbers.
        let is_integer =
            digits.strip_prefix('-').unwrap_or(digits).bytes().all(|it| it.is_ascii_digit());
        return digits.parse().ok().filter(|_| is_integer);
    }
    text.parse().ok()
}

/// What is left of the body, and in which line that starts.
struct Cursor<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    /// Takes the byte if it comes next.
    fn eat(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.advance(1);
        }
        is_next
    }

    /// Takes `length` bytes, which end at a character boundary.
    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
        taken
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
        self.word(|byte| !is_skipped(byte));
    }

    /// Takes all bytes up to the first one, an ASCII character, at which it ends.
    fn word(&mut self, is_end: impl Fn(u8) -> bool) -> &'a str {
        let length = self.rest.bytes().position(|byte| byte.is_ascii() && is_end(byte));
        self.advance(length.unwrap_or(self.rest.len()))
    }

    /// Takes a name up to one of `ends` or the end of the line. A backslash takes the meaning from a
    /// comma, an equals sign and a blank.
    fn name(&mut self, ends: &[u8]) -> Cow<'a, str> {
        let mut is_escaped = false;
        let mut has_escapes = false;
        let length = self.rest.bytes().position(|byte| {
            let is_end = (ends.contains(&byte) && !is_escaped) || byte == b'\n';
            has_escapes |= is_escaped && matches!(byte, b',' | b'=' | b' ');
            is_escaped = byte == b'\\' && !is_escaped;
            is_end
        });
        let name = self.advance(length.unwrap_or(self.rest.len()));
        if !has_escapes {
            return Cow::Borrowed(name);
        }
        let plain = name.replace("\\,", ",").replace("\\=", "=").replace("\\ ", " ");
        Cow::Owned(plain)
    }

    /// Takes a text in quotes, which may hold line ends, and `\"`.
    fn skip_text(&mut self) -> Result<(), BodyError> {
        let mut is_escaped = false;
        let closing = self.rest.bytes().skip(1).position(|byte| {
            let closes = byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            closes
        });
        match closing {
            Some(length) => {
                self.advance(length + 2);
                Ok(())
            }
            None => Err(self.wrong("a text has no closing quote")),
        }
    }

    fn wrong(&self, what: &str) -> BodyError {
        let message = format!("{what}; write `cpu,host=a usage_idle=98.5,usage_user=1.5`");
        BodyError::in_line(self.line, &message)
    }
}

#[cfg(test)]
mod tests;
