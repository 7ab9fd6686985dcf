//! Keeps a second agent away from a state directory: two of them would fight over its pods.
//!
//! The lock is on the directory itself: nothing is written for it, it works on a disk that has
//! become read-only, and the kernel releases it when the agent ends, however it does.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tracing::warn;

/// Where the kernel lists all locks.
const LOCKS: &str = "/proc/locks";

/// A state directory that is this agent's as long as this lives.
#[derive(Debug)]
pub struct StateLock {
    _directory: File,
}

/// Why a state directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum StateLockError {
    /// Another agent has it.
    #[error(
        "another device-worker-ng{} uses {}: stop it, or give each agent a STATE_DIR, a DEVICE_ID \
         and a METRICS_LISTEN of its own",
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        directory.display()
    )]
    InUse {
        /// The state directory.
        directory: PathBuf,
        /// The other agent's process, as far as the kernel knows it.
        holder: Option<u32>,
    },
    /// It is not there, or its file system knows no locks.
    #[error("failed to lock {}", directory.display())]
    Lock {
        /// The state directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl StateLock {
    /// Makes sure that no other agent works on the same state. A directory that is not there, on a
    /// disk that is broken, and a file system without locks do not keep the agent from running.
    ///
    /// # Errors
    /// Another agent has it.
    pub fn guard(directory: &Path) -> Result<Option<Self>, StateLockError> {
        match Self::take(directory) {
            Ok(lock) => Ok(Some(lock)),
            Err(error @ StateLockError::InUse { .. }) => Err(error),
            Err(StateLockError::Lock { directory, source }) => {
                warn!(path = %directory.display(), error = %source, "state was not locked");
                Ok(None)
            }
        }
    }

    /// Locks the directory; does not wait.
    ///
    /// # Errors
    /// Another agent has it, or it cannot be locked at all.
    fn take(directory: &Path) -> Result<Self, StateLockError> {
        let failed = |source| StateLockError::Lock { directory: directory.to_owned(), source };
        let file = File::open(directory).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _directory: file }),
            Err(TryLockError::WouldBlock) => Err(StateLockError::InUse {
                directory: directory.to_owned(),
                holder: file.metadata().ok().and_then(|metadata| {
                    holder(&fs::read_to_string(LOCKS).unwrap_or_default(), metadata.ino())
                }),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

/// Finds the process that holds a lock on a file, `1: FLOCK ADVISORY WRITE 4711 08:01:5242 0 EOF`.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let is_flock = fields.next() == Some("FLOCK");
        let (pid, file) = (fields.nth(2)?, fields.next()?);
        let is_this = file.rsplit(':').next()?.parse() == Ok(inode);
        (is_flock && is_this).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_learns_who_was_first_until_the_first_lets_go() {
        let directory = tempfile::tempdir().unwrap();
        let first = StateLock::take(directory.path()).unwrap();
        let error = StateLock::take(directory.path()).unwrap_err().to_string();
        let (own, path) = (std::process::id(), directory.path().display());
        assert!(error.starts_with("another device-worker-ng"), "{error}");
        assert!(error.contains(&format!("(process {own}) uses {path}")), "{error}");
        drop(first);
        StateLock::take(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is written");
    }

    #[test]
    fn a_directory_that_is_not_there_is_another_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = StateLock::take(&directory.path().join("absent")).unwrap_err();
        assert!(matches!(error, StateLockError::Lock { .. }), "{error}");
        assert!(StateLock::guard(&directory.path().join("absent")).unwrap().is_none());
    }

    #[test]
    fn the_holder_is_found_among_other_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 08:01:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 08:01:17 0 EOF\n\
                     2: -> FLOCK ADVISORY WRITE 13 08:01:17 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 14 00:2f:7 0 EOF\n";
        assert_eq!(holder(locks, 7), Some(14));
        assert_eq!(holder(locks, 8), None);
        assert_eq!(holder("", 7), None);
    }
}
