//! The file with the authority that signed the server's certificate.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;

use crate::blocking::OneAtATime;
use crate::control_plane_sync::server::error::ControlPlaneError;
use crate::control_plane_sync::server::tls;
use crate::error_chain::error_chain;
use crate::private_file::{self, Kept};

/// Time for reading it.
const LIMIT: Duration = Duration::from_secs(10);
/// Largest file, in bytes; a bundle of all public authorities is a tenth of it.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// CA_ROOT. It is read anew for each identity, so that a replaced file is used.
pub(super) struct CaRoot {
    path: PathBuf,
    queue: OneAtATime,
}

impl CaRoot {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), queue: OneAtATime::default() }
    }

    /// Reads the authorities beside the actors.
    ///
    /// # Errors
    ///
    /// When the file cannot be read in time, or holds no certificate that can be used.
    pub(super) async fn read(&self) -> Result<Arc<RootCertStore>, ControlPlaneError> {
        let path = self.path.clone();
        let reading = move || {
            let content = private_file::read(&path, MAX_SIZE, Kept::ByAdministrator);
            tls::trusted_roots(&content.map_err(|error| unreadable(&path, &error))?.bytes)
        };
        let read = self.queue.run("reading the file", LIMIT, reading).await;
        read.map_err(|error| unreadable(&self.path, &error))?
    }
}

fn unreadable(path: &Path, error: &dyn Error) -> ControlPlaneError {
    let reason = format!("CA_ROOT {} cannot be read: {}", path.display(), error_chain(error));
    ControlPlaneError::Misconfigured { reason }
}
