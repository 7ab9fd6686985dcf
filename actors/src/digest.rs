//! Digests that identify contents.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub(crate) type Digest = [u8; 32];

/// Returns the digest of `bytes`.
pub(crate) fn of_bytes(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Returns the digest of the JSON of `value`, which is never there as a whole.
///
/// # Errors
/// The value has no JSON, because a map's key is no text.
pub(crate) fn of_json(value: &impl Serialize) -> Result<Digest, serde_json::Error> {
    let mut hash = Sha256::new();
    serde_json::to_writer(&mut hash, value)?;
    Ok(hash.finalize().into())
}
