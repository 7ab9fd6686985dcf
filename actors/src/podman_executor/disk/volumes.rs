//! The agent's own volume folders on disk.
//!
//! The folder with the volumes of all pods is the agent's own. Those of one pod may be another
//! user's, who may do there what he likes at any moment: the agent makes them out of his sight, and
//! later does no more than rename them as a whole, and remove them step by step ([`removal`]).

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::AtomicU64;

use rustix::fs::{
    AtFlags, Dir, Gid, Mode, OFlags, RenameFlags, Uid, chmodat, chownat, fchmod, fchown, fstat,
    mkdirat, open, openat, renameat, renameat_with,
};
use rustix::io::Errno;

use crate::pod_manifest::VolumeFolder;
use crate::podman_executor::disk::removal;
use crate::workload::WorkloadId;

/// Only the agent may look into the volumes of all workloads.
const PRIVATE: u32 = 0o700;
/// Rootless podman's user may traverse, not list.
const TRAVERSE_ONLY: u32 = 0o711;
/// Begins the name of what was set aside to be removed: `.left-N-ID`.
const LEFT: &str = ".left-";
/// How a folder is opened: never by a link.
const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why the volumes of a pod are not as they should be.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {}", path.display())]
pub(in crate::podman_executor) struct VolumeError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes the volumes of the pod `id`, handed to `owner` if there is one. There are none yet: see
/// [`set_aside`].
///
/// # Errors
/// A folder or file cannot be written; what was written is left for [`set_aside`].
pub(in crate::podman_executor) fn write(
    root: &Path,
    id: &WorkloadId,
    folders: &[VolumeFolder],
    owner: Option<(u32, u32)>,
) -> Result<(), VolumeError> {
    let path = home(root, id)?;
    if folders.is_empty() {
        return Ok(());
    }
    // Whoever could look into the root could look into secrets. Another owner must get through to
    // his own, though, and must not write: a link in the way would lead root's hand elsewhere.
    let mode = owner.map_or(PRIVATE, |_| TRAVERSE_ONLY);
    let missing = root.ancestors().skip(1).take_while(|parent| !parent.exists());
    let parents: Vec<_> = missing.collect();
    for folder in parents.into_iter().rev().chain([root]) {
        let made = DirBuilder::new().recursive(true).mode(PRIVATE).create(folder);
        failing("create", folder, made)?;
        failing("own", folder, check_own(folder))?;
        let permissions = Permissions::from_mode(mode);
        failing("set the mode of", folder, fs::set_permissions(folder, permissions))?;
    }
    let opened = open_root(root)?;
    let opened = refused("open", root, opened.ok_or(Errno::NOENT))?;
    refused("create", &path, mkdirat(&opened, id.as_str(), mode_of(PRIVATE)))?;
    let folder = refused("open", &path, openat(&opened, id.as_str(), FOLDER, Mode::empty()))?;
    let mut home = Home { path: &path, folder, made: Vec::new() };
    for folder in folders {
        home.fill(folder)?;
    }
    // Until here no other user could enter.
    owner.map_or(Ok(()), |owner| home.hand_over(owner))
}

/// The folder of a pod that no other user can enter yet.
struct Home<'a> {
    path: &'a Path,
    folder: OwnedFd,
    /// What was made in it, by paths within it; folders come before what is in them.
    made: Vec<PathBuf>,
}

