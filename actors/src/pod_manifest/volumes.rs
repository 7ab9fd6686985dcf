//! Volumes as folders of the agent's own, one for each workload and volume.
//!
//! podman would turn `emptyDir`, `configMap` and `secret` into volumes named like the manifest
//! names them: shared between pods, never cleaned, and for secrets wrong.
//!
//! podman follows links in the path of a folder on the host each time that a container starts. So no
//! path that it is given has a component that a container could have replaced: parts of an
//! `emptyDir` lie beside it ([`parts`]), config maps and secrets are mounted read-only, and paths of
//! the host are checked ([`super::host_paths`]).

mod files;
mod folder;
mod group;
mod home;
mod origin;
mod parts;
mod placed;
mod source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, HostPathVolumeSource, PodSpec, Volume, VolumeMount};

pub(super) use self::folder::within;
pub use self::folder::{VolumeFile, VolumeFolder};
use self::home::Home;
pub(crate) use self::home::SCRATCH;
use self::placed::{Placed, labelled, take_access, target};
use self::source::Source;
use super::containers::all;
use super::environment::downward::Downward;
use super::{ManifestError, PodContext};

/// Replaces the volumes of `spec` and returns the folders that they became.
pub(super) fn rewrite(
    downward: Downward<'_>,
    context: &PodContext<'_>,
    spec: &mut PodSpec,
    warnings: &mut Vec<String>,
) -> Result<Vec<VolumeFolder>, ManifestError> {
    let id = within("", downward.workload.id.as_str())?;
    let home = Home::of(downward.workload, context, &id);
    let mut volumes = Volumes::default();
    for volume in spec.volumes.take().into_iter().flatten() {
        volumes.declare(downward, &home, volume, warnings)?;
    }
    // Which parts there are must be known before the whole is given to anyone.
    let mut placed = Vec::new();
    for container in all(spec) {
        let mounts = container.volume_mounts.iter_mut().flatten();
        let of_one = mounts.map(|mount| volumes.place(&container.name, mount));
        placed.push(of_one.collect::<Result<Vec<_>, _>>()?);
    }
    for (container, placed) in all(spec).zip(&placed) {
        volumes.mount(container, placed)?;
    }
    let Volumes { declared, given, .. } = volumes;
    spec.volumes = (!given.is_empty()).then_some(given);
    let mut folders: Vec<_> = declared.into_values().flat_map(Source::folders).collect();
    group::apply(spec, downward.workload.executor, &mut folders, warnings);
    Ok(folders)
}

/// The volumes of one pod.
#[derive(Default)]
struct Volumes {
    declared: BTreeMap<String, Source>,
    /// What podman is given.
    given: Vec<Volume>,
    /// Its names of parts, by volume and path within it.
    names: BTreeMap<(String, PathBuf), String>,
}

impl Volumes {
    fn declare(
        &mut self,
        downward: Downward<'_>,
        home: &Home,
        volume: Volume,
        warnings: &mut Vec<String>,
    ) -> Result<(), ManifestError> {
        let name = volume.name.clone();
        // A name of two components would lie within another volume.
        let plain = within(&name, &name)?;
        if plain.as_os_str() != name.as_str() || plain.iter().count() > 1 || name.starts_with('.') {
            return Err(ManifestError::VolumeName { volume: name });
        }
        let source = Source::of(downward, home, &volume, warnings)?;
        let given = match source.own_folder() {
            Some(folder) => host_path(&name, folder, "Directory"),
            None => volume,
        };
        self.given.push(given);
        match self.declared.insert(name.clone(), source) {
            None => Ok(()),
            Some(_) => Err(ManifestError::VolumeTwice { volume: name }),
        }
    }

