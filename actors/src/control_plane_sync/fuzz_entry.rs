//! What the control plane and files of manifests are read with, for random input from outside.

use crate::control_plane_sync::folder::manifests::{self, Accepted, Files};
use crate::control_plane_sync::server::wire;
use crate::control_plane_sync::state::store;
use crate::workload::{Confidential, Configuration, DeviceId};

/// Reads the control plane's answer to a request for the configuration of `device`.
///
/// # Errors
/// The answer is not that; says why.
pub fn configuration(body: &[u8], device: &DeviceId) -> Result<Configuration, String> {
    let read = wire::Known::read(body, device, None, &[]);
    read.map(|read| read.configuration).map_err(|error| error.to_string())
}

/// Reads the control plane's other answers, and returns what they come to or why they are refused.
#[must_use]
pub fn other_answers(body: &[u8]) -> [String; 2] {
    let text =
        |result: Result<String, wire::WireError>| result.unwrap_or_else(|error| error.to_string());
    [
        text(wire::registration_answer(body)),
        text(wire::control_command(body).map(|command| format!("{command:?}"))),
    ]
}

/// Reads `text` as the only manifest of `device`; returns what it wants and what is wrong with it.
#[must_use]
pub fn manifest(text: &str, device: &DeviceId) -> (Configuration, Vec<String>) {
    let files = Files::from([("a.yaml".to_owned(), Ok(Confidential::new(text.to_owned())))]);
    let reading = manifests::read(files, &Accepted::default(), device);
    (reading.configuration, reading.diagnostics.iter().map(ToString::to_string).collect())
}

/// Returns `configuration` as it is read from its stored form.
///
/// # Errors
/// It cannot be written so, or not be read; says why.
pub fn stored_and_read(configuration: &Configuration) -> Result<Configuration, String> {
    store::stored_and_read(configuration).map_err(|error| error.to_string())
}
