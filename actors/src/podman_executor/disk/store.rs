//! A small file that survives a power cut: either the old content or the new.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::private_file::{self, Kept};

/// A larger file is none of ours.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Reads the file; an absent one is empty. What others may have written is not read.
pub(in crate::podman_executor) fn read(file: &Path) -> io::Result<Vec<u8>> {
    match private_file::read(file, MAX_FILE, Kept::ByAgent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
        Ok(content) => Ok(content.bytes.to_vec()),
    }
}

/// Replaces the file's content.
pub(in crate::podman_executor) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    private_file::replace(file, content)
}
