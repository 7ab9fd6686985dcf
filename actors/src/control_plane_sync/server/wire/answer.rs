//! What the control plane answers to a registration, and the commands of its control channel.

use serde_json::Value;

use super::envelope::{envelope, json};
use super::error::{WireError, shape, shown};

/// What the control plane may command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlCommand {
    /// The device is no longer wanted.
    Disconnect,
}

/// Reads the device's new certificate (PEM) from the answer to a registration.
///
/// # Errors
/// The answer carries no certificate.
pub(crate) fn registration_answer(body: &[u8]) -> Result<String, WireError> {
    let answer = json(body)?;
    answer
        .pointer("/content/certificate")
        .and_then(Value::as_str)
        .filter(|pem| pem.contains("-----BEGIN CERTIFICATE-----"))
        .map(str::to_owned)
        .ok_or_else(|| shape("content.certificate is not a certificate in PEM"))
}

/// Reads the control channel; an empty body is no command.
///
/// # Errors
/// The body is neither empty nor a command that the agent knows.
pub(crate) fn control_command(body: &[u8]) -> Result<Option<ControlCommand>, WireError> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    let envelope = envelope(body, "command")?;
    let command = envelope
        .get("content")
        .and_then(|content| content.get("command"))
        .and_then(Value::as_str)
        .ok_or_else(|| shape("content.command is absent"))?;
    match command {
        "disconnect" => Ok(Some(ControlCommand::Disconnect)),
        unknown => Err(WireError::UnknownCommand { command: shown(unknown) }),
    }
}
