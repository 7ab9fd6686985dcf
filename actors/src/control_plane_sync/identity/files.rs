//! The device's certificates and keys on disk.
//!
//! ```text
//! CERT, KEY                   the registration pair, the administrator's: read, never written
//! STATE_DIR/identity/
//!   next.key                  written before a registration is sent
//!   next.crt                  the answer to it
//!   device.key, device.crt    the same two, renamed once the control plane has accepted them
//! ```
//!
//! Keys and certificates are matched by their public halves and not by their names, so
//! that a power cut between two renames loses nothing: of all pairs that fit, the one whose
//! certificate was issued last is the device's.

mod reading;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reading::{own_key, private, read_chain, read_key};

use crate::blocking::OneAtATime;
use crate::control_plane_sync::identity::certificate::{
    CertificateChain, ClientIdentity, ClientKey, KeyFamily, RequestKey,
};
use crate::control_plane_sync::identity::error::{IdentityError, kept};
use crate::private_file::{self, Kept};
use crate::workload::DeviceId;

/// Names in the identity's folder.
const NEXT_KEY: &str = "next.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const DEVICE_KEY: &str = "device.key";
const DEVICE_CERTIFICATE: &str = "device.crt";

/// Time for all that one step reads and writes.
const LIMIT: Duration = Duration::from_secs(10);

/// Both identities of the device, as far as they exist.
#[derive(Debug)]
pub struct Identities {
    /// The pair that the administrator provided, or what is wrong with it.
    pub registration: Result<ClientIdentity, IdentityError>,
    /// The device's own.
    pub device: Option<ClientIdentity>,
    /// What should be looked at, in plain words.
    pub findings: Vec<String>,
}

/// The files of one device's identity.
#[derive(Clone, Debug)]
pub struct IdentityFiles {
    certificate: PathBuf,
    key: PathBuf,
    folder: PathBuf,
    device: DeviceId,
    queue: OneAtATime,
}

impl IdentityFiles {
    /// Names the registration pair, and the state directory that holds the device's own pair.
    /// Touches nothing.
    #[must_use]
    pub fn new(certificate: PathBuf, key: PathBuf, state_dir: &Path, device: DeviceId) -> Self {
        let folder = state_dir.join("identity");
        Self { certificate, key, folder, device, queue: OneAtATime::default() }
    }

