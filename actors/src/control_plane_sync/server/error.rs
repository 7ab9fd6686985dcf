//! Why a question to the control plane was not answered, and what its status codes mean.

use std::fmt;
use std::time::Duration;

/// What the agent asks of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// To be admitted.
    Enrolment,
    /// To get a certificate, the first or a new one.
    Registration,
    /// To take notice of the device's status.
    Heartbeat,
    /// For the configuration.
    Configuration,
    /// Whether the device is still wanted.
    Control,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enrolment => "enrolment",
            Self::Registration => "registration",
            Self::Heartbeat => "heartbeat",
            Self::Configuration => "configuration",
            Self::Control => "control",
        })
    }
}

/// Why the control plane gave no usable answer.
#[allow(missing_docs, reason = "the text of each variant says what its fields are")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlPlaneError {
    /// SERVER is not a URL that can be asked, or the CA certificate cannot be read.
    #[error("failed to prepare the connection to the control plane: {reason}")]
    Misconfigured { reason: String },
    /// The folder of manifests could not be read.
    #[error("failed to read the manifests in {folder}: {reason}")]
    Manifests { folder: String, reason: String },
    /// The host name does not resolve.
    #[error("failed to find host {host}: {reason}")]
    NoSuchHost { host: String, reason: String },
    /// No connection, or it was cut before the answer was complete.
    #[error("failed to reach the control plane for {call}: {reason}")]
    Unreachable { call: Call, reason: String },
    /// The answer was not complete in time.
    #[error("failed to get an answer to {call} within {after:?}")]
    TimedOut { call: Call, after: Duration },
    /// The server's certificate does not hold against CA_ROOT.
    #[error("failed to trust the control plane's certificate: {reason}")]
    ServerNotTrusted { reason: String },
    /// The server ended the TLS handshake because of the device's certificate.
    #[error("the control plane refused the TLS handshake: {reason}")]
    HandshakeRefused { reason: String },
    /// 401: the device's certificate is not accepted for this call.
    #[error("the control plane does not accept the device's certificate for {call} (401)")]
    Unauthorized { call: Call },
    /// 403: the certificate belongs to another device.
    #[error("the control plane forbids {call} with this certificate (403)")]
    Forbidden { call: Call },
    /// 404 without a body: the device is not known, or not yet approved.
    #[error("the control plane does not know the device, asked for {call} (404)")]
    DeviceUnknown { call: Call },
    /// 404 with a body, or 405: this is not the API.
    #[error(
        "{call} met something else than the Flotta API ({status}{message}): check SERVER and proxies"
    )]
    NotTheApi { call: Call, status: u16, message: Message },
    /// The server finds fault with the request.
    #[error("the control plane rejected {call} ({status}{message})")]
    Rejected { call: Call, status: u16, message: Message },
    /// 5xx.
    #[error("the control plane failed at {call} ({status}{message})")]
    ServerFailed { call: Call, status: u16, message: Message },
    /// A status that the protocol does not know; a redirect, for instance.
    #[error("the control plane answered {call} with an unexpected status {status}")]
    UnexpectedStatus { call: Call, status: u16 },
    /// The answer is larger than any sensible one.
    #[error("the answer to {call} is larger than {limit} bytes")]
    TooLarge {
        call: Call,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The answer came whole but makes no sense.
    #[error("failed to understand the answer to {call}: {reason}")]
    Undecodable { call: Call, reason: String },
}

/// What an error body says, ready to stand behind a status code; often nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Option<String>);

/// Longest text of a foreign body that reaches a log.
const MAX_MESSAGE: usize = 200;
/// Largest body that is looked at for a message, in bytes.
const MAX_BODY: usize = 64 * 1024;

impl Message {
    /// Reads the message of a go-openapi error body; of any other body its size only, because a
    /// foreign body belongs into no log.
    #[must_use]
    pub fn of_body(body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct ErrorBody {
            message: String,
        }
        if body.is_empty() {
            return Self(None);
        }
        let read = (body.len() <= MAX_BODY).then(|| serde_json::from_slice::<ErrorBody>(body).ok());
        let text = read.flatten().map_or_else(
            || format!("a body of {} bytes", body.len()),
            |body| body.message.chars().take(MAX_MESSAGE).collect(),
        );
        Self(Some(text))
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(text) => write!(f, ": {text}"),
            None => Ok(()),
        }
    }
}

