//! Volumes as folders of the agent's own, one for each workload and volume.
//!
//! podman would turn `emptyDir`, `configMap` and `secret` into volumes named like the manifest
//! names them: shared between pods, never cleaned, and for secrets wrong.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{HostPathVolumeSource, KeyToPath, PodSpec, Volume, VolumeMount};

use super::environment::{config_map, secret};
use super::{ManifestError, containers};
use crate::workload::{Confidential, Workload};

/// Kubernetes' mode of a projected file.
const DEFAULT_FILE_MODE: u32 = 0o644;
/// Kubernetes' mode of an emptyDir: containers write to it under any user.
const SCRATCH_MODE: u32 = 0o777;
/// Mode of a folder that containers only read.
const READ_MODE: u32 = 0o755;
/// Lets the containers of one pod read the folder under SELinux; nothing elsewhere.
const SHARED_LABEL: &str = ":z";

/// A folder that a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFolder {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its mode.
    pub mode: u32,
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

/// Replaces the volumes of `spec` and returns the folders that they became.
pub(super) fn rewrite(
    workload: &Workload,
    root: &Path,
    spec: &mut PodSpec,
    warnings: &mut Vec<String>,
) -> Result<Vec<VolumeFolder>, ManifestError> {
    let id = within("", workload.id.as_str())?;
    let home = root.join(id);
    let mut rewritten = Rewritten::default();
    for volume in spec.volumes.take().into_iter().flatten() {
        rewritten.declare(workload, &home, volume, warnings)?;
    }
    for container in containers(spec) {
        for mount in container.volume_mounts.iter_mut().flatten() {
            rewritten.mount(&container.name, mount)?;
        }
    }
    let Rewritten { volumes, folders } = rewritten;
    spec.volumes = (!volumes.is_empty()).then_some(volumes);
    Ok(folders.into_values().flatten().collect())
}

#[derive(Default)]
struct Rewritten {
    volumes: Vec<Volume>,
    /// By volume; parts of an emptyDir that are mounted alone follow the folder itself.
    folders: BTreeMap<String, Vec<VolumeFolder>>,
}

impl Rewritten {
    fn declare(
        &mut self,
        workload: &Workload,
        home: &Path,
        volume: Volume,
        warnings: &mut Vec<String>,
    ) -> Result<(), ManifestError> {
        let name = volume.name.clone();
        let (mode, files) = if let Some(scratch) = &volume.empty_dir {
            if scratch.medium.is_some() || scratch.size_limit.is_some() {
                warnings.push(format!("volume {name}: emptyDir is kept on disk, without a limit"));
            }
            (SCRATCH_MODE, Vec::new())
        } else if let Some(source) = &volume.config_map {
            let data = config_map(workload, &source.name, source.optional)?;
            let origin = Origin {
                volume: &name,
                kind: "config map",
                name: &source.name,
                optional: source.optional.unwrap_or(false),
            };
            let files = origin.files(data, source.items.as_deref(), source.default_mode)?;
            (READ_MODE, files)
        } else if let Some(source) = &volume.secret {
            let secret_name = source.secret_name.as_deref().unwrap_or_default();
            let data = secret(workload, secret_name, source.optional)?;
            let origin = Origin {
                volume: &name,
                kind: "secret",
                name: secret_name,
                optional: source.optional.unwrap_or(false),
            };
            let files = origin.files(data, source.items.as_deref(), source.default_mode)?;
            (READ_MODE, files)
        } else if volume.host_path.is_some() || volume.persistent_volume_claim.is_some() {
            self.volumes.push(volume);
            return Ok(());
        } else {
            let kind = kind_of(&volume);
            return Err(ManifestError::VolumeKind { volume: name, kind });
        };
        let path = home.join(within(&name, &name)?);
        self.volumes.push(host_path(&name, &path, "Directory"));
        self.folders.insert(name, vec![VolumeFolder { path, mode, files }]);
        Ok(())
    }

    fn mount(&mut self, container: &str, mount: &mut VolumeMount) -> Result<(), ManifestError> {
        if !self.volumes.iter().any(|volume| volume.name == mount.name) {
            return Err(ManifestError::UndeclaredVolume {
                container: container.to_owned(),
                volume: mount.name.clone(),
            });
        }
        let owned = self.folders.contains_key(&mount.name);
        if let Some(expression) = mount.sub_path_expr.take() {
            return Err(missing_part(container, mount, &expression));
        }
        // podman 4.3 ignores subPath, so the part becomes a volume of its own.
        if let Some(part) = mount.sub_path.take().filter(|part| !part.is_empty()) {
            let volume = self.part(container, mount, &part)?;
            mount.name = volume.name.clone();
            self.volumes.push(volume);
        }
        if owned {
            mount.mount_path.push_str(SHARED_LABEL);
        }
        Ok(())
    }

