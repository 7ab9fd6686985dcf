//! A folder of the agent's that a pod mounts.

use std::path::{Component, Path, PathBuf};

use crate::pod_manifest::ManifestError;
use crate::workload::Confidential;

/// Mode of a folder that containers only read.
pub(super) const READ_MODE: u32 = 0o755;
/// A folder that a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFolder {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its group and that of what is in it, if not the agent's own.
    pub group: Option<u32>,
    /// What is in it.
    pub files: Vec<VolumeFile>,
}

/// A file in a [`VolumeFolder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFile {
    /// Its path within the folder; cannot lead out of it.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its content.
    pub content: Confidential<Vec<u8>>,
}

/// Returns `path` if it can only lead to something within its folder.
pub(in crate::pod_manifest) fn within(volume: &str, path: &str) -> Result<PathBuf, ManifestError> {
    let safe = !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !safe {
        return Err(ManifestError::UnsafePath { volume: volume.to_owned(), path: path.to_owned() });
    }
    Ok(Path::new(path).components().collect())
}
