//! The agent's own volume folders on disk.
//!
//! What ends with a pod lies in a folder of the pod's name, what outlives it in one of that name below
//! [`SCRATCH`]. The folder with the volumes of all pods is the agent's own. Those of one pod may be another
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
    mkdirat, open, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use crate::pod_manifest::VolumeFolder;
use crate::pod_manifest::volumes::SCRATCH;
use crate::podman_executor::disk::removal;
use crate::workload::WorkloadId;

/// Only the agent may look into the volumes of all workloads.
const PRIVATE: u32 = 0o700;
/// Rootless podman's user may traverse, not list.
const TRAVERSE_ONLY: u32 = 0o711;
/// Begins the name of what was set aside to be removed: `.left-N-ID`.
const LEFT: &str = ".left-";
/// Begins the name of a folder below [`SCRATCH`] that is not whole yet.
const UNFINISHED: &str = ".new-";
/// How a folder is opened: never by a link.
pub(super) const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Why the volumes of a pod are not as they should be.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {}", path.display())]
pub(in crate::podman_executor) struct VolumeError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes the volumes of the pod `id`, handed to `owner` if there is one. Of those that end with the pod
/// there are none yet: see [`set_aside`]. Those that outlive it stay as they are.
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
    let outlive_it = root.join(SCRATCH).join(id.as_str());
    let (kept, ending): (Vec<_>, Vec<_>) =
        folders.iter().partition(|folder| folder.path.starts_with(&outlive_it));
    if !kept.is_empty() {
        write_scratch(&opened, &outlive_it, id, &kept, (owner, mode))?;
    }
    fill(&opened, id.as_str(), &path, &ending, owner)
}