    /// Does `work` with the files beside the actors, after what was asked for before it, also by clones.
    ///
    /// # Errors
    ///
    /// Those of `work`, or the disk does not answer.
    pub(crate) async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let files = self.clone();
        self.queue.run("reading or writing the identity", LIMIT, move || work(&files)).await?
    }

    /// Reads what there is. A registration pair that already is this device's own counts as both.
    #[must_use]
    pub fn load(&self) -> Identities {
        let mut findings = Vec::new();
        let registration = self.registration(&mut findings);
        let provided =
            registration.as_ref().ok().filter(|identity| identity.is_for(&self.device)).cloned();
        let device = self.own(&mut findings).or(provided);
        Identities { registration, device, findings }
    }

    /// Returns a request for a certificate, in PEM form, whose key is on the disk by then: that of
    /// the last request if its answer never came, so that a late answer is of use.
    ///
    /// # Errors
    ///
    /// When no key of the wanted family can be made or kept.
    pub fn request(&self, family: KeyFamily) -> Result<String, IdentityError> {
        let key = match self.pending_key(family) {
            Some(key) => key,
            None => self.new_key(family)?,
        };
        key.request(&self.device).map_err(|source| IdentityError::Request { source })
    }

    /// Returns whether a request was sent of which no answer is known.
    #[must_use]
    pub fn has_pending_request(&self) -> bool {
        self.path(NEXT_KEY).exists() && !self.is_adopted_whole()
    }

    /// Keeps the answer to [`Self::request`] and returns the new identity. The old one stays on
    /// the disk until [`Self::confirm`].
    ///
    /// # Errors
    ///
    /// When it is not a certificate for this device and the key of the request, or cannot be
    /// written.
    pub fn adopt(&self, certificate_pem: &str) -> Result<ClientIdentity, IdentityError> {
        let answer = |reason: &str| IdentityError::Answer { reason: reason.to_owned() };
        let chain = CertificateChain::from_pem(certificate_pem.as_bytes())
            .map_err(|error| answer(&error.to_string()))?;
        if !chain.is_for(&self.device) {
            return Err(answer("it is for another device"));
        }
        let key = own_key(&self.path(NEXT_KEY))?;
        let identity = ClientIdentity::pair(chain, key)
            .ok_or_else(|| answer("it is for another key than the request's"))?;
        self.write(NEXT_CERTIFICATE, certificate_pem.as_bytes())?;
        Ok(identity)
    }

    /// Makes the adopted identity the only one, because the control plane has accepted it. One that
    /// was damaged meanwhile is removed and replaces nothing.
    ///
    /// # Errors
    ///
    /// When a file cannot be renamed or removed; nothing is lost then.
    pub fn confirm(&self) -> Result<(), IdentityError> {
        if !self.path(NEXT_CERTIFICATE).exists() {
            return Ok(());
        }
        if !self.is_adopted_whole() {
            self.remove(NEXT_CERTIFICATE)?;
            return self.sync_folder();
        }
        self.rename(NEXT_KEY, DEVICE_KEY)?;
        self.rename(NEXT_CERTIFICATE, DEVICE_CERTIFICATE)?;
        self.sync_folder()
    }

    /// Removes the device's own identity; the registration pair stays.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn forget(&self) -> Result<(), IdentityError> {
        for name in [NEXT_CERTIFICATE, DEVICE_CERTIFICATE, NEXT_KEY, DEVICE_KEY] {
            self.remove(name)?;
        }
        if self.folder.exists() {
            self.sync_folder()?;
        }
        Ok(())
    }

    fn registration(&self, findings: &mut Vec<String>) -> Result<ClientIdentity, IdentityError> {
        let chain = read_chain(&self.certificate, Kept::ByAdministrator)?;
        let (key, open_to_others) = read_key(&self.key)?;
        if open_to_others {
            findings.push(format!(
                "key {} can be read by others than its owner: chmod 600",
                self.key.display()
            ));
        }
        ClientIdentity::pair(chain, key).ok_or_else(|| IdentityError::Mismatch {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
        })
    }

    /// Returns the device's own pair that was issued last.
    fn own(&self, findings: &mut Vec<String>) -> Option<ClientIdentity> {
        let keys: Vec<ClientKey> = [NEXT_KEY, DEVICE_KEY]
            .into_iter()
            .filter_map(|name| kept(own_key(&self.path(name)), findings))
            .collect();
        let chains: Vec<CertificateChain> = [NEXT_CERTIFICATE, DEVICE_CERTIFICATE]
            .into_iter()
            .filter_map(|name| kept(read_chain(&self.path(name), Kept::ByAgent), findings))
            .filter(|chain| chain.is_for(&self.device))
            .collect();
        let pair_of = |chain: &CertificateChain| {
            keys.iter().find_map(|key| ClientIdentity::pair(chain.clone(), key.clone()))
        };
        let newest =
            chains.iter().filter_map(pair_of).max_by_key(|identity| identity.validity().not_after);
        if newest.is_none() && !chains.is_empty() {
            findings.push(format!(
                "no key in {} belongs to the device's certificate",
                self.folder.display()
            ));
        }
        newest
    }

    /// Returns whether the adopted certificate is the device's and its key is there, under either of
    /// the names that it has while it is confirmed.
    fn is_adopted_whole(&self) -> bool {
        let chain = read_chain(&self.path(NEXT_CERTIFICATE), Kept::ByAgent);
        chain.is_ok_and(|chain| {
            let mut keys =
                [NEXT_KEY, DEVICE_KEY].iter().filter_map(|name| own_key(&self.path(name)).ok());
            chain.is_for(&self.device)
                && keys.any(|key| ClientIdentity::pair(chain.clone(), key).is_some())
        })
    }

    /// Returns the key of a request whose answer never came, or is damaged. A damaged key is of no
    /// use to anybody.
    fn pending_key(&self, family: KeyFamily) -> Option<RequestKey> {
        if self.is_adopted_whole() {
            return None;
        }
        let content = private(&self.path(NEXT_KEY)).ok()?;
        let key = RequestKey::from_pem(std::str::from_utf8(&content.bytes).ok()?).ok()?;
        (key.family() == Some(family)).then_some(key)
    }

    fn new_key(&self, family: KeyFamily) -> Result<RequestKey, IdentityError> {
        let path = self.path(NEXT_KEY);
        let key = RequestKey::generate(family)
            .map_err(|source| IdentityError::Request { source })?
            .ok_or(IdentityError::RsaKeyNeeded { path })?;
        // An answer that was never used must not lose its key to the new one.
        self.confirm()?;
        self.write(NEXT_KEY, key.to_pem().as_bytes())?;
        Ok(key)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn remove(&self, name: &str) -> Result<(), IdentityError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(IdentityError::Write { path, source }),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), IdentityError> {
        let to = self.path(to);
        match fs::rename(self.path(from), &to) {
            Ok(()) => Ok(()),
            // The power was cut after this rename and before the next.
            Err(error) if error.kind() == io::ErrorKind::NotFound && to.exists() => Ok(()),
            Err(source) => Err(IdentityError::Write { path: to, source }),
        }
    }

    /// Writes a file so that a power cut leaves either the old or the new one.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), IdentityError> {
        let path = self.path(name);
        let temporary = self.path(&format!(".{name}.tmp"));
        let write = || -> io::Result<()> {
            private_file::own_folder(&self.folder)?;
            private_file::write_new(&temporary, content)?;
            fs::rename(&temporary, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| IdentityError::Write { path, source })
    }

    fn sync_folder(&self) -> Result<(), IdentityError> {
        File::open(&self.folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|source| IdentityError::Write { path: self.folder.clone(), source })
    }
}

#[cfg(test)]
mod tests;
