//! The directory in which the agent keeps what must survive a restart, and the id kept in it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use actors::path_trust::{self, End, PathFault};
use actors::private_file::{self, Kept};
use actors::workload::DeviceId;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::values::{self, ValueError};

/// The file with the id that the agent made.
const DEVICE_ID: &str = "device-id";
/// A larger file holds no id.
const MAX_DEVICE_ID: u64 = 4096;
/// Where the kernel hands out random ids.
const RANDOM_ID: &str = "/proc/sys/kernel/random/uuid";

/// What became of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prepared {
    /// It is there and can be written.
    Writable,
    /// It is not there, and nothing seems to keep a start from making it.
    WouldMake,
    /// Others could write there too, and cannot any more once the agent has started; says so.
    Closed(String),
    /// The disk takes nothing; says why, and what that means. Workloads run all the same.
    Unwritable(String),
}

/// Makes the directory, for its owner only, unless it is there, and checks that it may be written, and
/// that no other user can replace it or what is in it. Writes nothing into it.
pub(super) fn prepare(path: &Path) -> Result<Prepared, ValueError> {
    // Before anything is made: on the way there may be a link of another user's.
    let was_open = match path_trust::walk(path, End::Shared) {
        Err(fault) if is_about_others(&fault) => Some(close(path, &fault)?),
        Ok(_) | Err(_) => None,
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    let may_write = || {
        let may_write = accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
        may_write.map_err(|error| ("written", io::Error::from(error)))
    };
    let outcome = made.map_err(|error| ("made", error)).and_then(|()| may_write());
    // In a folder that is open to all another user may have been faster.
    let outcome = match outcome.map(|()| path_trust::walk(path, End::Shared)) {
        Ok(Err(PathFault::Unknown { source, .. })) => Err(("looked at", source)),
        Ok(Err(fault)) => return Err(refused(path, &fault)),
        Ok(Ok(_)) => Ok(Prepared::Writable),
        Err(error) => Err(error),
    };
    prepared(path, outcome, was_open)
}

/// Returns what [`prepare`] would come to now, as far as that shows without a change of the disk.
pub(super) fn examine(path: &Path) -> Result<Prepared, ValueError> {
    let (is_open, unknown) = match path_trust::walk(path, End::Shared) {
        Ok(_) => (None, None),
        Err(PathFault::Unknown { source, .. }) => (None, Some(source)),
        Err(fault) => match closed_mode(path, &fault) {
            Some(mode) => (
                Some(closed(&fault, &format!("is closed to them at a start (mode {mode:03o})"))),
                None,
            ),
            None => return Err(refused(path, &fault)),
        },
    };
    let outcome = could_be_made(path);
    let outcome =
        outcome.and_then(|made| unknown.map_or(Ok(made), |source| Err(("looked at", source))));
    prepared(path, outcome, is_open)
}

/// Returns whether the directory is there, or the nearest one above it that is lets it be made; else
/// what cannot be done, and why.
fn could_be_made(path: &Path) -> Result<Prepared, Fault> {
    let is_there = |at: &&Path| {
        !fs::symlink_metadata(at).is_err_and(|it| it.kind() == io::ErrorKind::NotFound)
    };
    let nearest = path.ancestors().find(is_there).unwrap_or(path);
    let (doing, needed, found) = if nearest == path {
        ("written", Access::WRITE_OK, Prepared::Writable)
    } else {
        ("made", Access::WRITE_OK | Access::EXEC_OK, Prepared::WouldMake)
    };
    match fs::metadata(nearest) {
        Ok(metadata) if metadata.is_dir() => {}
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(("made", error)),
        // A file, or a link that leads nowhere.
        Ok(_) | Err(_) => return Err(("made", Errno::EXIST.into())),
    }
    let allowed = accessat(CWD, nearest, needed, AtFlags::EACCESS);
    allowed.map(|()| found).map_err(|error| (doing, error.into()))
}

/// What cannot be done with the directory, in a word, and why.
type Fault = (&'static str, io::Error);

/// Says what became of the directory, or why it cannot be used; `closed` if others could write there.
fn prepared(
    path: &Path,
    outcome: Result<Prepared, Fault>,
    closed: Option<String>,
) -> Result<Prepared, ValueError> {
    match outcome {
        Ok(prepared) => Ok(closed.map_or(prepared, Prepared::Closed)),
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

fn is_about_others(fault: &PathFault) -> bool {
    match fault {
        PathFault::Owner { .. } | PathFault::Writable { .. } => true,
        PathFault::Unknown { .. } => false,
    }
}

/// Takes the right to write there from others, if `fault` is that they have it in the directory
/// itself and that is the agent's; says what that means.
fn close(path: &Path, fault: &PathFault) -> Result<String, ValueError> {
    let Some(mode) = closed_mode(path, fault) else {
        return Err(refused(path, fault));
    };
    let outcome = match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => format!("was closed to them (mode {mode:03o})"),
        // Nor can they write there, then.
        Err(error) if is_disk_fault(&error) => format!("cannot be closed: {error}"),
        Err(error) => {
            return Err(ValueError(format!(
                "{fault}, and cannot be closed to them: {error}; chmod go-w it"
            )));
        }
    };
    Ok(closed(fault, &outcome))
}

fn closed(fault: &PathFault, mended: &str) -> String {
    format!("{fault}, and {mended}; what others have put there is not believed")
}

/// Returns the mode by which only its owner writes to the directory, if `fault` is that others do,
/// and it is the agent's own.
fn closed_mode(path: &Path, fault: &PathFault) -> Option<u32> {
    let is_its_own = matches!(fault, PathFault::Writable { .. }) && fault.place() == path;
    let found = fs::symlink_metadata(path).ok().filter(|_| is_its_own)?;
    let own = rustix::process::geteuid().as_raw();
    (found.is_dir() && found.uid() == own).then(|| found.mode() & 0o7755)
}

fn refused(path: &Path, fault: &PathFault) -> ValueError {
    let keepers =
        if rustix::process::geteuid().is_root() { "root" } else { "root or the agent's user" };
    ValueError(format!(
        "{fault}; who can do that could put another configuration and other keys in the place of {}: \
         name a directory below those that only {keepers} can write to, as /var/lib is, or give \
         {} to them alone (chown, chmod go-w)",
        path.display(),
        fault.place().display(),
    ))
}

/// Whether the disk is to blame and no setting: there is no one to repair it, and workloads do not
/// need it.
fn is_disk_fault(error: &io::Error) -> bool {
    let faults = [Errno::ROFS, Errno::NOSPC, Errno::DQUOT, Errno::IO];
    Errno::from_io_error(error).is_some_and(|error| faults.contains(&error))
}

/// Returns the id kept in the directory, if one was made before, by the rules of [`Kept`].
pub(super) fn kept_device_id(state_dir: &Path, kept: Kept) -> Result<Option<DeviceId>, ValueError> {
    let path = state_dir.join(DEVICE_ID);
    match private_file::read(&path, MAX_DEVICE_ID, kept) {
        Ok(content) => {
            let text = String::from_utf8_lossy(&content.bytes);
            values::device_id(text.trim()).map(Some).map_err(|error| {
                ValueError(format!("{}: {error}; or delete the file", path.display()))
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ValueError(format!("{} cannot be read: {error}", path.display()))),
    }
}

/// Returns the file in which a start would keep an id, if it could write there.
pub(super) fn could_keep_device_id(state_dir: &Path) -> Result<PathBuf, ValueError> {
    let path = state_dir.join(DEVICE_ID);
    match could_be_made(state_dir) {
        Ok(_) => Ok(path),
        Err((_, error)) => {
            Err(ValueError(format!("{} cannot be written: {error}", path.display())))
        }
    }
}

/// Makes an id and keeps it.
pub(super) fn make_device_id(state_dir: &Path) -> Result<DeviceId, ValueError> {
    let path = state_dir.join(DEVICE_ID);
    let random = fs::read_to_string(RANDOM_ID)
        .map_err(|error| ValueError(format!("{RANDOM_ID} cannot be read: {error}")))?;
    let id = values::device_id(&random.trim().replace('-', ""))?;
    private_file::replace(&path, format!("{id}\n").as_bytes())
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

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
    fn an_examination_says_what_a_start_would_do_and_does_not_do_it() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        fs::write(at("file"), "").unwrap();
        symlink("nowhere", at("link")).unwrap();
        for (name, mode) in [("there", 0o700), ("open", 0o777), ("sticky", 0o1777)] {
            fs::create_dir(at(name)).unwrap();
            set_mode(&at(name), mode);
        }
        // Others can replace it.
        fs::create_dir(at("open/state")).unwrap();
        let names = [
            "there",
            "new",
            "new/er",
            "there/new",
            "open",
            "open/state",
            "open/new",
            "sticky",
            "sticky/new",
            "file",
            "file/new",
            "link",
            "link/new",
        ];
        for name in names {
            let list = |folder: &Path| {
                let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
                entries
                    .map(|path| (path.clone(), path.symlink_metadata().unwrap().mode()))
                    .collect::<std::collections::BTreeMap<_, _>>()
            };
            let before = ["", "there", "open", "sticky"].map(|folder| list(&at(folder)));
            let examined = examine(&at(name));
            let after = ["", "there", "open", "sticky"].map(|folder| list(&at(folder)));
            assert_eq!(before, after, "{name}");
            match (examined, prepare(&at(name))) {
                (Ok(Prepared::WouldMake), Ok(Prepared::Writable)) => {
                    assert!(!before.iter().any(|list| list.contains_key(&at(name))), "{name}");
                }
                (Ok(Prepared::Closed(would)), Ok(Prepared::Closed(was))) => {
                    assert_eq!(
                        would.replace("is closed to them at a start", "was closed to them"),
                        was
                    );
                    set_mode(&at(name), 0o777);
                }
                (examined, prepared) => assert_eq!(examined, prepared, "{name}"),
            }
            // What was made goes, for the next one.
            for made in ["new", "there/new", "sticky/new"] {
                let _ = fs::remove_dir_all(at(made));
            }
        }
    }

    #[test]
    fn a_directory_that_others_can_replace_is_refused_with_the_folder_that_lets_them() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        fs::create_dir_all(at("home/state")).unwrap();
        set_mode(&at("home"), 0o777);
        for path in ["home/state", "home/new"] {
            let error = prepare(&at(path)).unwrap_err().to_string();
            let expected = format!("{} belongs to user", at("home").display());
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.contains("(mode 777)") && error.contains("/var/lib"), "{error}");
            assert!(!at("home/new").exists(), "nothing is made there");
        }
        // In a sticky one, as a tmpfs is, they cannot replace what is the agent's.
        set_mode(&at("home"), 0o1777);
        for path in ["home/state", "home/new", "home"] {
            assert_eq!(prepare(&at(path)), Ok(Prepared::Writable), "{path}");
        }
        assert_eq!(mode(&at("home")), 0o1777);
        if rustix::process::geteuid().is_root() {
            set_mode(&at("home"), 0o755);
            chown(at("home"), Some(4321), None).unwrap();
            let error = prepare(&at("home/state")).unwrap_err().to_string();
            let expected = format!("{} belongs to user 4321 (mode 755)", at("home").display());
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_directory_of_the_agents_own_that_was_open_is_closed() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        fs::create_dir(&path).unwrap();
        for (open, closed) in [(0o777, 0o755), (0o2777, 0o2755), (0o702, 0o700)] {
            set_mode(&path, open);
            let Ok(Prepared::Closed(warning)) = prepare(&path) else {
                panic!("{open:o} is left open")
            };
            assert!(warning.starts_with(&format!("{} belongs to", path.display())), "{warning}");
            assert!(
                warning.contains("was closed") && warning.contains("not believed"),
                "{warning}"
            );
            assert_eq!(mode(&path), closed);
            assert_eq!(prepare(&path), Ok(Prepared::Writable));
        }
        // Behind a link it may be any user's.
        set_mode(&path, 0o777);
        let link = parent.path().join("link");
        symlink("state", &link).unwrap();
        assert!(prepare(&link).is_err());
        assert_eq!(mode(&path), 0o777);
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
        assert_eq!(kept_device_id(state_dir.path(), Kept::ByAgent), Ok(None));
        let made = make_device_id(state_dir.path()).unwrap();
        assert_eq!(kept_device_id(state_dir.path(), Kept::ByAgent), Ok(Some(made)));
        let file = state_dir.path().join(DEVICE_ID);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(state_dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_kept_id_that_is_damaged_is_refused_not_replaced() {
        let state_dir = tempfile::tempdir().unwrap();
        fs::write(state_dir.path().join(DEVICE_ID), "\0\0").unwrap();
        assert!(kept_device_id(state_dir.path(), Kept::ByAgent).is_err());
    }

    #[test]
    fn a_kept_id_that_others_may_have_written_is_refused() {
        let state_dir = tempfile::tempdir().unwrap();
        make_device_id(state_dir.path()).unwrap();
        let path = state_dir.path().join(DEVICE_ID);
        set_mode(&path, 0o666);
        let error = kept_device_id(state_dir.path(), Kept::ByAgent).unwrap_err().to_string();
        assert!(error.contains("can be written by every user") && error.contains("remove it"));
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
