//! The agent's own volume folders on disk.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown,
};
use std::path::{Component, Path, PathBuf};

use crate::pod_manifest::VolumeFolder;
use crate::workload::WorkloadId;

/// Only the agent may look into the volumes of all workloads.
const PRIVATE: u32 = 0o700;
/// The user of rootless podman may go through to the volumes of his pods.
const PASSAGE: u32 = 0o711;
/// Begins the name of a folder that could not be removed and waits for it.
const LEFT: &str = ".left-";

/// Why the volumes of a pod are not as they should be.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {}", path.display())]
pub(super) struct VolumeError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Writes the volumes of the pod `id` afresh, handed to `owner` if there is one.
///
/// # Errors
/// A folder or file cannot be written; what was written is left for [`remove`].
pub(super) fn write(
    root: &Path,
    id: &WorkloadId,
    folders: &[VolumeFolder],
    owner: Option<(u32, u32)>,
) -> Result<(), VolumeError> {
    remove(root, id)?;
    if folders.is_empty() {
        return Ok(());
    }
    let home = home(root, id)?;
    // Whoever could look into the root could look into secrets. Another owner must get through to
    // his own, though, and must not write: a link in the way would lead root's hand elsewhere.
    let mode = owner.map_or(PRIVATE, |_| PASSAGE);
    let missing = root.ancestors().skip(1).take_while(|parent| !parent.exists());
    let parents: Vec<_> = missing.collect();
    for folder in parents.into_iter().rev().chain([root]) {
        let made = DirBuilder::new().recursive(true).mode(PRIVATE).create(folder);
        failing("create", folder, made)?;
        failing("own", folder, check_own(folder))?;
        set_mode(folder, mode)?;
    }
    failing("create", &home, DirBuilder::new().mode(PRIVATE).create(&home))?;
    for folder in folders {
        make_folder(&home, &folder.path, folder.mode)?;
        for file in &folder.files {
            let path = folder.path.join(&file.path);
            if let Some(parent) = path.parent() {
                make_folder(&folder.path, parent, folder.mode)?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            let mut open: File = failing("create", &path, options.open(&path))?;
            failing("write", &path, open.write_all(file.content.expose()))?;
            set_mode(&path, file.mode)?;
        }
    }
    // Until here nobody else could get in.
    owner.map_or(Ok(()), |owner| hand_over(&home, owner))
}

/// Removes the volumes of the pod `id`; absent ones are a success.
///
/// # Errors
/// The folder can neither be removed nor moved out of the way.
pub(super) fn remove(root: &Path, id: &WorkloadId) -> Result<(), VolumeError> {
    let home = home(root, id)?;
    match fs::remove_dir_all(&home) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // Files of a container's other users belong to ids that an agent without root cannot touch.
        Err(_) => {
            let aside = (0_u32..).map(|n| root.join(format!("{LEFT}{n}-{id}")));
            let free = aside.into_iter().find(|path| !path.exists());
            let moved = free.map_or(Ok(()), |free| fs::rename(&home, free));
            failing("remove", &home, moved)
        }
    }
}

/// Removes the volumes of all pods that are not `kept`, and what [`remove`] had to leave.
///
/// # Errors
/// The root cannot be read, or a folder can neither be removed nor moved out of the way.
pub(super) fn sweep(root: &Path, kept: &BTreeSet<String>) -> Result<(), VolumeError> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries @ (Ok(_) | Err(_)) => failing("read", root, entries)?,
    };
    let mut swept = Ok(());
    for entry in entries {
        let entry = failing("read", root, entry)?;
        // Names of ours are plain text.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with(LEFT) {
            // It was left because it cannot be removed: that may not have changed.
            let _still_left = fs::remove_dir_all(entry.path());
        } else if !kept.contains(&name) {
            swept = swept.and(remove(root, &WorkloadId::from(name)));
        }
    }
    swept
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

/// Makes `folder` and every folder between it and `base`.
fn make_folder(base: &Path, folder: &Path, mode: u32) -> Result<(), VolumeError> {
    let inner = folder.strip_prefix(base).unwrap_or(Path::new(""));
    let mut path = base.to_owned();
    for part in inner.components() {
        path.push(part);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made @ (Ok(()) | Err(_)) => failing("create", &path, made)?,
        }
        set_mode(&path, mode)?;
    }
    Ok(())
}

/// Sets the mode; the umask has no say.
fn set_mode(path: &Path, mode: u32) -> Result<(), VolumeError> {
    failing("set the mode of", path, fs::set_permissions(path, Permissions::from_mode(mode)))
}

/// Checks that `folder` is a folder of the agent's own, and no link to one.
fn check_own(folder: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(folder)?;
    let own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if own { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Gives `path` with all that is in it to `owner`, who gets in only when everything is his.
/// Follows no link.
fn hand_over(path: &Path, owner: (u32, u32)) -> Result<(), VolumeError> {
    let found = failing("look at", path, fs::symlink_metadata(path))?;
    if found.is_dir() {
        for entry in failing("read", path, fs::read_dir(path))? {
            hand_over(&failing("read", path, entry)?.path(), owner)?;
        }
    }
    failing("hand over", path, lchown(path, Some(owner.0), Some(owner.1)))
}

fn failing<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, VolumeError> {
    result.map_err(|source| VolumeError { action, path: path.to_owned(), source })
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
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path().join("volumes"), WorkloadId::from("web-1"));
        let other = dir.path().join("other");
        fs::create_dir(&other).unwrap();
        let before = mode(&other);
        symlink(&other, &root).unwrap();
        assert!(write(&root, &id, &[folder(&root, &id)], None).is_err());
        assert_eq!(mode(&other), before);
        if rustix::process::geteuid().is_root() {
            let tree = dir.path().join("tree");
            fs::create_dir(&tree).unwrap();
            symlink(&other, tree.join("link")).unwrap();
            hand_over(&tree, (1234, 1235)).unwrap();
            assert_eq!(fs::metadata(&other).unwrap().uid(), 0);
        }
    }

    #[test]
    fn a_second_writing_starts_from_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (root, id) = (dir.path(), WorkloadId::from("web-1"));
        write(root, &id, &[folder(root, &id)], None).unwrap();
        let stale = root.join("web-1/settings/stale");
        fs::write(&stale, "x").unwrap();
        write(root, &id, &[folder(root, &id)], None).unwrap();
        assert!(!stale.exists());
    }

    #[test]
    fn removing_leaves_nothing_and_may_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let id = WorkloadId::from("web-1");
        write(dir.path(), &id, &[folder(dir.path(), &id)], None).unwrap();
        remove(dir.path(), &id).unwrap();
        remove(dir.path(), &id).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn sweeping_leaves_what_is_kept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("volumes");
        sweep(&root, &BTreeSet::new()).unwrap();
        for id in ["web-1", "db-2"].map(WorkloadId::from) {
            write(&root, &id, &[folder(&root, &id)], None).unwrap();
        }
        fs::create_dir(root.join(".left-0-web-0")).unwrap();
        sweep(&root, &["web-1".to_owned()].into()).unwrap();
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
            assert!(remove(&root, &id).is_err(), "{id}");
            assert!(write(&root, &id, &[], None).is_err(), "{id}");
        }
        let absolute = WorkloadId::from(other.to_str().unwrap());
        assert!(remove(&root, &absolute).is_err());
        assert!(other.exists() && root.join("web-1").exists());
    }
}
