//! Files and folders that only the agent may read, and a careful way to read any file.
//!
//! Who can write beside them, or once could, must gain nothing by a link, a pipe, a device or a file
//! put in their place: what is opened is looked at again before it is used.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, open, openat, statat};
use rustix::io::Errno;
use zeroize::Zeroizing;

use crate::path_trust::{self, End, PathFault};

/// Mode of a file that only its owner may read.
const PRIVATE_FILE: u32 = 0o600;
/// Mode of a folder that only its owner may enter.
const PRIVATE_FOLDER: u32 = 0o700;
/// Every right of group and others.
const OTHERS: u32 = 0o077;

/// Who keeps a file, and so what of it is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The administrator, who may put a link in its place.
    ByAdministrator,
    /// The agent, which makes no links: it and its folder are the agent's own, or root's, and closed
    /// to the writing of others.
    ByAgent,
    /// As [`Self::ByAgent`], in a folder of the agent's own that it closes when it starts: others may
    /// write there still.
    ByAgentOnceClosed,
}

/// What was read.
#[derive(Debug)]
pub struct Content {
    /// All of it, wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether group or others may do anything with the file.
    pub open_to_others: bool,
}

/// Reads a regular file of at most `limit` bytes. A pipe is never waited for, and a device never
/// opened.
///
/// # Errors
/// It is something else, larger, absent, or cannot be read; if the agent keeps it: another user owns
/// it or its folder, or may write there.
pub fn read(path: &Path, limit: u64, kept: Kept) -> io::Result<Content> {
    let (folder, name) = match kept {
        Kept::ByAdministrator => (None, path),
        Kept::ByAgent | Kept::ByAgentOnceClosed => {
            let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            (Some(trusted_folder(path.parent().unwrap_or(Path::new("/")), kept)?), Path::new(name))
        }
    };
    let folder = folder.as_ref().map_or(CWD, |folder| folder.as_fd());
    let (at, no_link) = match kept {
        Kept::ByAdministrator => (AtFlags::empty(), OFlags::empty()),
        Kept::ByAgent | Kept::ByAgentOnceClosed => (AtFlags::SYMLINK_NOFOLLOW, OFlags::NOFOLLOW),
    };
    // To open a device may do something: it is looked at first.
    let found = statat(folder, name, at)?;
    check_regular(found.st_mode, u64::try_from(found.st_size).unwrap_or(u64::MAX), limit)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | no_link;
    let file = File::from(openat(folder, name, flags, Mode::empty())?);
    if kept != Kept::ByAdministrator {
        path_trust::judge(&file, path, End::Closed).map_err(not_believed)?;
    }
    // Meanwhile another one may have taken its place.
    let found = file.metadata()?;
    check_regular(found.mode(), found.size(), limit)?;
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(found.len()).unwrap_or_default().saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(too_large(limit));
    }
    let open_to_others = found.permissions().mode() & OTHERS != 0;
    Ok(Content { bytes, open_to_others })
}

/// Opens a folder in which no other user can have put anything in the place of what the agent made.
fn trusted_folder(folder: &Path, kept: Kept) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let opened = openat(CWD, folder, flags, Mode::empty()).map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => {
            let place = folder.display();
            denied(format!("{place} is no folder, or a link to one: remove it"))
        }
        error => error.into(),
    })?;
    match path_trust::judge(&opened, folder, End::Shared) {
        Ok(_) => Ok(opened),
        Err(PathFault::Writable { .. }) if kept == Kept::ByAgentOnceClosed => Ok(opened),
        Err(fault) => Err(not_believed(fault)),
    }
}

/// Says what to do about something that others may have written.
fn not_believed(fault: PathFault) -> io::Error {
    match fault {
        PathFault::Unknown { source, .. } => source,
        fault @ (PathFault::Owner { .. } | PathFault::Writable { .. }) => denied(format!(
            "{fault}: it is not believed; remove it, or, if its content is the agent's, chown it to \
             the agent's user and chmod go-w it"
        )),
    }
}

