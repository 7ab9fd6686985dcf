//! The JSON of the control plane and its conversion to and from our types.

mod answer;
mod configuration;
mod request;

pub(crate) use answer::{ControlCommand, control_command, registration_answer};
pub(crate) use configuration::configuration;
pub use request::AgentStatus;
pub(crate) use request::{Heartbeat, Stamp, enrolment, heartbeat, registration};

use crate::workload::DeviceId;

/// Why an answer of the control plane could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The body is no JSON.
    #[error("failed to read the answer as JSON")]
    Json(#[source] serde_json::Error),
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

/// Reads an envelope as an object and checks its `type`.
fn envelope(
    body: &[u8],
    expected: &'static str,
) -> Result<serde_json::Map<String, serde_json::Value>, WireError> {
    let value: serde_json::Value = serde_json::from_slice(body).map_err(WireError::Json)?;
    let serde_json::Value::Object(envelope) = value else {
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
