//! Checks the certificates and the key with which the device introduces itself.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use actors::workload::Confidential;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

use super::values::ValueError;

/// Permissions that open a file to every user. A group may be meant to read it.
const OTHERS: u32 = 0o007;

/// Reads the certificates of the authorities.
pub(super) fn check_authorities(path: &Path) -> Result<(), ValueError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| refusal(path, &format!("holds an unusable certificate: {error}")))?;
    }
    Ok(())
}

/// Reads a chain of certificates; the first is the device's.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ValueError> {
    let contents = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(contents.expose())
        .collect::<Result<_, _>>()
        .map_err(|error| refusal(path, &format!("is broken PEM: {error}")))?;
    if certificates.is_empty() {
        let swapped = PrivateKeyDer::from_pem_slice(contents.expose()).is_ok();
        let found = if swapped {
            "holds a private key, but no certificate"
        } else {
            "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        };
        return Err(refusal(path, found));
    }
    Ok(certificates)
}

/// Reads a private key.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, ValueError> {
    let contents = read(path)?;
    PrivateKeyDer::from_pem_slice(contents.expose()).map_err(|error| {
        // The error itself is not repeated: it may quote the file.
        let found = if matches!(error, pem::Error::NoItemsFound) {
            "holds no private key in PEM (-----BEGIN PRIVATE KEY-----); an encrypted key cannot be used"
        } else {
            "is broken PEM"
        };
        refusal(path, found)
    })
}

/// Checks that the key can be used and that the certificate was made for it.
pub(super) fn check_pair(
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<(), ValueError> {
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(certificates, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(ValueError(
            "does not belong to the certificate in CERT; use the two that were made together"
                .to_owned(),
        )),
        Err(error) => {
            Err(ValueError(format!("cannot be used with the certificate in CERT: {error}")))
        }
    }
}

/// Returns what is doubtful about a key file's permissions.
pub(super) fn exposure(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & OTHERS != 0)
        .then(|| format!("{} is open to every user (mode {mode:o}); chmod 600 it", path.display()))
}

fn read(path: &Path) -> Result<Confidential<Vec<u8>>, ValueError> {
    std::fs::read(path)
        .map(Confidential::new)
        .map_err(|error| refusal(path, &format!("cannot be read: {error}")))
}

fn refusal(path: &Path, reason: &str) -> ValueError {
    ValueError(format!("{} {reason}", path.display()))
}
