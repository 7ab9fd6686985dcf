//! The last known good configuration on disk, in two generations.
//!
//! The folder holds `current`, `previous` and, while one is written, `new`. All calls block on the
//! disk: make them on a thread of their own, never in a handler.

mod document;
mod format;
mod last_good;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

pub(crate) use last_good::{with_last_good, with_missing};

use chrono::{DateTime, Utc};
use format::FormatError;

use crate::digest::Digest;
use crate::private_file::{self, Kept};
use crate::workload::Configuration;

/// The generations, newest first.
const GENERATIONS: [&str; 2] = ["current", "previous"];

/// Where the next generation is written before it takes its place.
const TEMPORARY: &str = "new";

/// A larger file is none of ours.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// Why a configuration could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The folder could not be made or guarded.
    #[error("failed to prepare the folder {}", folder.display())]
    PrepareFolder {
        /// The folder that holds the generations.
        folder: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A generation could not be read.
    #[error("failed to read the stored configuration {}", file.display())]
    Read {
        /// The generation's file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A generation is damaged, foreign or of a newer agent.
    #[error("failed to understand the stored configuration {}", file.display())]
    Understand {
        /// The generation's file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        source: FormatError,
    },
    /// A disk that hangs still holds up the write before this one.
    #[error("failed to begin a write: the one before it has not ended")]
    Busy,
    /// The configuration could not be put into its stored form.
    #[error("failed to encode the configuration")]
    Encode(#[source] FormatError),
    /// It would not be read again.
    #[error("failed to keep the configuration: it has {length} bytes, at most {MAX_FILE} are kept")]
    TooLarge {
        /// The length of its stored form.
        length: usize,
    },
    /// The new generation could not be written. The older ones are as they were.
    #[error("failed to write the configuration to {}", file.display())]
    Write {
        /// The file of the new generation.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What was found on disk.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The newest generation that is good.
    pub(crate) configuration: Option<Configuration>,
    /// When the newest good one was written, by the wall clock of then.
    pub(crate) stored_at: Option<DateTime<Utc>>,
    /// What is wrong with the generations that are not; to be logged, no reason to stop.
    pub(crate) problems: Vec<StoreError>,
}

/// Whether a configuration was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// It is on disk, come what may.
    Written,
    /// It says the same as the one on disk, which was left alone.
    Unchanged,
}

/// Keeps the last known good configuration. Clones keep the same one.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    /// Of the content of `current`, once it is known. Held while writing: one writer at a time.
    written: Arc<Mutex<Option<Digest>>>,
}

impl Store {
    /// Keeps the configuration in a folder of its own under `state_dir`. Touches no disk.
    #[must_use]
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { folder: state_dir.join("configuration"), written: Arc::default() }
    }

    /// Reads the newest good generation. Whatever is wrong on disk is among the problems and
    /// stops nothing.
    #[must_use]
    pub(crate) fn load(&self) -> Loaded {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written = None;
        let mut loaded = Loaded::default();
        for name in GENERATIONS {
            match self.read(name) {
                Ok(Some(configuration)) => {
                    if name == GENERATIONS[0] {
                        *written = format::digest(&configuration).ok();
                    }
                    loaded.configuration = Some(configuration);
                    let modified =
                        fs::metadata(self.folder.join(name)).and_then(|it| it.modified());
                    loaded.stored_at = modified.ok().map(DateTime::from);
                    return loaded;
                }
                Ok(None) => {}
                Err(problem) => loaded.problems.push(problem),
            }
        }
        loaded
    }

    /// Makes `configuration` the newest generation, unless it already is. What the server calls its
    /// version does not count: it changes with every heartbeat.
    ///
    /// # Errors
    /// The disk refuses. The older generations are as they were.
    pub(crate) fn save(&self, configuration: &Configuration) -> Result<Saved, StoreError> {
        // Not waited for: threads would pile up, and the last to write need not be the newest.
        let mut written = match self.written.try_lock() {
            Ok(written) => written,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy),
        };
        let digest = format::digest(configuration).map_err(StoreError::Encode)?;
        if *written == Some(digest) {
            return Ok(Saved::Unchanged);
        }
        let bytes = format::encode(configuration).map_err(StoreError::Encode)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
            return Err(StoreError::TooLarge { length: bytes.len() });
        }
        self.prepare_folder()?;
        *written = None;
        let temporary = self.folder.join(TEMPORARY);
        private_file::write_new(&temporary, &bytes).map_err(|source| {
            // A full disk must not stay full of our attempt.
            let _ = fs::remove_file(&temporary);
            StoreError::Write { file: temporary.clone(), source }
        })?;
        self.rotate(&temporary)?;
        *written = Some(digest);
        Ok(Saved::Written)
    }

    fn read(&self, name: &str) -> Result<Option<Configuration>, StoreError> {
        let file = self.folder.join(name);
        let bytes = match private_file::read(&file, MAX_FILE, Kept::ByAgent) {
            Ok(content) => content.bytes,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { file, source }),
        };
        match format::decode(&bytes) {
            Ok(configuration) => Ok(Some(configuration)),
            Err(source) => Err(StoreError::Understand { file, source }),
        }
    }

    fn prepare_folder(&self) -> Result<(), StoreError> {
        private_file::own_folder(&self.folder)
            .map_err(|source| StoreError::PrepareFolder { folder: self.folder.clone(), source })
    }

    /// Lets `temporary` take its place. At any moment one good generation has a name that
    /// [`Store::load`] knows.
    fn rotate(&self, temporary: &Path) -> Result<(), StoreError> {
        let [current, previous] = GENERATIONS.map(|name| self.folder.join(name));
        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(|source| StoreError::Write { file: to.to_owned(), source })
        };
        // A damaged generation must not displace a good one.
        if let Ok(Some(_)) = self.read(GENERATIONS[0]) {
            rename(&current, &previous)?;
        }
        rename(temporary, &current)?;
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| StoreError::Write { file: current, source })
    }
}

/// Returns `configuration` as it is read from its stored form.
#[cfg(feature = "testing")]
pub(crate) fn stored_and_read(configuration: &Configuration) -> Result<Configuration, FormatError> {
    format::decode(&format::encode(configuration)?)
}

#[cfg(test)]
mod tests;
