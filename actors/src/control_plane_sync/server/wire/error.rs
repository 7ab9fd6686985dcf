//! Why an answer of the control plane could not be used.

use crate::workload::DeviceId;

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

pub(super) fn shape(what: impl Into<String>) -> WireError {
    WireError::Shape { what: what.into() }
}

/// Words of a peer end in logs: only as much of them as is of use.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}
