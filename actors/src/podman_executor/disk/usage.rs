//! How much a volume holds that others fill, however deep, wide or hostile it is.
//!
//! Nothing recurses, no more than [`MAX_LEVELS`] folders are open at one time, no path is resolved and no
//! link followed. What is mounted within the volume is no part of it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, Stat, fstat, openat, statat};
use rustix::io::Errno;

use super::volumes::FOLDER;
use crate::pod_manifest::volumes::SCRATCH;
use crate::workload::WorkloadId;

/// So many folders are open at one time; what lies deeper is not counted.
const MAX_LEVELS: usize = 64;
/// In which the kernel counts what a file takes.
const BLOCK: u64 = 512;

/// What a volume holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes on the disk or in memory, each file once, as `du` has it.
    pub bytes: u64,
    /// Whether folders are nested so deeply that not all was counted.
    pub is_deeper: bool,
}

impl Usage {
    /// Returns what both hold.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            is_deeper: self.is_deeper || other.is_deeper,
        }
    }
}

/// Returns what the volume `name` of the pod `id` holds below `root`; nothing where there is none.
///
/// # Errors
/// A folder cannot be read for another reason than that its owner shut it.
pub(super) fn usage(root: &Path, id: &WorkloadId, name: &str) -> Result<Usage, Errno> {
    let mut usage = Usage::default();
    // What outlives the pod, and what each run of a cron workload begins with.
    for path in [&[SCRATCH, id.as_str(), name][..], &[id.as_str(), name]] {
        if let Some(volume) = open(root, path)? {
            usage = usage.and(measure(volume)?);
        }
    }
    Ok(usage)
}

fn open(root: &Path, path: &[&str]) -> Result<Option<OwnedFd>, Errno> {
    let mut folder = match rustix::fs::open(root, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error),
    };
    for name in path {
        folder = match openat(&folder, *name, FOLDER, Mode::empty()) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error),
        };
    }
    Ok(Some(folder))
}

fn measure(volume: OwnedFd) -> Result<Usage, Errno> {
    let device = fstat(&volume)?.st_dev;
    let mut usage = Usage::default();
    let mut levels = vec![Dir::new(volume)?];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.read() else {
            levels.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let folder = level.fd()?;
        let found = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if found.st_dev == device => found,
            // Mounted there, or gone meanwhile, or shut.
            Ok(_) | Err(Errno::NOENT | Errno::ACCESS) => continue,
            Err(error) => return Err(error),
        };
        usage.bytes = usage.bytes.saturating_add(share(&found));
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            continue;
        }
        match openat(folder.as_fd(), name, FOLDER, Mode::empty()) {
            Ok(_) if levels.len() == MAX_LEVELS => usage.is_deeper = true,
            Ok(inner) => levels.push(Dir::new(inner)?),
            // A user's agent may not look into what another user of his containers shut.
            Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(usage)
}

/// Returns the bytes that one name of a file stands for: its links cannot lead out of the volume.
fn share(found: &Stat) -> u64 {
    let bytes = u64::try_from(found.st_blocks).unwrap_or_default().saturating_mul(BLOCK);
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => bytes,
        FileType::RegularFile
        | FileType::Symlink
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => {
            #[allow(clippy::useless_conversion, reason = "of another type on other processors")]
            let links = u64::from(found.st_nlink);
            bytes / links.max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn all_is_counted_once_and_nothing_beyond_the_volume() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let id = WorkloadId::from("web-1");
        let of = |name: &str| usage(&root, &id, name).unwrap();
        assert_eq!(of("data"), Usage::default(), "there is none");
        let data = root.join(".scratch/web-1/data");
        fs::create_dir_all(data.join("a/b")).unwrap();
        let empty = of("data").bytes;
        assert!(empty < 64 * 1024, "{empty}");
        let mebibyte = vec![1; 1024 * 1024];
        fs::write(data.join("a/b/file"), &mebibyte).unwrap();
        fs::hard_link(data.join("a/b/file"), data.join("link")).unwrap();
        fs::write(folder.path().join("elsewhere"), &mebibyte).unwrap();
        fs::create_dir(folder.path().join("others")).unwrap();
        fs::write(folder.path().join("others/file"), &mebibyte).unwrap();
        symlink(folder.path().join("elsewhere"), data.join("a/link")).unwrap();
        symlink(folder.path().join("others"), data.join("a/links")).unwrap();
        // A file with a hole takes what is in it.
        fs::File::create(data.join("hole")).unwrap().set_len(1 << 40).unwrap();
        let held = of("data");
        assert!(!held.is_deeper);
        assert!((1 << 20..(1 << 20) + 64 * 1024).contains(&(held.bytes - empty)), "{held:?}");
        assert_eq!(of("other"), Usage::default());
        // The volumes of a cron workload lie elsewhere.
        fs::create_dir_all(root.join("web-1/run")).unwrap();
        fs::write(root.join("web-1/run/file"), &mebibyte).unwrap();
        assert!(of("run").bytes >= 1 << 20);
    }

    #[test]
    fn a_volume_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join(".scratch/web-1")).unwrap();
        symlink("/usr", root.join(".scratch/web-1/data")).unwrap();
        usage(&root, &WorkloadId::from("web-1"), "data").unwrap_err();
    }

    #[test]
    fn what_is_nested_too_deeply_is_said_and_overflows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let mut data = root.join(".scratch/web-1/data");
        for _ in 0..200 {
            data.push("d");
        }
        fs::create_dir_all(&data).unwrap();
        assert!(usage(&root, &WorkloadId::from("web-1"), "data").unwrap().is_deeper);
    }
}