    /// Returns what a container mounts where. `mount` says itself then whether it is `readOnly`, and only the
    /// other options of podman's stand behind its path.
    fn place(&mut self, container: &str, mount: &mut VolumeMount) -> Result<Placed, ManifestError> {
        let (container, volume) = (container.to_owned(), mount.name.clone());
        let Some(source) = self.declared.get_mut(&volume) else {
            return Err(ManifestError::UndeclaredVolume { container, volume });
        };
        if let Some(expression) = mount.sub_path_expr.clone().filter(|it| !it.is_empty()) {
            return Err(ManifestError::SubPathExpr { container, volume, expression });
        }
        let inner = match mount.sub_path.clone().filter(|part| !part.is_empty()) {
            Some(path) => {
                let inner = within(&volume, &path)?;
                match source {
                    Source::Scratch(parts) => parts.add(&inner),
                    Source::Claim(_) => {
                        return Err(ManifestError::ClaimPart { container, volume, path });
                    }
                    Source::Files(..) | Source::Host(..) if source.part(&inner).is_some() => {}
                    Source::Files(..) | Source::Host(..) => {
                        return Err(ManifestError::SubPath { container, volume, path });
                    }
                }
                inner
            }
            None => PathBuf::new(),
        };
        let path = mount.mount_path.clone();
        let agrees = take_access(mount);
        match target(&path).filter(|_| agrees) {
            Some(target) => Ok(Placed { volume, inner, target }),
            None => Err(ManifestError::MountPath { container, volume, path }),
        }
    }

    /// Gives podman the mounts of one container, `own` as they were placed.
    fn mount(&mut self, container: &mut Container, own: &[Placed]) -> Result<(), ManifestError> {
        let mut nested = Vec::new();
        for (mount, placed) in container.volume_mounts.iter_mut().flatten().zip(own) {
            mount.name = self.given_name(&placed.volume, &placed.inner);
            if !mount.mount_path.starts_with('/') {
                mount.mount_path.insert(0, '/');
            }
            // podman 4.3 ignores subPath, so the part is a volume of its own.
            (mount.sub_path, mount.sub_path_expr) = (None, None);
            if let Some(Source::Scratch(parts)) = self.declared.get(&placed.volume) {
                let parts = parts.of(&placed.inner);
                let shown = parts.filter(|(relative, _)| placed.shows(relative, own));
                let shown: Vec<_> = shown.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
                for (relative, inner) in shown {
                    let name = self.given_name(&placed.volume, &inner);
                    let mount_path = placed.target.join(relative);
                    let mount_path = mount_path.to_string_lossy().into_owned();
                    if mount_path.contains(':') {
                        let container = container.name.clone();
                        return Err(ManifestError::Colon { container, path: mount_path });
                    }
                    let options = mount.mount_path.split_once(':').map(|(_, options)| options);
                    let mount_path = match options {
                        Some(options) => format!("{mount_path}:{options}"),
                        None => mount_path,
                    };
                    nested.push(VolumeMount { name, mount_path, ..mount.clone() });
                }
            }
            let source = self.declared.get(&placed.volume);
            if source.is_some_and(Source::is_read_only) {
                mount.read_only = Some(true);
            }
            if source.is_some_and(|it| it.own_folder().is_some()) {
                mount.mount_path = labelled(&mount.mount_path);
            }
        }
        for mount in &mut nested {
            mount.mount_path = labelled(&mount.mount_path);
        }
        if let Some(mounts) = &mut container.volume_mounts {
            mounts.extend(nested);
        }
        for mount in own {
            let for_file = self.declared.get(&mount.volume).map(|it| it.is_file(&mount.inner));
            if let Some((outer, relative)) = mount.within(own)
                && let Some(source) = self.declared.get_mut(&outer.volume)
            {
                source.make_mount_point(outer.inner.join(relative), for_file.unwrap_or(false));
            }
        }
        Ok(())
    }

    /// Returns what podman calls a part of a volume, which is given to podman if it was not before.
    fn given_name(&mut self, volume: &str, inner: &Path) -> String {
        let part = self.declared.get(volume).and_then(|source| source.part(inner));
        let Some((path, kind)) = part.filter(|_| !inner.as_os_str().is_empty()) else {
            return volume.to_owned();
        };
        let key = (volume.to_owned(), inner.to_owned());
        if let Some(name) = self.names.get(&key) {
            return name.clone();
        }
        // The pod may have a volume that is called so.
        let is_free = |name: &String| self.given.iter().all(|volume| volume.name != *name);
        let mut names = (0..=self.given.len()).map(|n| format!("{volume}-part-{n}"));
        let name = names.find(is_free).unwrap_or_default();
        self.given.push(host_path(&name, &path, kind));
        self.names.insert(key, name.clone());
        name
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
