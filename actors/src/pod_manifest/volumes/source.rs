//! What a volume of a pod is made of.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Volume;

use super::files;
use super::folder::{READ_MODE, VolumeFile, VolumeFolder};
use super::home::Home;
use super::parts::Parts;
use crate::pod_manifest::ManifestError;
use crate::pod_manifest::environment::downward::Downward;
use crate::workload::Confidential;

/// The folder with the parts of volumes; no volume can be called so.
const PARTS: &str = ".parts";

/// What a volume is made of.
pub(super) enum Source {
    /// Folders that containers write to.
    Scratch(Parts),
    /// A folder that they only read, and where others are mounted within it.
    Files(VolumeFolder, Vec<VolumeFolder>),
    /// The host's own folder or file, and its type.
    Host(PathBuf, Option<String>),
    /// podman's own volume, and whether it may only be read.
    Claim(bool),
}

impl Source {
    /// Returns what `volume`, whose folder is to lie in `home`, is made of.
    pub(super) fn of(
        downward: Downward<'_>,
        home: &Home,
        volume: &Volume,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ManifestError> {
        let name = &volume.name;
        if let Some(scratch) = &volume.empty_dir {
            let home = home.of_scratch(name, scratch, warnings);
            Ok(Self::Scratch(Parts::new(home.join(name), home.join(PARTS).join(name))))
        } else if let Some(files) = files::of(volume, downward)? {
            let path = home.of_pod.join(name);
            Ok(Self::Files(VolumeFolder { path, mode: READ_MODE, group: None, files }, Vec::new()))
        } else if let Some(host) = &volume.host_path {
            Ok(Self::Host(PathBuf::from(&host.path), host.type_.clone()))
        } else if let Some(claim) = &volume.persistent_volume_claim {
            Ok(Self::Claim(claim.read_only.unwrap_or(false)))
        } else {
            let kind = kind_of(volume);
            Err(ManifestError::VolumeKind { volume: name.clone(), kind })
        }
    }

    /// Returns the whole, if it is a folder of the agent's own.
    pub(super) fn own_folder(&self) -> Option<&Path> {
        match self {
            Self::Scratch(parts) => parts.folder(Path::new("")),
            Self::Files(folder, _) => Some(&folder.path),
            Self::Host(..) | Self::Claim(_) => None,
        }
    }

    /// Whether containers may only read it, whatever they ask for.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Files(..) | Self::Claim(true))
    }

    /// Whether what lies at `inner` is a file, as far as the manifest says.
    pub(super) fn is_file(&self, inner: &Path) -> bool {
        match self {
            Self::Scratch(_) | Self::Claim(_) => false,
            Self::Files(folder, _) => folder.files.iter().any(|file| file.path == inner),
            Self::Host(_, kind) => {
                let file = |kind: &str| !kind.is_empty() && !kind.starts_with("Directory");
                inner.as_os_str().is_empty() && kind.as_deref().is_some_and(file)
            }
        }
    }

    /// Returns where the part `inner` lies on the host, and its type.
    pub(super) fn part(&self, inner: &Path) -> Option<(PathBuf, &'static str)> {
        match self {
            Self::Scratch(parts) => parts.folder(inner).map(|path| (path.to_owned(), "Directory")),
            Self::Files(folder, _) => {
                let kind = if self.is_file(inner) { "File" } else { "Directory" };
                let is_there = folder.files.iter().any(|file| file.path.starts_with(inner));
                is_there.then(|| (folder.path.join(inner), kind))
            }
            Self::Host(base, _) => Some((base.join(inner), "")),
            Self::Claim(_) => None,
        }
    }

    /// Makes room at `inner` for what is mounted there, a file or a folder: podman cannot where it
    /// is read-only.
    pub(super) fn make_mount_point(&mut self, inner: PathBuf, for_file: bool) {
        let Self::Files(folder, within) = self else { return };
        if folder.files.iter().any(|file| file.path.starts_with(&inner)) {
            return;
        }
        if for_file {
            let content = Confidential::new(Vec::new());
            folder.files.push(VolumeFile { path: inner, mode: READ_MODE, content });
        } else {
            let path = folder.path.join(inner);
            within.push(VolumeFolder { path, mode: READ_MODE, group: None, files: Vec::new() });
        }
    }

    /// Returns the folders to be made.
    pub(super) fn folders(self) -> Vec<VolumeFolder> {
        match self {
            Self::Scratch(parts) => parts.folders().collect(),
            Self::Files(folder, within) => std::iter::once(folder).chain(within).collect(),
            Self::Host(..) | Self::Claim(_) => Vec::new(),
        }
    }
}

/// Names the kind of a volume as its manifest does.
fn kind_of(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    let kind = keys.filter(|key| *key != "name").map(String::as_str).next();
    kind.unwrap_or("none at all").to_owned()
}
