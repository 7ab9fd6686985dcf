//! The stored form of a configuration: one line that says what it is, then JSON.
//!
//! ```text
//! device-worker-ng configuration 2 <SHA-256 of the rest, hex>\n
//! {"configuration":…}
//! ```

use std::sync::Arc;

use super::document::Document;
use crate::control_plane_sync::specification::Pool;
use crate::digest::{self, Digest};
use crate::workload::Configuration;

/// The first words of the first line.
const MAGIC: &str = "device-worker-ng configuration";

/// The version that is written. An older one is brought up to it in [`upgrade`].
const VERSION: u32 = 2;

/// What is wrong with a stored configuration. No content is quoted: it holds secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// It has no content.
    #[error("it is empty")]
    Empty,
    /// It does not begin as ours do.
    #[error("it is not a stored configuration")]
    Foreign,
    /// Its checksum does not fit.
    #[error("it is damaged: its checksum is another one")]
    Damaged,
    /// It was written by a newer agent.
    #[error("it has format {found}, this agent knows formats up to {VERSION}")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// Its checksum fits, but it is not what its version promises.
    #[error("its content is no configuration (line {line}, column {column})")]
    Content {
        /// Where in the JSON.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// A workload refers to what is not in it, or that is not base64.
    #[error("a config map or secret of a workload is missing or unreadable")]
    Incomplete,
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Content { line: error.line(), column: error.column() }
    }
}

/// Returns the digest of what the configuration wants; the server's word for its version aside.
pub(super) fn digest(configuration: &Configuration) -> Result<Digest, FormatError> {
    let unversioned = Configuration { version: None, ..configuration.clone() };
    Ok(digest::of_json(&Document::of(&unversioned))?)
}

/// Writes the stored form.
pub(super) fn encode(configuration: &Configuration) -> Result<Vec<u8>, FormatError> {
    let content = serde_json::to_vec(&Document::of(configuration))?;
    let mut bytes = format!("{MAGIC} {VERSION} {}\n", checksum(&content)).into_bytes();
    bytes.extend(content);
    Ok(bytes)
}

/// Reads the stored form.
pub(super) fn decode(bytes: &[u8]) -> Result<Configuration, FormatError> {
    if bytes.is_empty() {
        return Err(FormatError::Empty);
    }
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (header, rest) =
        end.and_then(|end| bytes.split_at_checked(end)).ok_or(FormatError::Foreign)?;
    let content = rest.get(1..).unwrap_or_default();
    let header = std::str::from_utf8(header).map_err(|_| FormatError::Foreign)?;
    let fields = header.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(' '));
    let (version, sum) =
        fields.and_then(|rest| rest.split_once(' ')).ok_or(FormatError::Foreign)?;
    let version: u32 = version.parse().map_err(|_| FormatError::Foreign)?;
    if version > VERSION {
        return Err(FormatError::Newer { found: version });
    }
    if checksum(content) != sum {
        return Err(FormatError::Damaged);
    }
    upgrade(version, content)
}

/// Reads the content of any version that was ever written; each version gets an arm that turns it
/// into the next.
fn upgrade(version: u32, content: &[u8]) -> Result<Configuration, FormatError> {
    match version {
        1 => Ok(once_each(serde_json::from_slice(content)?)),
        VERSION => {
            let document: Document<Configuration> = serde_json::from_slice(content)?;
            document.into_configuration().ok_or(FormatError::Incomplete)
        }
        _ => Err(FormatError::Foreign),
    }
}

/// The first version had config maps and secrets within each workload.
fn once_each(mut configuration: Configuration) -> Configuration {
    let (mut maps, mut secrets) = (Pool::of([]), Pool::of([]));
    for workload in configuration.workloads.iter_mut().filter_map(Arc::get_mut) {
        for map in &mut workload.config_maps {
            *map = maps.share(Arc::clone(map));
        }
        for secret in &mut workload.secrets {
            *secret = secrets.share(Arc::clone(secret));
        }
    }
    configuration
}

pub(super) fn checksum(content: &[u8]) -> String {
    digest::of_bytes(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
