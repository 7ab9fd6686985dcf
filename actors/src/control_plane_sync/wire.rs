//! The JSON of the control plane and its conversion to and from our types.

mod answer;
mod configuration;
mod known;
mod request;

pub(crate) use answer::{ControlCommand, control_command, registration_answer};
pub(crate) use known::Known;
pub use request::AgentStatus;
pub(crate) use request::{Heartbeat, Stamp, enrolment, heartbeat, registration};

use crate::workload::DeviceId;

/// Most values that one answer may hold; a thousand workloads have some ten thousand.
const MAX_VALUES: usize = 250_000;

/// Why an answer of the control plane could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The body is no JSON.
    #[error("failed to read the answer as JSON")]
    Json(#[source] serde_json::Error),
    /// The body is of a sensible size and would take too much memory all the same.
    #[error("failed to read the answer: it holds more than {limit} values")]
    TooManyValues {
        /// Most that are read.
        limit: usize,
    },
    /// It has more workloads than any device runs.
    #[error("failed to read the answer: it holds {found} workloads, at most {limit} are read")]
    TooManyWorkloads {
        /// Those in the answer.
        found: usize,
        /// Most that are read.
        limit: usize,
    },
    /// No workload by itself is too much, but all are.
    #[error("failed to read the answer: it holds too many {what}")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
    },
    /// The same for what the workloads refer to.
    #[error(
        "failed to read the answer: config maps and secrets, counted for each workload that refers to \
         them, are more than {limit} bytes"
    )]
    TooLarge {
        /// Most that are read.
        limit: usize,
    },
    /// The body is JSON of another shape.
    #[error("failed to read the answer: {what}")]
    Shape {
        /// What is missing or has the wrong type.
        what: String,
    },
    /// The body is another message than the one asked for.
    #[error("failed to accept the answer: expected {field} {expected:?}, got {found:?}")]
    OtherMessage {
        /// `type` or `directive`.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is; empty when it is absent.
        found: String,
    },
    /// The configuration is meant for another device.
    #[error("failed to accept the configuration: it is for device {found:?}, this is {expected}")]
    OtherDevice {
        /// This device.
        expected: DeviceId,
        /// The device named by the server; empty when it named none.
        found: String,
    },
    /// The control channel carried a command that this agent does not know.
    #[error("failed to obey the command {command:?}: it is unknown")]
    UnknownCommand {
        /// The command.
        command: String,
    },
}

/// Reads a body, unless it holds so many values that the device's memory is at risk: a zero takes
/// two bytes on the wire and thirty-two here.
fn json(body: &[u8]) -> Result<serde_json::Value, WireError> {
    if separators(body) > MAX_VALUES {
        return Err(WireError::TooManyValues { limit: MAX_VALUES });
    }
    serde_json::from_slice(body).map_err(WireError::Json)
}

/// Returns how many values begin in `body`, about: each but the first follows a comma or a bracket
/// that is no part of a text.
fn separators(body: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count = count.saturating_add(1),
            _ => {}
        }
    }
    count
}

/// Reads an envelope as an object and checks its `type`.
fn envelope(
    body: &[u8],
    expected: &'static str,
) -> Result<serde_json::Map<String, serde_json::Value>, WireError> {
    let serde_json::Value::Object(envelope) = json(body)? else {
        return Err(shape("it is not an object"));
    };
    expect_word(&envelope, "type", expected)?;
    Ok(envelope)
}

fn expect_word(
    envelope: &serde_json::Map<String, serde_json::Value>,
    field: &'static str,
    expected: &'static str,
) -> Result<(), WireError> {
    let found = envelope.get(field).and_then(serde_json::Value::as_str);
    if found == Some(expected) {
        return Ok(());
    }
    Err(WireError::OtherMessage { field, expected, found: shown(found.unwrap_or_default()) })
}

fn shape(what: impl Into<String>) -> WireError {
    WireError::Shape { what: what.into() }
}

/// Words of a peer end in logs: only as much of them as is of use.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod too_much_tests;
