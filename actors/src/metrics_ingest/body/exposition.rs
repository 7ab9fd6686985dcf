//! Prometheus' text exposition format 0.0.4, and OpenMetrics: `name{label="value"} 1.5`. Timestamps are
//! ignored, and so are comments, types and exemplars.

use std::borrow::Cow;

use super::batch::Batch;
use super::error::{BodyError, quoted};
use super::names::{Label, Series, add_label, implied_unit};

/// Reads all samples of a body.
///
/// # Errors
/// The first line that is no sample, and what a sample looks like.
pub(super) fn parse(text: &str, batch: &mut Batch) -> Result<(), BodyError> {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (series, value) = sample(line).map_err(|what| {
            let message = format!("{what}; write `cpu_load{{core=\"0\"}} 0.75`");
            BodyError::in_line(index + 1, &message)
        })?;
        let unit = implied_unit(&series.name).map(str::to_owned);
        batch.take(&series, value, unit);
        if batch.is_full() {
            return Ok(());
        }
    }
    Ok(())
}

fn sample(line: &str) -> Result<(Series<'_>, f64), String> {
    let end = line.find([' ', '\t', '{']).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let (quoted_name, labels, rest) = match rest.trim_start_matches([' ', '\t']).strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (None, Vec::new(), rest),
    };
    let name = match quoted_name {
        Some(name) => name,
        None => Cow::Borrowed(name),
    };
    if name.is_empty() {
        return Err("a sample has a name".to_owned());
    }
    // What follows the value is a timestamp or an exemplar.
    let value = rest.split([' ', '\t']).find(|word| !word.is_empty());
    let value = value.ok_or("a sample has a value behind a blank")?;
    let number = value.parse().map_err(|_| format!("{} is no number", quoted(value)))?;
    Ok((Series::new(name, labels), number))
}

type Labels<'a> = (Option<Cow<'a, str>>, Vec<Label<'a>>, &'a str);

/// Reads labels and what follows the closing brace. A quoted text without a value is the name, as newer
/// versions write names that are not of the old alphabet.
fn labels(mut rest: &str) -> Result<Labels<'_>, String> {
    let (mut name, mut labels) = (None, Vec::new());
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((name, labels, rest));
        }
        let (key, after) = match rest.strip_prefix('"') {
            Some(text) => text_value(text)?,
            None => {
                let end = rest.find(['=', ' ', '\t', '}', ',']).unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                (Cow::Borrowed(key), after)
            }
        };
        let after = after.trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            Some(value) => {
                let value = value.trim_start_matches([' ', '\t']).strip_prefix('"');
                let value = value.ok_or_else(|| no_label(&key))?;
                let (value, after) = text_value(value)?;
                add_label(&mut labels, (key, value));
                rest = after;
            }
            None if rest.starts_with('"') => {
                name = Some(key);
                rest = after;
            }
            None => return Err(no_label(&key)),
        }
    }
}

fn no_label(key: &str) -> String {
    format!("label {} has no value in quotes, or the brace is not closed", quoted(key))
}

/// Reads a text up to its closing quote, and returns what follows that.
fn text_value(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let mut is_escaped = false;
    let closing = text.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    });
    let closing = closing.ok_or("a value has no closing quote")?;
    let (value, rest) = text.split_at(closing);
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    if !value.contains('\\') {
        return Ok((Cow::Borrowed(value), rest));
    }
    let mut plain = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        let c = if c == '\\' { characters.next().unwrap_or(c) } else { c };
        // No name keeps a line end: that the `n` stands for one need not be known.
        plain.push(c);
    }
    Ok((Cow::Owned(plain), rest))
}

#[cfg(test)]
mod tests;
