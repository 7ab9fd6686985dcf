//! Why the device's identity could not be read or kept.

use std::io;
use std::path::PathBuf;

use crate::blocking::BlockingError;
use crate::control_plane_sync::identity::certificate::CertificateError;
use crate::error_chain::error_chain;

/// Why an identity could not be read or kept.
#[allow(missing_docs, reason = "the text of each variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// A file could not be written, renamed or removed.
    #[error("failed to write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// A file does not hold what it should.
    #[error("failed to use {}", path.display())]
    Content { path: PathBuf, source: CertificateError },
    /// The agent's own key could have been read by others.
    #[error(
        "failed to use {}: users other than its owner can read it; run chmod 600 on it if \
         none of them has, otherwise remove it and let the device register anew",
        path.display()
    )]
    Exposed { path: PathBuf },
    /// A key and a certificate do not belong together.
    #[error("key {} does not belong to certificate {}", key.display(), certificate.display())]
    Mismatch { certificate: PathBuf, key: PathBuf },
    /// The control plane wants an RSA key, which the agent cannot make.
    #[error(
        "failed to make an RSA key: the agent makes ECDSA keys only; make one with \
         `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out {}`",
        path.display()
    )]
    RsaKeyNeeded {
        /// Where the agent looks for it.
        path: PathBuf,
    },
    /// The request for a certificate could not be made.
    #[error("failed to make the request for a certificate")]
    Request { source: CertificateError },
    /// The disk does not answer.
    #[error(transparent)]
    Disk(#[from] BlockingError),
    /// The control plane's answer is no certificate for this device and key.
    #[error("failed to accept the certificate that the control plane sent: {reason}")]
    Answer { reason: String },
}

/// Returns what was read. An absent file is no finding, a damaged one is.
pub(crate) fn kept<T>(result: Result<T, IdentityError>, findings: &mut Vec<String>) -> Option<T> {
    match result {
        Ok(found) => Some(found),
        Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            findings.push(error_chain(&error));
            None
        }
    }
}