impl Home<'_> {
    fn fill(&mut self, folder: &VolumeFolder) -> Result<(), VolumeError> {
        let inner = folder.path.strip_prefix(self.path).map_err(|_| io::ErrorKind::InvalidInput);
        let inner = failing("create", &folder.path, inner.map_err(io::Error::from))?;
        self.make_folders(inner, folder.mode)?;
        for file in &folder.files {
            let inner = inner.join(&file.path);
            if let Some(parent) = inner.parent() {
                self.make_folders(parent, folder.mode)?;
            }
            let path = self.path.join(&inner);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let made = openat(&self.folder, &inner, flags, mode_of(0o600));
            let mut open = File::from(refused("create", &path, made)?);
            self.made.push(inner);
            failing("write", &path, open.write_all(file.content.expose()))?;
            refused("set the mode of", &path, fchmod(&open, mode_of(file.mode)))?;
        }
        Ok(())
    }

    /// Makes `inner` and every folder above it. The umask has no say in their mode.
    fn make_folders(&mut self, inner: &Path, mode: u32) -> Result<(), VolumeError> {
        let mut folder = PathBuf::new();
        for part in inner.components() {
            folder.push(part);
            let path = self.path.join(&folder);
            match mkdirat(&self.folder, &folder, mode_of(PRIVATE)) {
                Err(Errno::EXIST) => continue,
                made @ (Ok(()) | Err(_)) => refused("create", &path, made)?,
            }
            let set = chmodat(&self.folder, &folder, mode_of(mode), AtFlags::empty());
            refused("set the mode of", &path, set)?;
            self.made.push(folder.clone());
        }
        Ok(())
    }

    /// Gives all to `owner`, who gets in only when everything is his.
    fn hand_over(self, (user, group): (u32, u32)) -> Result<(), VolumeError> {
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        for inner in self.made.iter().rev() {
            let given = chownat(&self.folder, inner, user, group, AtFlags::SYMLINK_NOFOLLOW);
            refused("hand over", &self.path.join(inner), given)?;
        }
        refused("hand over", self.path, fchown(&self.folder, user, group))
    }
}

/// Sets the volumes of the pod `id` aside, so that they are out of the way at once. Returns the
/// name under which [`remove_aside`] finds them; there are none without one.
///
/// # Errors
/// They can neither be renamed nor removed.
pub(in crate::podman_executor) fn set_aside(
    root: &Path,
    id: &WorkloadId,
) -> Result<Option<String>, VolumeError> {
    let path = home(root, id)?;
    let Some(folder) = open_root(root)? else { return Ok(None) };
    let mut names = (0_u32..).map(|n| format!("{LEFT}{n}-{id}"));
    let moved = names.find_map(|name| match rename_to_free(folder.as_fd(), id.as_str(), &name) {
        Ok(()) => Some(Ok(Some(name))),
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR | Errno::ISDIR) => None,
        Err(Errno::NOENT) => Some(Ok(None)),
        Err(error) => Some(Err(error)),
    });
    match moved.unwrap_or(Err(Errno::EXIST)) {
        // A full disk may have no room for another name.
        Err(error @ (Errno::NOSPC | Errno::DQUOT)) => {
            let removed = removal::remove_tree(folder.as_fd(), id.as_str(), &AtomicU64::new(0));
            refused("remove", &path, removed.map(|()| None).map_err(|_| error))
        }
        moved @ (Ok(_) | Err(_)) => refused("remove", &path, moved),
    }
}

fn rename_to_free(folder: BorrowedFd<'_>, from: &str, to: &str) -> Result<(), Errno> {
    match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // Not every file system knows that; a folder replaces an empty folder at most.
        Err(Errno::INVAL | Errno::NOSYS) => renameat(folder, from, folder, to),
        renamed @ (Ok(()) | Err(_)) => renamed,
    }
}

/// Sets aside the volumes of all pods that are not `kept`, and adds the names of all that was set
/// aside, now or before, to `aside`.
///
/// # Errors
/// The root cannot be read, or a folder cannot be set aside; the others are.
pub(in crate::podman_executor) fn sweep(
    root: &Path,
    kept: &BTreeSet<String>,
    aside: &mut Vec<String>,
) -> Result<(), VolumeError> {
    let Some(folder) = open_root(root)? else { return Ok(()) };
    let entries = Dir::new(folder).and_then(|folder| folder.collect::<Result<Vec<_>, _>>());
    let entries = refused("read", root, entries)?;
    let mut swept = Ok(());
    // Names of ours are plain text.
    for name in entries.iter().filter_map(|entry| entry.file_name().to_str().ok()) {
        if name.starts_with(LEFT) {
            aside.push(name.to_owned());
        } else if !kept.contains(name) && name != "." && name != ".." {
            match set_aside(root, &WorkloadId::from(name)) {
                Ok(name) => aside.extend(name),
                Err(error) => swept = swept.and(Err(error)),
            }
        }
    }
    swept
}