    fn part(
        &mut self,
        container: &str,
        mount: &VolumeMount,
        part: &str,
    ) -> Result<Volume, ManifestError> {
        let inner = within(&mount.name, part)?;
        let name = format!("{}-part-{}", mount.name, self.volumes.len());
        if let Some(folders) = self.folders.get_mut(&mount.name)
            && let Some(folder) = folders.first()
        {
            let path = folder.path.join(&inner);
            let scratch = folder.mode == SCRATCH_MODE;
            let is_file = folder.files.iter().any(|file| file.path == inner);
            let is_folder = folder.files.iter().any(|file| file.path.starts_with(&inner));
            if scratch {
                let (mode, files) = (SCRATCH_MODE, Vec::new());
                folders.push(VolumeFolder { path: path.clone(), mode, files });
            } else if !is_folder {
                return Err(missing_part(container, mount, part));
            }
            let kind = if is_file { "File" } else { "Directory" };
            return Ok(host_path(&name, &path, kind));
        }
        let declared = self.volumes.iter().find(|volume| volume.name == mount.name);
        let base = declared.and_then(|volume| volume.host_path.as_ref());
        let base = base.ok_or_else(|| missing_part(container, mount, part))?;
        let path = Path::new(&base.path).join(inner);
        Ok(host_path(&name, &path, ""))
    }
}

fn missing_part(container: &str, mount: &VolumeMount, part: &str) -> ManifestError {
    ManifestError::SubPath {
        container: container.to_owned(),
        volume: mount.name.clone(),
        path: part.to_owned(),
    }
}

fn host_path(name: &str, path: &Path, kind: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        host_path: Some(HostPathVolumeSource {
            path: path.to_string_lossy().into_owned(),
            type_: (!kind.is_empty()).then(|| kind.to_owned()),
        }),
        ..Volume::default()
    }
}

/// Where the files of a volume come from.
struct Origin<'a> {
    volume: &'a str,
    kind: &'static str,
    name: &'a str,
    optional: bool,
}

impl Origin<'_> {
    fn files(
        &self,
        data: Option<BTreeMap<&str, &[u8]>>,
        items: Option<&[KeyToPath]>,
        default_mode: Option<i32>,
    ) -> Result<Vec<VolumeFile>, ManifestError> {
        let data = data.unwrap_or_default();
        let mode = |own: Option<i32>| {
            let mode = own.or(default_mode).and_then(|mode| u32::try_from(mode).ok());
            mode.unwrap_or(DEFAULT_FILE_MODE) & 0o777
        };
        let file = |path: &str, own, content: &[u8]| {
            Ok(VolumeFile {
                path: within(self.volume, path)?,
                mode: mode(own),
                content: Confidential::new(content.to_vec()),
            })
        };
        let Some(items) = items.filter(|items| !items.is_empty()) else {
            let entries = data.into_iter();
            return entries.map(|(key, content)| file(key, None, content)).collect();
        };
        let mut files = Vec::new();
        for item in items {
            match data.get(item.key.as_str()) {
                Some(content) => files.push(file(&item.path, item.mode, content)?),
                None if self.optional => {}
                None => {
                    return Err(ManifestError::MissingKey {
                        kind: self.kind,
                        name: self.name.to_owned(),
                        key: item.key.clone(),
                    });
                }
            }
        }
        Ok(files)
    }
}

/// Returns `path` if it can only lead to something within its folder.
fn within(volume: &str, path: &str) -> Result<PathBuf, ManifestError> {
    let safe = !path.contains('\0')
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !safe {
        return Err(ManifestError::UnsafePath { volume: volume.to_owned(), path: path.to_owned() });
    }
    Ok(Path::new(path).components().collect())
}

/// Names the kind of a volume as its manifest does.
fn kind_of(volume: &Volume) -> String {
    let value = serde_json::to_value(volume).unwrap_or_default();
    let keys = value.as_object().into_iter().flat_map(|object| object.keys());
    let kind = keys.filter(|key| *key != "name").map(String::as_str).next();
    kind.unwrap_or("none at all").to_owned()
}
