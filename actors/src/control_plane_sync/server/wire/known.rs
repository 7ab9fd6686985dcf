//! The last configuration that was read, so that the same answer costs nothing the next time.
//!
//! A server counts up the version with each heartbeat: the content is compared without it.

use std::sync::Arc;

use serde_json::Value;

use super::configuration::configuration;
use super::envelope::{envelope, expect_word};
use super::error::{WireError, shape};
use super::unread;
use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::digest::{self, Digest};
use crate::workload::{Configuration, DeviceId, Workload};

/// A configuration, and what it was read from.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    body: Digest,
    /// All but the version.
    content: Digest,
    /// What is to be told of the content.
    of_content: Vec<Diagnostic>,
    /// What was read.
    pub(crate) configuration: Configuration,
    /// What its author should know.
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Known {
    /// Reads the answer to a request for the device's configuration, unless it is the one that
    /// `last` came from. What equals one of the workloads `in_force` is that very one.
    ///
    /// # Errors
    /// The answer is not the configuration of `device_id`.
    pub(crate) fn read(
        body: &[u8],
        device_id: &DeviceId,
        last: Option<&Self>,
        in_force: &[Arc<Workload>],
    ) -> Result<Self, WireError> {
        let digest_of_body = digest::of_bytes(body);
        if let Some(last) = last.filter(|last| last.body == digest_of_body) {
            return Ok(last.clone());
        }
        let mut envelope = envelope(body, "data")?;
        expect_word(&envelope, "directive", "device")?;
        let Some(Value::Object(mut content)) = envelope.remove("content") else {
            return Err(shape("content is not an object"));
        };
        let mut diagnostics = unread::of_envelope(&envelope);
        let version = version(content.remove("version"));
        let digest_of_content = digest::of_json(&content).map_err(WireError::Json)?;
        let (configuration, of_content) = match last
            .filter(|last| last.content == digest_of_content)
        {
            Some(last) => {
                let configuration = last.configuration.clone();
                (Configuration { version, ..configuration }, last.of_content.clone())
            }
            None => {
                let mut told = unread::of_content(&content);
                let (configuration, more) = configuration(content, version, device_id, in_force)?;
                told.extend(more);
                (configuration, told)
            }
        };
        diagnostics.extend(of_content.iter().cloned());
        Ok(Self {
            body: digest_of_body,
            content: digest_of_content,
            of_content,
            configuration,
            diagnostics,
        })
    }
}

fn version(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(_) | None => None,
    }
}