/// Removes what was set aside as `name`, and counts the steps. This may take long.
///
/// # Errors
/// Something of it stays.
pub(in crate::podman_executor) fn remove_aside(
    root: &Path,
    name: &str,
    steps: &AtomicU64,
) -> Result<(), VolumeError> {
    let Some(folder) = open_root(root)? else { return Ok(()) };
    let removed = removal::remove_tree(folder.as_fd(), name, steps);
    failing("remove", &root.join(name), removed.map_err(io::Error::other))
}

/// Returns the pod whose volumes were set aside as `name`.
pub(in crate::podman_executor) fn set_aside_for(name: &str) -> Option<&str> {
    let (number, id) = name.strip_prefix(LEFT)?.split_once('-')?;
    number.parse::<u32>().ok().map(|_| id)
}

/// Returns the folder of the pod `id`, which lies below `root` and nowhere else.
fn home(root: &Path, id: &WorkloadId) -> Result<PathBuf, VolumeError> {
    let mut parts = Path::new(id.as_str()).components();
    let plain = match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) => part == id.as_str(),
        (_, _) => false,
    };
    let home = root.join(id.as_str());
    let named = if plain { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) };
    failing("use as the folder of a pod", &home, named)?;
    Ok(home)
}

/// Opens the root, if it is there. It must be the agent's own: who could rename what is in it would
/// lead root's hand elsewhere.
fn open_root(root: &Path) -> Result<Option<OwnedFd>, VolumeError> {
    let folder = match open(root, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened @ (Ok(_) | Err(_)) => refused("open", root, opened)?,
    };
    let owner = refused("look at", root, fstat(&folder))?.st_uid;
    let is_own = owner == rustix::process::geteuid().as_raw();
    refused("own", root, if is_own { Ok(()) } else { Err(Errno::PERM) })?;
    Ok(Some(folder))
}

