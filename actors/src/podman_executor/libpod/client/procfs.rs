//! The processes that a podman service sees, read through what is proved to be the kernel's procfs.
//!
//! The process ids that podman reports are those of its own namespace, which may live in another pid
//! namespace than the agent. Where it does not, the agent's own /proc is as good. Where it does, the path to
//! its /proc leads through its mount namespace, which is its to fill: that of another user is never taken.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, open, openat, statat,
};
use rustix::io::Errno;

use crate::podman_executor::libpod::http::{Mounts, Peer, open_beneath};

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder that is the root of a procfs.
pub(super) struct Procfs(OwnedFd);

impl Procfs {
    /// Returns the procfs in which processes have the numbers that `peer` gives them.
    ///
    /// # Errors
    /// There is none that may be looked into.
    pub(super) fn of(peer: Peer) -> io::Result<Self> {
        let own = Self::proved(open("/proc", FOLDER, Mode::empty())?)?;
        let pid = peer.pid.ok_or(io::ErrorKind::NotFound)?;
        if own.namespace("self")? == own.namespace(&pid.to_string())? {
            return Ok(own);
        }
        if peer.is_of_another_user() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let root = openat(&own.0, format!("{pid}/root"), FOLDER, Mode::empty())?;
        Self::proved(open_beneath(&root, Path::new("proc"), FOLDER, Mounts::Any)?)
    }

    /// Returns `folder`, if it is of the kernel's making.
    fn proved(folder: OwnedFd) -> io::Result<Self> {
        match fstatfs(&folder)?.f_type == PROC_SUPER_MAGIC {
            true => Ok(Self(folder)),
            false => Err(io::Error::other("it is no procfs")),
        }
    }

    /// Tells one pid namespace from another.
    fn namespace(&self, process: &str) -> io::Result<(u64, u64)> {
        let found = statat(&self.0, format!("{process}/ns/pid"), AtFlags::empty())?;
        Ok((found.st_dev, found.st_ino))
    }

    /// Returns which of `pids` exist; `None` when that cannot be seen.
    pub(super) fn living(&self, pids: &[i64]) -> Option<BTreeSet<i64>> {
        let exists = |pid: i64| match statat(&self.0, pid.to_string(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Some(true),
            Err(Errno::NOENT | Errno::SRCH) => Some(false),
            Err(_) => None,
        };
        let mut living = BTreeSet::new();
        for pid in pids.iter().copied().filter(|pid| *pid > 0) {
            if exists(pid)? {
                living.insert(pid);
            }
        }
        // Asked last: a namespace that ends meanwhile shows nothing, and neither does a procfs that hides
        // the processes of others, which is no answer.
        exists(1)?.then_some(living)
    }

    /// Opens a file of the kernel's below this folder.
    ///
    /// # Errors
    /// It is not there, may not be opened so, or is no plain file.
    pub(super) fn file(&self, path: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = open_beneath(&self.0, Path::new(path), flags, Mounts::Same)?;
        match FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
            true => Ok(file.into()),
            false => Err(io::Error::other("it is no plain file")),
        }
    }

    /// Opens a folder of the kernel's below this one, to be read.
    ///
    /// # Errors
    /// It is not there, or may not be opened.
    pub(super) fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        open_beneath(self.0.as_fd(), Path::new(path), flags, Mounts::Same)
    }
}

/// Returns the kernel's id of this boot.
///
/// # Errors
/// The kernel does not say.
pub fn boot_id() -> std::io::Result<String> {
    let id = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"))?;
    Ok(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Procfs {
        /// Takes any folder for a procfs, so that a test can fill it.
        pub(in crate::podman_executor::libpod::client) fn planted(folder: &Path) -> Self {
            Self(open(folder, FOLDER, Mode::empty()).unwrap())
        }
    }

    fn peer(pid: Option<i32>) -> Peer {
        let uid = rustix::process::geteuid().as_raw();
        Peer { uid, gid: 0, pid }
    }

    #[test]
    fn processes_of_the_agents_own_namespace_are_seen() {
        let me = std::process::id();
        let procfs = Procfs::of(peer(Some(i32::try_from(me).unwrap()))).unwrap();
        let me = i64::from(me);
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let gone = i64::from(ended.id());
        assert_eq!(procfs.living(&[me, gone, 0, -1, i64::MAX]), Some([me].into()));
        assert!(procfs.file(&format!("{me}/oom_score_adj"), OFlags::RDWR).is_ok());
        assert!(procfs.file(&format!("{me}/exe"), OFlags::RDONLY).is_err(), "a link");
        assert!(procfs.file(&format!("{me}/task"), OFlags::RDONLY).is_err(), "a folder");
    }

    #[test]
    fn of_a_peer_without_a_number_nothing_is_known() {
        assert!(Procfs::of(peer(None)).is_err());
    }

    #[test]
    fn what_is_no_procfs_is_not_taken_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let opened = open(folder.path(), FOLDER, Mode::empty()).unwrap();
        assert!(Procfs::proved(opened).is_err());
    }

    #[test]
    fn a_procfs_that_hides_the_first_process_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let procfs = Procfs::planted(folder.path());
        assert_eq!(procfs.living(&[7]), None);
        std::fs::create_dir(folder.path().join("1")).unwrap();
        assert_eq!(procfs.living(&[7]), Some(BTreeSet::new()));
    }
}