impl ControlPlaneError {
    /// Returns the error that `status` means for `call`, none for 200 and 208.
    #[must_use]
    pub fn of_status(call: Call, status: u16, body: &[u8]) -> Option<Self> {
        let message = || Message::of_body(body);
        match status {
            200 => None,
            208 if call == Call::Enrolment => None,
            401 => Some(Self::Unauthorized { call }),
            403 => Some(Self::Forbidden { call }),
            404 if body.is_empty() => Some(Self::DeviceUnknown { call }),
            404 | 405 => Some(Self::NotTheApi { call, status, message: message() }),
            400..=499 => Some(Self::Rejected { call, status, message: message() }),
            500..=599 => Some(Self::ServerFailed { call, status, message: message() }),
            _ => Some(Self::UnexpectedStatus { call, status }),
        }
    }

    /// Returns whether the same request may succeed later without intervention.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoSuchHost { .. }
            | Self::Manifests { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::ServerFailed { .. } => true,
            Self::Misconfigured { .. }
            | Self::ServerNotTrusted { .. }
            | Self::HandshakeRefused { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::DeviceUnknown { .. }
            | Self::NotTheApi { .. }
            | Self::Rejected { .. }
            | Self::UnexpectedStatus { .. }
            | Self::TooLarge { .. }
            | Self::Undecodable { .. } => false,
        }
    }

    /// Returns whether a file of CA_ROOT, CERT and KEY may have to be replaced for a good answer.
    pub(crate) const fn is_about_identity(&self) -> bool {
        match self {
            Self::Misconfigured { .. }
            | Self::ServerNotTrusted { .. }
            | Self::HandshakeRefused { .. }
            | Self::Unauthorized { .. } => true,
            Self::Manifests { .. }
            | Self::NoSuchHost { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Forbidden { .. }
            | Self::DeviceUnknown { .. }
            | Self::NotTheApi { .. }
            | Self::Rejected { .. }
            | Self::ServerFailed { .. }
            | Self::UnexpectedStatus { .. }
            | Self::TooLarge { .. }
            | Self::Undecodable { .. } => false,
        }
    }

    /// Returns whether the server may have acted on the request although it gave no answer.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::ServerFailed { .. }
            | Self::UnexpectedStatus { .. }
            | Self::TooLarge { .. }
            | Self::Undecodable { .. } => true,
            Self::Misconfigured { .. }
            | Self::Manifests { .. }
            | Self::NoSuchHost { .. }
            | Self::ServerNotTrusted { .. }
            | Self::HandshakeRefused { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::DeviceUnknown { .. }
            | Self::NotTheApi { .. }
            | Self::Rejected { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(call: Call, status: u16, body: &[u8]) -> String {
        ControlPlaneError::of_status(call, status, body)
            .map_or_else(|| "fine".to_owned(), |error| error.to_string())
    }

    #[test]
    fn each_status_code_has_its_meaning() {
        let json = br#"{"code":404,"message":"path /x was not found"}"#;
        let table: [(Call, u16, &[u8], &str); 11] = [
            (Call::Heartbeat, 200, b"", "fine"),
            (Call::Enrolment, 208, b"", "fine"),
            (
                Call::Heartbeat,
                208,
                b"",
                "the control plane answered heartbeat with an unexpected status 208",
            ),
            (
                Call::Configuration,
                401,
                b"",
                "the control plane does not accept the device's certificate for configuration (401)",
            ),
            (
                Call::Control,
                403,
                b"",
                "the control plane forbids control with this certificate (403)",
            ),
            (
                Call::Configuration,
                404,
                b"",
                "the control plane does not know the device, asked for configuration (404)",
            ),
            (
                Call::Configuration,
                404,
                json,
                "configuration met something else than the Flotta API (404: path /x was not found): check SERVER and proxies",
            ),
            (
                Call::Configuration,
                405,
                b"<html>",
                "configuration met something else than the Flotta API (405: a body of 6 bytes): check SERVER and proxies",
            ),
            (Call::Enrolment, 400, b"", "the control plane rejected enrolment (400)"),
            (Call::Registration, 500, b"", "the control plane failed at registration (500)"),
            (
                Call::Configuration,
                302,
                b"",
                "the control plane answered configuration with an unexpected status 302",
            ),
        ];
        for (call, status, body, expected) in table {
            assert_eq!(meaning(call, status, body), expected);
        }
    }

    #[test]
    fn only_the_network_and_a_failing_server_are_transient() {
        let transient = |status| {
            ControlPlaneError::of_status(Call::Configuration, status, b"")
                .is_some_and(|error| error.is_transient())
        };
        assert!(transient(503));
        assert!(!transient(401));
        assert!(!transient(404));
    }
}
