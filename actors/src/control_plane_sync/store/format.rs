//! The stored form of a configuration: one line that says what it is, then JSON.
//!
//! ```text
//! device-worker-ng configuration 1 <SHA-256 of the rest, hex>\n
//! {"version":…}
//! ```

use sha2::{Digest as _, Sha256};

use crate::workload::Configuration;

/// The first words of the first line.
const MAGIC: &str = "device-worker-ng configuration";

/// The version that is written. An older one is brought up to it in [`upgrade`].
const VERSION: u32 = 1;

/// Tells contents apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

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
}

impl From<serde_json::Error> for FormatError {
    fn from(error: serde_json::Error) -> Self {
        Self::Content {
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Returns the digest of what the configuration wants; the server's word for its version aside.
pub(super) fn digest(configuration: &Configuration) -> Result<Digest, FormatError> {
    let unversioned = Configuration {
        version: None,
        ..configuration.clone()
    };
    Ok(Digest(
        Sha256::digest(serde_json::to_vec(&unversioned)?).into(),
    ))
}

/// Writes the stored form.
pub(super) fn encode(configuration: &Configuration) -> Result<Vec<u8>, FormatError> {
    let content = serde_json::to_vec(configuration)?;
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
    let (header, rest) = end
        .and_then(|end| bytes.split_at_checked(end))
        .ok_or(FormatError::Foreign)?;
    let content = rest.get(1..).unwrap_or_default();
    let header = std::str::from_utf8(header).map_err(|_| FormatError::Foreign)?;
    let fields = header
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix(' '));
    let (version, sum) = fields
        .and_then(|rest| rest.split_once(' '))
        .ok_or(FormatError::Foreign)?;
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
        VERSION => Ok(serde_json::from_slice(content)?),
        _ => Err(FormatError::Foreign),
    }
}

fn checksum(content: &[u8]) -> String {
    Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
