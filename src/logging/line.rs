//! Lays an event out as one line of text.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use grammar::{printable, printable_json};
use serde_json::Value;
use tracing::{Level, Metadata};

use super::fields::Fields;

/// Names that every line has; a field of that name is shown as `field_…` beside it.
const FIXED: [&str; 4] = ["time", "severity", "message", "target"];

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// One JSON object.
    Json,
    /// Text for people.
    Pretty {
        /// With the escapes of a terminal.
        colour: bool,
    },
}

/// Returns the line, its end included.
pub(super) fn render(
    look: Look,
    at: DateTime<Utc>,
    metadata: &Metadata<'_>,
    fields: &Fields,
) -> String {
    match look {
        Look::Json => json(at, metadata, fields),
        Look::Pretty { colour } => pretty(at, metadata, fields, colour),
    }
}

fn json(at: DateTime<Utc>, metadata: &Metadata<'_>, fields: &Fields) -> String {
    let time = at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let fixed =
        [time.as_str(), metadata.level().as_str(), fields.message.as_str(), metadata.target()];
    let mut line = String::from("{");
    for (name, value) in FIXED.into_iter().zip(fixed) {
        push_member(&mut line, name, &Value::from(value));
    }
    for (name, value) in &fields.values {
        if FIXED.contains(name) {
            push_member(&mut line, &format!("field_{name}"), value);
        } else {
            push_member(&mut line, name, value);
        }
    }
    line.push('}');
    // JSON itself escapes no more than the first control characters.
    let mut line = printable_json(&line).into_owned();
    line.push('\n');
    line
}

fn push_member(line: &mut String, name: &str, value: &Value) {
    let comma = if line.len() > 1 { "," } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(line, "{comma}{}:{value}", Value::from(name));
}

fn pretty(at: DateTime<Utc>, metadata: &Metadata<'_>, fields: &Fields, colour: bool) -> String {
    let time = at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let level = metadata.level().as_str();
    let message = printable(&fields.message);
    let mut line = if colour {
        let tint = tint(*metadata.level());
        format!("\x1b[2m{time}\x1b[0m \x1b[{tint}m{level:>5}\x1b[0m {message}")
    } else {
        format!("{time} {level:>5} {message}")
    };
    for (name, value) in &fields.values {
        let value = match value {
            Value::String(text) => quoted_if_needed(text),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => value.to_string(),
        };
        let _ = if colour {
            write!(line, " \x1b[2m{name}=\x1b[0m{value}")
        } else {
            write!(line, " {name}={value}")
        };
    }
    line.push('\n');
    line
}

/// The colour of a level, in the codes of terminals.
fn tint(level: Level) -> &'static str {
    match level {
        Level::ERROR => "31",
        Level::WARN => "33",
        Level::INFO => "32",
        Level::DEBUG => "34",
        Level::TRACE => "35",
    }
}

/// Leaves single words bare, so that they are easy to copy.
fn quoted_if_needed(text: &str) -> String {
    let bare = |c: char| c.is_alphanumeric() || "-_./:@%+".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        return text.to_owned();
    }
    // Quotation marks are escaped, too: one event is one line, and its fields can be separated.
    printable(&format!("{text:?}")).into_owned()
}
