//! What a volume of a pod is made of.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Volume;

use super::folder::{READ_MODE, VolumeFile, VolumeFolder};
use super::origin::Origin;
use super::parts::Parts;
use crate::pod_manifest::ManifestError;
use crate::pod_manifest::environment::{config_map, secret};
use crate::workload::{Confidential, Workload};

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
    /// podman's own volume.
    Claim,
}

impl Source {
    /// Returns what `volume`, whose folder is to be `home/NAME`, is made of.
    pub(super) fn of(
        workload: &Workload,
        home: &Path,
        volume: &Volume,
        warnings: &mut Vec<String>,
    ) -> Result<Self, ManifestError> {
        let name = &volume.name;
        let path = home.join(name);
        let files = |files| {
            Self::Files(VolumeFolder { path: path.clone(), mode: READ_MODE, files }, Vec::new())
        };
        if let Some(scratch) = &volume.empty_dir {
            if scratch.medium.is_some() || scratch.size_limit.is_some() {
                warnings.push(format!("volume {name}: emptyDir is kept on disk, without a limit"));
            }
            Ok(Self::Scratch(Parts::new(path, home.join(PARTS).join(name))))
        } else if let Some(source) = &volume.config_map {
            let data = config_map(workload, &source.name, source.optional)?;
            let origin = Origin {
                volume: name,
                kind: "config map",
                name: &source.name,
                optional: source.optional.unwrap_or(false),
            };
            origin.files(data, source.items.as_deref(), source.default_mode).map(files)
        } else if let Some(source) = &volume.secret {
            let secret_name = source.secret_name.as_deref().unwrap_or_default();
            let data = secret(workload, secret_name, source.optional)?;
            let origin = Origin {
                volume: name,
                kind: "secret",
                name: secret_name,
                optional: source.optional.unwrap_or(false),
            };
            origin.files(data, source.items.as_deref(), source.default_mode).map(files)
        } else if let Some(host) = &volume.host_path {
            Ok(Self::Host(PathBuf::from(&host.path), host.type_.clone()))
        } else if volume.persistent_volume_claim.is_some() {
            Ok(Self::Claim)
        } else {
            let kind = kind_of(volume);
            Err(ManifestError::VolumeKind { volume: name.clone(), kind })
        }
    }

    /// Whether it is a folder of the agent's own.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Self::Scratch(_) | Self::Files(..) => true,
            Self::Host(..) | Self::Claim => false,
        }
    }

    /// Whether containers may only read it, whatever they ask for.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self, Self::Files(..))
    }

    /// Whether what lies at `inner` is a file, as far as the manifest says.
    pub(super) fn is_file(&self, inner: &Path) -> bool {
        match self {
            Self::Scratch(_) | Self::Claim => false,
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
            Self::Claim => None,
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
            within.push(VolumeFolder { path, mode: READ_MODE, files: Vec::new() });
        }
    }

    /// Returns the folders to be made.
    pub(super) fn folders(self) -> Vec<VolumeFolder> {
        match self {
            Self::Scratch(parts) => parts.folders().collect(),
            Self::Files(folder, within) => std::iter::once(folder).chain(within).collect(),
            Self::Host(..) | Self::Claim => Vec::new(),
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
