//! The directory in which the agent keeps what must survive a restart, and the id kept in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use actors::workload::DeviceId;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::values::{self, ValueError};

/// The file with the id that the agent made.
const DEVICE_ID: &str = "device-id";
/// Where the kernel hands out random ids.
const RANDOM_ID: &str = "/proc/sys/kernel/random/uuid";

/// What became of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// It is there and can be written.
    Writable,
    /// The disk takes nothing; says why, and what that means. Workloads run all the same.
    Unwritable(String),
}

/// Makes the directory, for its owner only, unless it is there, and checks that it may be written.
/// Writes nothing into it.
pub(super) fn prepare(path: &Path) -> Result<Prepared, ValueError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let told = match made {
        Ok(()) => {
            let may_write = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
            may_write.map_err(|error| ("written", io::Error::from(error)))
        }
        Err(error) => Err(("made", error)),
    };
    match told {
        Ok(()) => Ok(Prepared::Writable),
        Err((doing, error)) if is_disk_fault(&error) => Ok(Prepared::Unwritable(format!(
            "{} cannot be {doing}: {error}; the agent runs, but keeps no new configuration, \
             certificate or volume: mend the disk",
            path.display()
        ))),
        Err((doing, error)) => Err(ValueError(format!(
            "{} cannot be {doing}: {error}; make it writable for the user who runs the agent",
            path.display()
        ))),
    }
}

/// Whether the disk is to blame and no setting: nobody is there to mend it, and workloads do not
/// need it.
fn is_disk_fault(error: &io::Error) -> bool {
    let faults = [Errno::ROFS, Errno::NOSPC, Errno::DQUOT, Errno::IO];
    Errno::from_io_error(error).is_some_and(|error| faults.contains(&error))
}

/// Returns the id kept in the directory, if one was made before.
pub(super) fn kept_device_id(state_dir: &Path) -> Result<Option<DeviceId>, ValueError> {
    let path = state_dir.join(DEVICE_ID);
    match fs::read_to_string(&path) {
        Ok(text) => values::device_id(text.trim()).map(Some).map_err(|error| {
            ValueError(format!("{}: {error}; or delete the file", path.display()))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ValueError(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// Makes an id and keeps it.
pub(super) fn make_device_id(state_dir: &Path) -> Result<DeviceId, ValueError> {
    let path = state_dir.join(DEVICE_ID);
    let random = fs::read_to_string(RANDOM_ID)
        .map_err(|error| ValueError(format!("{RANDOM_ID} cannot be read: {error}")))?;
    let id = values::device_id(&random.trim().replace('-', ""))?;
    keep(&path, id.as_str())
        .map_err(|error| ValueError(format!("{} cannot be written: {error}", path.display())))?;
    Ok(id)
}

/// Returns the machine's id, unless it has none yet.
pub(super) fn machine_id(path: &Path) -> Option<DeviceId> {
    let text = fs::read_to_string(path).ok()?;
    let id = text.trim();
    // An image that was not booted yet holds an empty file or the word "uninitialized".
    let made = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    made.then(|| values::device_id(&id.to_ascii_lowercase()).ok()).flatten()
}

/// Replaces the file at once: after a power cut it is there whole or not at all.
fn keep(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = private_file(&temporary)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn private_file(path: &Path) -> io::Result<File> {
    // A leftover is replaced: a link in its place would lead elsewhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_its_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        prepare(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        assert_eq!(prepare(&path), Ok(Prepared::Writable));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.join("state"), file, "/proc/state".into()] {
            let error = prepare(&path).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn only_a_disk_that_takes_nothing_is_forgiven() {
        for (errno, forgiven) in [
            (Errno::ROFS, true),
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::IO, true),
            (Errno::ACCESS, false),
            (Errno::NOTDIR, false),
            (Errno::NOENT, false),
        ] {
            assert_eq!(is_disk_fault(&errno.into()), forgiven, "{errno}");
        }
    }

    #[test]
    fn an_id_is_made_once_and_kept() {
        let state_dir = tempfile::tempdir().unwrap();
        assert_eq!(kept_device_id(state_dir.path()), Ok(None));
        let made = make_device_id(state_dir.path()).unwrap();
        assert_eq!(kept_device_id(state_dir.path()), Ok(Some(made)));
        let file = state_dir.path().join(DEVICE_ID);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(state_dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_kept_id_that_is_damaged_is_refused_not_replaced() {
        let state_dir = tempfile::tempdir().unwrap();
        fs::write(state_dir.path().join(DEVICE_ID), "\0\0").unwrap();
        assert!(kept_device_id(state_dir.path()).is_err());
    }

    #[test]
    fn a_machine_id_counts_only_when_it_was_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine-id");
        assert_eq!(machine_id(&path), None);
        for (text, expected) in [
            ("", None),
            ("uninitialized\n", None),
            ("3D1219c7c4c5404aaa1f6d2a48adfda4\n", Some("3d1219c7c4c5404aaa1f6d2a48adfda4")),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(machine_id(&path), expected.map(DeviceId::from), "{text}");
        }
    }
}
