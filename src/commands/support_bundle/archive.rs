//! The file that is written: a compressed archive, for its owner only, in the place of nothing.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::gathering::Part;

/// Mode of the file, and of those within.
const MODE: u32 = 0o600;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    /// Something is there already, which may be a link.
    #[error("{} is there already, and is not replaced: name another file with --output", .0.display())]
    Taken(PathBuf),
    /// The file cannot be made.
    #[error("failed to make {}: {source}; name another file with --output", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The disk refused; what was written of it is removed.
    #[error("failed to write {}: {source}; name a file on another disk with --output", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// A new file, empty as yet. It is removed again when it is dropped before it was written.
pub(super) struct File {
    path: PathBuf,
    file: Option<fs::File>,
}

impl File {
    /// Makes the file, by `O_EXCL`: neither what is there is replaced, nor a link followed.
    ///
    /// # Errors
    /// Something is there, or the folder does not permit it.
    pub(super) fn create(path: PathBuf) -> Result<Self, Unwritten> {
        match fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path) {
            Ok(file) => Ok(Self { path, file: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Unwritten::Taken(path))
            }
            Err(source) => Err(Unwritten::Make { path, source }),
        }
    }

    /// Writes those parts that are there into `folder` within the archive; `time` is that of the files,
    /// in Unix seconds. Returns where it is, and its size in bytes.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn write(
        mut self,
        folder: &str,
        time: i64,
        parts: &[Part],
    ) -> Result<(PathBuf, usize), Unwritten> {
        let written = packed(folder, time, parts).and_then(|bytes| {
            if let Some(file) = &mut self.file {
                file.write_all(&bytes)?;
                file.sync_all()?;
            }
            Ok(bytes.len())
        });
        match written {
            Ok(size) => {
                self.file = None;
                Ok((self.path.clone(), size))
            }
            Err(source) => Err(Unwritten::Write { path: self.path.clone(), source }),
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Half of one is of no use.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Returns the archive, compressed.
fn packed(folder: &str, time: i64, parts: &[Part]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for part in parts {
        let Ok(content) = &part.content else { continue };
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(MODE);
        header.set_mtime(u64::try_from(time).unwrap_or_default());
        header.set_size(u64::try_from(content.len()).map_err(io::Error::other)?);
        archive.append_data(&mut header, format!("{folder}/{}", part.name), content.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let long = "x".repeat(150);
        let part = |name: &str, content: Result<&str, &str>| Part {
            name: name.to_owned(),
            content: content.map(str::to_owned).map_err(str::to_owned),
        };
        let parts = [part("a/b.txt", Ok("one\n")), part("gone", Err("why")), part(&long, Ok(""))];
        let bytes = packed("bundle", 1_800_000_000, &parts).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(&bytes[..]));
        let mut read = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let (mode, time) = (entry.header().mode().unwrap(), entry.header().mtime().unwrap());
            assert_eq!((mode, time), (0o600, 1_800_000_000));
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            read.push((path, text));
        }
        let expected = [("bundle/a/b.txt".to_owned(), "one\n".to_owned())]
            .into_iter()
            .chain([(format!("bundle/{long}"), String::new())]);
        assert_eq!(read, expected.collect::<Vec<_>>());
    }

    #[test]
    fn a_bundle_is_its_owners_alone_and_takes_the_place_of_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let file = File::create(path("new.tar.gz")).unwrap();
        let (written, size) = file.write("b", 0, &[]).unwrap();
        let found = fs::metadata(&written).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, 0o600);
        assert_eq!(usize::try_from(found.len()).unwrap(), size);

        fs::write(path("other"), "untouched").unwrap();
        symlink(path("other"), path("link")).unwrap();
        symlink(path("nowhere"), path("dangling")).unwrap();
        for name in ["other", "link", "dangling", "new.tar.gz"] {
            let error = File::create(path(name)).err().unwrap();
            assert!(matches!(error, Unwritten::Taken(_)), "{name}: {error}");
        }
        assert_eq!(fs::read(path("other")).unwrap(), b"untouched");
        assert!(!path("nowhere").exists());
        let error = File::create(path("absent/b")).err().unwrap().to_string();
        assert!(error.contains("absent/b") && error.contains("--output"), "{error}");
    }

    #[test]
    fn a_bundle_that_is_not_written_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle");
        drop(File::create(path.clone()).unwrap());
        assert!(!path.exists());
        // A disk without room.
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        fs::write(&path, "").unwrap();
        let file = File { path: path.clone(), file: Some(full) };
        let error = file.write("b", 0, &[]).unwrap_err().to_string();
        assert!(error.contains("failed to write") && error.contains("--output"), "{error}");
        assert!(!path.exists());
    }
}