/// Checks that `folder` is a folder of the agent's own, and no link to one.
fn check_own(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    let own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if own { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn mode_of(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

fn failing<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, VolumeError> {
    result.map_err(|source| VolumeError { action, path: path.to_owned(), source })
}

fn refused<T>(
    action: &'static str,
    path: &Path,
    result: Result<T, Errno>,
) -> Result<T, VolumeError> {
    failing(action, path, result.map_err(io::Error::from))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::pod_manifest::volumes::VolumeFile;
    use crate::workload::Confidential;

    fn folder(root: &Path, id: &WorkloadId) -> VolumeFolder {
        VolumeFolder {
            path: root.join(id.as_str()).join("settings"),
            mode: 0o755,
            files: vec![VolumeFile {
                path: "deep/er/key".into(),
                mode: 0o640,
                content: Confidential::new(b"value".to_vec()),
            }],
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_stand_with_their_modes_behind_a_private_root() {
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
        write(&root, &id, &[folder(&root, &id)], None).unwrap();
        let file = root.join("web-1/settings/deep/er/key");
        assert_eq!(fs::read(&file).unwrap(), b"value");
        assert_eq!(mode(&file), 0o640);
        assert_eq!(mode(&root), 0o700);
        assert_eq!(mode(&root.join("web-1/settings/deep")), 0o755);
    }

    #[test]
    fn another_owner_gets_his_own_volumes_and_cannot_write_beside_them() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path().join("rootless/volumes"), WorkloadId::from("web-1"));
        for _ in 0..2 {
            set_aside(&root, &id).unwrap();
            write(&root, &id, &[folder(&root, &id)], Some((1234, 1235))).unwrap();
            for (path, owner, expected) in [
                ("rootless", 0, 0o711),
                ("rootless/volumes", 0, 0o711),
                ("rootless/volumes/web-1", 1234, 0o700),
                ("rootless/volumes/web-1/settings", 1234, 0o755),
                ("rootless/volumes/web-1/settings/deep/er/key", 1234, 0o640),
            ] {
                let path = dir.path().join(path);
                let found = fs::symlink_metadata(&path).unwrap();
                assert_eq!((found.uid(), mode(&path)), (owner, expected), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_root_that_is_a_link_or_anothers_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
        let other = dir.path().join("other");
        fs::create_dir_all(other.join("web-1")).unwrap();
        fs::create_dir(other.join(".left-0-web-1")).unwrap();
        let before = mode(&other);
        symlink(&other, &root).unwrap();
        let is_refused = || {
            write(&root, &id, &[folder(&root, &id)], None).is_err()
                && set_aside(&root, &id).is_err()
                && sweep(&root, &BTreeSet::new(), &mut Vec::new()).is_err()
                && remove_aside(&root, ".left-0-web-1", &AtomicU64::new(0)).is_err()
        };
        assert!(is_refused());
        if rustix::process::geteuid().is_root() {
            fs::remove_file(&root).unwrap();
            fs::rename(&other, &root).unwrap();
            std::os::unix::fs::chown(&root, Some(1234), None).unwrap();
            assert!(is_refused());
            fs::rename(&root, &other).unwrap();
        }
        assert_eq!(mode(&other), before);
        assert!(other.join("web-1").exists() && other.join(".left-0-web-1").exists());
    }

    #[test]
    fn what_was_set_aside_is_out_of_the_way_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path(), WorkloadId::from("web-1"));
        assert_eq!(set_aside(root, &id).unwrap(), None);
        for n in 0..3 {
            write(root, &id, &[folder(root, &id)], None).unwrap();
            assert!(write(root, &id, &[folder(root, &id)], None).is_err(), "nothing is mixed");
            let name = set_aside(root, &id).unwrap().unwrap();
            assert_eq!(name, format!(".left-{n}-web-1"));
            assert_eq!(set_aside_for(&name), Some("web-1"));
            assert!(root.join(&name).join("settings/deep/er/key").exists());
            assert!(!root.join("web-1").exists());
        }
        remove_aside(root, ".left-1-web-1", &AtomicU64::new(0)).unwrap();
        fs::create_dir(root.join("web-1")).unwrap();
        assert_eq!(set_aside(root, &id).unwrap().unwrap(), ".left-1-web-1");
        for (name, id) in [
            (".left-0-a", Some("a")),
            (".left-12-web-1", Some("web-1")),
            (".left-x-web-1", None),
            ("web-1", None),
        ] {
            assert_eq!(set_aside_for(name), id, "{name}");
        }
    }

    #[test]
    fn sweeping_sets_aside_what_is_not_kept_and_names_all_that_was() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volumes");
        let mut aside = Vec::new();
        sweep(&root, &BTreeSet::new(), &mut aside).unwrap();
        for id in ["web-1", "db-2"].map(WorkloadId::from) {
            write(&root, &id, &[folder(&root, &id)], None).unwrap();
        }
        fs::create_dir(root.join(".left-0-web-0")).unwrap();
        sweep(&root, &["web-1".to_owned()].into(), &mut aside).unwrap();
        aside.sort();
        assert_eq!(aside, [".left-0-db-2", ".left-0-web-0"]);
        for name in aside {
            remove_aside(&root, &name, &AtomicU64::new(0)).unwrap();
        }
        let left = fs::read_dir(&root).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["web-1"]);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (root, other) = (dir.path().join("volumes"), dir.path().join("other"));
        fs::create_dir_all(root.join("web-1")).unwrap();
        fs::create_dir(&other).unwrap();
        for id in ["../other", "..", ".", "", "/", "web-1/..", "web-1/", "./web-1"] {
            let id = WorkloadId::from(id);
            assert!(set_aside(&root, &id).is_err(), "{id}");
            assert!(write(&root, &id, &[], None).is_err(), "{id}");
        }
        let absolute = WorkloadId::from(other.to_str().unwrap());
        assert!(set_aside(&root, &absolute).is_err());
        assert!(other.exists() && root.join("web-1").exists());
    }
}