/// Writes the folders that outlive the pod `id`, unless they are there. They become visible as a whole: what
/// is there was written to its end.
fn write_scratch(
    root: &OwnedFd,
    path: &Path,
    id: &WorkloadId,
    folders: &[&VolumeFolder],
    (owner, mode): (Option<(u32, u32)>, u32),
) -> Result<(), VolumeError> {
    match mkdirat(root, SCRATCH, mode_of(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return refused("create", path, Err(error)),
    }
    let scratch = refused("open", path, openat(root, SCRATCH, FOLDER, Mode::empty()))?;
    refused("set the mode of", path, fchmod(&scratch, mode_of(mode)))?;
    match openat(&scratch, id.as_str(), FOLDER, Mode::empty()) {
        Ok(_) => return Ok(()),
        Err(Errno::NOENT) => {}
        Err(error) => return refused("open", path, Err(error)),
    }
    let unfinished = format!("{UNFINISHED}{id}");
    match removal::remove_tree(scratch.as_fd(), &unfinished, &AtomicU64::new(0)) {
        Ok(()) => {}
        removed @ Err(_) => failing("remove", path, removed.map_err(io::Error::other))?,
    }
    fill(&scratch, &unfinished, path, folders, owner)?;
    refused("create", path, renameat(&scratch, &unfinished, &scratch, id.as_str()))
}

/// Makes the folder `name` in `parent`, with `folders` in it, whose paths lie below `path`.
fn fill(
    parent: &OwnedFd,
    name: &str,
    path: &Path,
    folders: &[&VolumeFolder],
    owner: Option<(u32, u32)>,
) -> Result<(), VolumeError> {
    refused("create", path, mkdirat(parent, name, mode_of(PRIVATE)))?;
    let folder = refused("open", path, openat(parent, name, FOLDER, Mode::empty()))?;
    let mut home = Home { path, folder, made: Vec::new() };
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
        let group = folder.group.map(Gid::from_raw);
        self.make_folders(inner, folder.mode, group)?;
        for file in &folder.files {
            let inner = inner.join(&file.path);
            if let Some(parent) = inner.parent() {
                self.make_folders(parent, folder.mode, group)?;
            }
            let path = self.path.join(&inner);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let made = openat(&self.folder, &inner, flags, mode_of(0o600));
            let mut open = File::from(refused("create", &path, made)?);
            self.made.push(inner);
            failing("write", &path, open.write_all(file.content.expose()))?;
            refused("set the group of", &path, fchown(&open, None, group))?;
            refused("set the mode of", &path, fchmod(&open, mode_of(file.mode)))?;
        }
        Ok(())
    }

    /// Makes `inner` and every folder above it. The umask has no say in their mode.
    fn make_folders(
        &mut self,
        inner: &Path,
        mode: u32,
        group: Option<Gid>,
    ) -> Result<(), VolumeError> {
        let mut folder = PathBuf::new();
        for part in inner.components() {
            folder.push(part);
            let path = self.path.join(&folder);
            match mkdirat(&self.folder, &folder, mode_of(PRIVATE)) {
                Err(Errno::EXIST) => continue,
                made @ (Ok(()) | Err(_)) => refused("create", &path, made)?,
            }
            let given = chownat(&self.folder, &folder, None, group, AtFlags::SYMLINK_NOFOLLOW);
            refused("set the group of", &path, given)?;
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

/// Returns whether anything is there in the name of the pod `id`, whose-ever it is.
pub(in crate::podman_executor) fn has_any(root: &Path, id: &WorkloadId) -> bool {
    let places = [root.join(id.as_str()), root.join(SCRATCH).join(id.as_str())];
    places.iter().any(|place| fs::symlink_metadata(place).is_ok())
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
    home(root, id)?;
    set_aside_from(root, id.as_str(), id)
}

/// Sets aside what outlived the pods of the specification `id`.
///
/// # Errors
/// It can neither be renamed nor removed.
pub(in crate::podman_executor) fn set_scratch_aside(
    root: &Path,
    id: &WorkloadId,
) -> Result<Option<String>, VolumeError> {
    home(root, id)?;
    let moved = set_aside_from(root, &format!("{SCRATCH}/{id}"), id)?;
    remove_if_empty(root);
    Ok(moved)
}

/// Removes the folder for what outlives pods when there is nothing in it: it is made again when needed.
fn remove_if_empty(root: &Path) {
    if let Ok(Some(folder)) = open_root(root) {
        // Mostly there is.
        let _ = unlinkat(&folder, SCRATCH, AtFlags::REMOVEDIR);
    }
}

/// Sets aside what lies at `from` in the root and was the pod's of that `id`.
fn set_aside_from(root: &Path, from: &str, id: &WorkloadId) -> Result<Option<String>, VolumeError> {
    let path = root.join(from);
    let Some(folder) = open_root(root)? else { return Ok(None) };
    let mut names = (0_u32..).map(|n| format!("{LEFT}{n}-{id}"));
    let moved = names.find_map(|name| match rename_to_free(folder.as_fd(), from, &name) {
        Ok(()) => Some(Ok(Some(name))),
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR | Errno::ISDIR) => None,
        Err(Errno::NOENT) => Some(Ok(None)),
        Err(error) => Some(Err(error)),
    });
    match moved.unwrap_or(Err(Errno::EXIST)) {
        // A full disk may have no room for another name.
        Err(error @ (Errno::NOSPC | Errno::DQUOT)) => {
            let removed = removal::remove_tree(folder.as_fd(), from, &AtomicU64::new(0));
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
    let mut swept = Ok(());
    for name in names_in(folder, root)? {
        if name.starts_with(LEFT) {
            aside.push(name);
        } else if name == SCRATCH {
            swept = swept.and(sweep_scratch(root, kept, aside));
        } else if !kept.contains(&name) {
            match set_aside(root, &WorkloadId::from(name)) {
                Ok(name) => aside.extend(name),
                Err(error) => swept = swept.and(Err(error)),
            }
        }
    }
    swept
}

/// Sets aside what outlived the pods of specifications that are not `kept`.
fn sweep_scratch(
    root: &Path,
    kept: &BTreeSet<String>,
    aside: &mut Vec<String>,
) -> Result<(), VolumeError> {
    let path = root.join(SCRATCH);
    let folder = refused("open", &path, open(&path, FOLDER, Mode::empty()))?;
    let mut swept = Ok(());
    for name in names_in(folder, &path)?.into_iter().filter(|name| !kept.contains(name)) {
        let id = WorkloadId::from(name.strip_prefix(UNFINISHED).unwrap_or(&name));
        match set_aside_from(root, &format!("{SCRATCH}/{name}"), &id) {
            Ok(name) => aside.extend(name),
            Err(error) => swept = swept.and(Err(error)),
        }
    }
    remove_if_empty(root);
    swept
}

/// Returns the names of what is in `folder`, which lies at `path`. Those of ours are plain text; others
/// are left out.
fn names_in(folder: OwnedFd, path: &Path) -> Result<Vec<String>, VolumeError> {
    let entries = Dir::new(folder).and_then(|folder| folder.collect::<Result<Vec<_>, _>>());
    let entries = refused("read", path, entries)?;
    let names = entries.iter().filter_map(|entry| entry.file_name().to_str().ok());
    Ok(names.filter(|name| *name != "." && *name != "..").map(str::to_owned).collect())
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
mod tests;