fn denied(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

fn check_regular(mode: u32, size: u64, limit: u64) -> io::Result<()> {
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    if size > limit { Err(too_large(limit)) } else { Ok(()) }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"))
}

/// Writes and syncs a new file that only the agent may read, from its first moment on. A leftover
/// of that name, a link say, is replaced and not written through.
///
/// # Errors
/// The disk refuses.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file that only the agent may read: after a power cut it is the old one or the new one.
/// `path` needs a name whose ending is not `new`.
///
/// # Errors
/// The disk refuses; the old one is as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    write_new(&new, bytes)?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Makes sure that `folder` is there, the agent's own and closed to all other users; one that is
/// made outlives a power cut.
///
/// # Errors
/// It cannot be made, is a link, or belongs to another user.
pub fn own_folder(folder: &Path) -> io::Result<()> {
    if let Err(error) = fs::symlink_metadata(folder)
        && error.kind() == io::ErrorKind::NotFound
    {
        DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(folder)?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        let reason = "it is a link, or belongs to another user: remove or chown it";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    // By its descriptor: its name may lead elsewhere by now.
    let opened = File::from(open(folder, flags, Mode::empty())?);
    if opened.metadata()?.uid() != found.uid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    opened.set_permissions(Permissions::from_mode(PRIVATE_FOLDER))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use rustix::fs::mkfifoat;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_file_is_private_from_its_first_moment_and_written_through_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("key"), dir.path().join("other"));
        fs::write(&other, "untouched").unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        symlink(&other, &path).unwrap();
        write_new(&path, b"secret").unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"untouched");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!((mode(&path), mode(&other)), (0o600, 0o644));
        // An old one that other processes have open is not the one that is written.
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let mut held = File::open(&path).unwrap();
        write_new(&path, b"newer").unwrap();
        let mut seen = String::new();
        held.read_to_string(&mut seen).unwrap();
        assert_eq!((seen.as_str(), mode(&path)), ("secret", 0o600));
    }

    #[test]
    fn only_regular_files_of_a_sensible_size_are_read_and_none_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        fs::write(path("file"), "12345").unwrap();
        mkfifoat(CWD, path("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        symlink("file", path("link")).unwrap();
        symlink("pipe", path("link-to-pipe")).unwrap();
        symlink("/dev/zero", path("link-to-device")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        let read = |name, limit, kept| {
            let content = read(&path(name), limit, kept);
            content.map(|content| content.bytes.to_vec()).map_err(|error| error.kind())
        };
        let (own, given) = (Kept::ByAgent, Kept::ByAdministrator);
        assert_eq!(read("file", 5, own), Ok(b"12345".to_vec()));
        assert_eq!(read("link", 5, given), Ok(b"12345".to_vec()));
        for (name, limit, kept, expected) in [
            ("file", 4, own, io::ErrorKind::FileTooLarge),
            ("absent", 9, own, io::ErrorKind::NotFound),
            ("link", 9, own, io::ErrorKind::InvalidData),
            ("pipe", 9, given, io::ErrorKind::InvalidData),
            ("link-to-pipe", 9, given, io::ErrorKind::InvalidData),
            ("link-to-device", 9, given, io::ErrorKind::InvalidData),
            ("folder", 9, given, io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read(name, limit, kept), Err(expected), "{name}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_distinguished_from_a_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "").unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, 1, Kept::ByAgent).unwrap().open_to_others, open, "{mode:o}");
        }
    }

    #[test]
    fn what_others_may_have_written_is_not_read_as_the_agents_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let set_mode = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        fs::create_dir(path("folder")).unwrap();
        fs::write(path("folder/file"), "x").unwrap();
        symlink("folder", path("link")).unwrap();
        let error_of = |name: &str| {
            let error = read(&path(name), 9, Kept::ByAgent).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
            // The administrator may do as they like.
            assert!(read(&path(name), 9, Kept::ByAdministrator).is_ok());
            error.to_string()
        };
        for (folder, file, named) in
            [(0o755, 0o666, "folder/file"), (0o755, 0o602, "folder/file"), (0o777, 0o600, "folder")]
        {
            set_mode(&path("folder"), folder);
            set_mode(&path("folder/file"), file);
            let error = error_of("folder/file");
            assert!(error.starts_with(&format!("{} belongs to", path(named).display())), "{error}");
            assert!(error.contains("can be written by every user"), "{error}");
            assert!(error.contains("remove it"), "{error}");
        }
        set_mode(&path("folder"), 0o755);
        set_mode(&path("folder/file"), 0o644);
        assert!(read(&path("folder/file"), 9, Kept::ByAgent).is_ok());
        assert!(error_of("link/file").contains("a link to one: remove it"));
        if rustix::process::geteuid().is_root() {
            for name in ["folder", "folder/file"] {
                chown(path(name), Some(4321), None).unwrap();
                let error = error_of("folder/file");
                let named = format!("{} belongs to user 4321", path(name).display());
                assert!(error.starts_with(&named), "{error}");
                chown(path(name), Some(0), None).unwrap();
            }
        }
    }

    #[test]
    fn a_replaced_file_is_the_new_one_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("list.json"), dir.path().join("other"));
        fs::write(&other, "untouched").unwrap();
        symlink(&other, dir.path().join("list.new")).unwrap();
        for content in ["first", "second"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_to_string(&other).unwrap(), "untouched");
        assert_eq!((mode(&path), fs::read_dir(dir.path()).unwrap().count()), (0o600, 2));
    }

    #[test]
    fn a_folder_is_closed_to_others_and_a_link_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name| dir.path().join(name);
        own_folder(&path("made/deep")).unwrap();
        assert_eq!((mode(&path("made")), mode(&path("made/deep"))), (0o700, 0o700));
        fs::create_dir(path("other")).unwrap();
        fs::set_permissions(path("other"), Permissions::from_mode(0o755)).unwrap();
        symlink("other", path("link")).unwrap();
        let error = own_folder(&path("link")).unwrap_err();
        assert!(error.to_string().contains("remove or chown it"), "{error}");
        assert_eq!(mode(&path("other")), 0o755, "what the link names is left alone");
        own_folder(&path("other")).unwrap();
        assert_eq!(mode(&path("other")), 0o700);
    }
}
