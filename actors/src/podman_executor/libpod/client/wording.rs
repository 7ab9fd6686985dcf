//! Requests and answers as libpod words them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Value, json};

use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::events::{Line, Lines, PodmanEvent};
use crate::podman_executor::libpod::http::decoded;
use crate::podman_executor::libpod::types::PullLine;
use crate::workload::RegistryCredentials;

/// Credentials as libpod takes them: URL-safe base64 of a map by registry.
pub(super) fn auth_header(registries: &BTreeMap<String, RegistryCredentials>) -> String {
    let entries = registries.iter().map(|(registry, credentials)| {
        let entry = json!({
            "username": credentials.username,
            "password": credentials.password.expose(),
        });
        (registry.clone(), entry)
    });
    let map: serde_json::Map<String, Value> = entries.collect();
    URL_SAFE.encode(Value::Object(map).to_string())
}

/// Decides by the last line whether an image came. Returns its id.
pub(in crate::podman_executor) fn pulled(
    call: &'static str,
    body: &[u8],
) -> Result<String, PodmanError> {
    let lines = body.split(|byte| *byte == b'\n');
    let mut lines = lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let last: PullLine = decoded(call, lines.next_back().unwrap_or_default())?;
    if !last.id.is_empty() && last.error.is_empty() {
        return Ok(last.id);
    }
    let cause = match last.error.is_empty() {
        true => "podman ended the pull without a result".to_owned(),
        false => last.error,
    };
    Err(PodmanError::Refused { call, status: 200, message: cause.clone(), cause })
}

/// Reads a piece of the event stream.
pub(super) fn read_lines<B: AsRef<[u8]>>(
    lines: &mut Lines,
    chunk: Result<B, hyper::Error>,
) -> Vec<Result<PodmanEvent, PodmanError>> {
    let call = "read the event stream";
    let chunk = match chunk {
        Ok(chunk) => chunk,
        Err(source) => {
            let source = source.into();
            return vec![Err(PodmanError::Cut { call, source })];
        }
    };
    let lines = lines.push(chunk.as_ref()).into_iter();
    let read = lines.filter_map(|line| match line {
        Line::Event(event) => Some(Ok(event)),
        Line::Error(cause) => {
            Some(Err(PodmanError::Refused { call, status: 200, message: cause.clone(), cause }))
        }
        Line::Rubbish => None,
    });
    read.collect()
}
