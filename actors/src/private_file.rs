//! Files and folders that only the agent may read, and a careful way to read any file.
//!
//! Who can write beside them, in a badly kept STATE_DIR say, must gain nothing by a link, a pipe or
//! a device put in their place: what is opened is looked at again before it is used.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use zeroize::Zeroizing;

/// Mode of a file that only its owner may read.
const PRIVATE_FILE: u32 = 0o600;
/// Mode of a folder that only its owner may enter.
const PRIVATE_FOLDER: u32 = 0o700;
/// Every right of group and others.
const OTHERS: u32 = 0o077;

/// Whether a link may stand for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// The folder is the administrator's.
    Followed,
    /// The folder is the agent's own: it makes no links.
    Refused,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Content {
    /// All of it, wiped when dropped.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// Whether group or others may do anything with the file.
    pub(crate) open_to_others: bool,
}

/// Reads a regular file of at most `limit` bytes. A pipe is never waited for, and a device never
/// opened.
///
/// # Errors
/// It is something else, larger, absent, or cannot be read.
pub(crate) fn read(path: &Path, limit: u64, links: Links) -> io::Result<Content> {
    // To open a device may do something: it is looked at first.
    let found = match links {
        Links::Followed => fs::metadata(path)?,
        Links::Refused => fs::symlink_metadata(path)?,
    };
    check_regular(&found, limit)?;
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    flags.set(OFlags::NOFOLLOW, links == Links::Refused);
    let file = File::from(open(path, flags, Mode::empty())?);
    // Meanwhile another one may have taken its place.
    let found = file.metadata()?;
    check_regular(&found, limit)?;
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

fn check_regular(found: &fs::Metadata, limit: u64) -> io::Result<()> {
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a regular file"));
    }
    if found.len() > limit { Err(too_large(limit)) } else { Ok(()) }
}

fn too_large(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes"))
}

/// Writes and syncs a new file that only the agent may read, from its first moment on. A leftover
/// of that name, a link say, is replaced and not written through.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes sure that `folder` is there, the agent's own and closed to everybody else; one that is
/// made outlives a power cut.
///
/// # Errors
/// It cannot be made, is a link, or belongs to another user.
pub(crate) fn own_folder(folder: &Path) -> io::Result<()> {
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
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, mkfifoat};

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
        // One of yesterday that everybody has open is not the one that is written.
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
        let read = |name, limit, links| {
            let content = read(&path(name), limit, links);
            content.map(|content| content.bytes.to_vec()).map_err(|error| error.kind())
        };
        let (refused, followed) = (Links::Refused, Links::Followed);
        assert_eq!(read("file", 5, refused), Ok(b"12345".to_vec()));
        assert_eq!(read("link", 5, followed), Ok(b"12345".to_vec()));
        for (name, limit, links, expected) in [
            ("file", 4, refused, io::ErrorKind::FileTooLarge),
            ("absent", 9, refused, io::ErrorKind::NotFound),
            ("link", 9, refused, io::ErrorKind::InvalidData),
            ("pipe", 9, followed, io::ErrorKind::InvalidData),
            ("link-to-pipe", 9, followed, io::ErrorKind::InvalidData),
            ("link-to-device", 9, followed, io::ErrorKind::InvalidData),
            ("folder", 9, followed, io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read(name, limit, links), Err(expected), "{name}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_told_from_a_private_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "").unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read(&path, 1, Links::Refused).unwrap().open_to_others, open, "{mode:o}");
        }
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
