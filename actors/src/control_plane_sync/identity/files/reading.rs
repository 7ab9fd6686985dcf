//! Reads the files of an identity: certificates, and keys that are for the agent alone.

use std::path::Path;

use crate::control_plane_sync::identity::certificate::{CertificateChain, ClientKey};
use crate::control_plane_sync::identity::error::IdentityError;
use crate::private_file::{self, Content, Kept};

/// A larger file is neither a key nor a chain of certificates.
const MAX_FILE: u64 = 1024 * 1024;

fn read(path: &Path, kept: Kept) -> Result<Content, IdentityError> {
    private_file::read(path, MAX_FILE, kept)
        .map_err(|source| IdentityError::Read { path: path.to_owned(), source })
}

pub(super) fn read_chain(path: &Path, kept: Kept) -> Result<CertificateChain, IdentityError> {
    CertificateChain::from_pem(&read(path, kept)?.bytes)
        .map_err(|source| IdentityError::Content { path: path.to_owned(), source })
}

/// Returns a key, and whether others than its owner may read it.
pub(super) fn read_key(path: &Path) -> Result<(ClientKey, bool), IdentityError> {
    let content = read(path, Kept::ByAdministrator)?;
    let key = ClientKey::from_pem(&content.bytes)
        .map_err(|source| IdentityError::Content { path: path.to_owned(), source })?;
    Ok((key, content.open_to_others))
}

/// Returns a key that the agent made. The agent never opens it to others.
pub(super) fn own_key(path: &Path) -> Result<ClientKey, IdentityError> {
    let content = private(path)?;
    ClientKey::from_pem(&content.bytes)
        .map_err(|source| IdentityError::Content { path: path.to_owned(), source })
}

/// Reads a file of the agent's own that no other user could read.
pub(super) fn private(path: &Path) -> Result<Content, IdentityError> {
    let content = read(path, Kept::ByAgent)?;
    if content.open_to_others {
        return Err(IdentityError::Exposed { path: path.to_owned() });
    }
    Ok(content)
}
