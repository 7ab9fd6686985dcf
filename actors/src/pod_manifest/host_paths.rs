//! Which paths of the host a pod may mount: only those that no container can lead elsewhere.
//!
//! podman follows links in a path each time that a container starts, as root, or as its user. Who
//! can write to a folder on the way to it can put a link there, to `/` for instance. To hold the
//! folder by a descriptor instead is of no use here: podman opens it again at each later start,
//! when that descriptor may be another's, and a user's podman cannot reach those of root's agent.
//! So a path is refused when it leads through a folder that a container of the device can write;
//! and a `subPath` also when a link, left there by an earlier pod, leads it away.

mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, PodSpec};

pub(crate) use self::error::HostPathError;
pub(crate) use super::context::{HostView, Trail, Writable};
use super::volumes::within;
use super::{ManifestError, PodContext};
use crate::workload::{ExecutorKind, Workload};

/// What a container mounts of the host.
struct Mount<'a> {
    container: &'a Container,
    volume: &'a str,
    base: PathBuf,
    inner: PathBuf,
    is_read_only: bool,
}

impl Mount<'_> {
    fn path(&self) -> PathBuf {
        // Joined with nothing, a path ends with a slash.
        self.base.components().chain(self.inner.components()).collect()
    }

    /// Whether a link of its making leads to nothing that it has not anyway: it is root already.
    fn is_root(&self, workload: &Workload, volumes_root: &Path) -> bool {
        let context = self.container.security_context.as_ref();
        let is_privileged = context.and_then(|it| it.privileged).unwrap_or(false);
        let reaches_agent = volumes_root.starts_with(self.path());
        workload.executor == ExecutorKind::PodmanRootful && (is_privileged || reaches_agent)
    }
}

/// Returns every path of the host that the pod of `workload` mounts, and what the parts are of.
pub(crate) fn mounted(workload: &Workload) -> BTreeSet<PathBuf> {
    let mounts = mounts(&workload.pod).unwrap_or_default();
    mounts.into_iter().flat_map(|mount| [mount.path(), mount.base]).collect()
}

/// Returns the folders of the host that containers of `workload` can write, but for those of
/// containers that are root on the device already.
pub(crate) fn writable(workload: &Workload, volumes_root: &Path) -> Vec<Writable> {
    // A cluster's nodes are elsewhere, and a pod that is refused writes nowhere.
    let is_here = workload.executor != ExecutorKind::K8s;
    let mounts = mounts(&workload.pod).ok().filter(|_| is_here).unwrap_or_default();
    let mounts = mounts.iter().filter(|mount| !mount.is_read_only);
    let mounts = mounts.filter(|mount| !mount.is_root(workload, volumes_root));
    let workload = &workload.name;
    mounts.map(|mount| Writable { workload: workload.clone(), path: mount.path() }).collect()
}

/// Checks that no container can lead elsewhere what the pod of `workload` mounts of the host.
pub(super) fn check(workload: &Workload, context: &PodContext<'_>) -> Result<(), ManifestError> {
    let looked = context.host.trails;
    let trail = |path: &Path| {
        let seen = looked.and_then(|trails| trails.get(path));
        seen.cloned().unwrap_or_else(|| Trail::without_links(path))
    };
    let own = writable(workload, context.volumes_root);
    let all: Vec<_> = own.iter().chain(context.host.writable).collect();
    for mount in mounts(&workload.pod)? {
        let path = mount.path();
        let (run, plain) = (trail(&path), Trail::without_links(&path));
        let bends = |folder: &Path| {
            let leads = run.folders.iter().chain(&plain.folders);
            leads.into_iter().any(|it| it.starts_with(folder))
        };
        let found = all.iter().find(|it| bends(&it.path) || bends(&trail(&it.path).end));
        let place = || error::Place {
            container: mount.container.name.clone(),
            volume: mount.volume.to_owned(),
            part: mount.inner.clone(),
            path: path.clone(),
        };
        if let Some(found) = found {
            let (folder, writer) = (found.path.clone(), found.workload.clone());
            let writer = (writer != workload.name).then_some(writer);
            return Err(HostPathError::Writable { place: place(), folder, writer }.into());
        }
        if mount.inner.as_os_str().is_empty() || looked.is_none() {
            continue;
        }
        let base = trail(&mount.base);
        if !base.is_there {
            return Err(HostPathError::Unseen { place: place(), base: mount.base }.into());
        }
        if run.end != base.end.join(&mount.inner) {
            return Err(HostPathError::Link { place: place(), end: run.end }.into());
        }
    }
    Ok(())
}

/// Returns what the containers of `pod` mount of the host.
fn mounts(pod: &PodSpec) -> Result<Vec<Mount<'_>>, ManifestError> {
    let mut bases = BTreeMap::new();
    for volume in pod.volumes.iter().flatten() {
        if let Some(source) = &volume.host_path {
            bases.insert(volume.name.as_str(), plain(&volume.name, &source.path)?);
        }
    }
    let mut mounts = Vec::new();
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        for mount in container.volume_mounts.iter().flatten() {
            let Some((volume, base)) = bases.get_key_value(mount.name.as_str()) else { continue };
            let inner = match mount.sub_path.as_deref().filter(|part| !part.is_empty()) {
                Some(part) => within(volume, part)?,
                None => PathBuf::new(),
            };
            let is_read_only = mount.read_only.unwrap_or(false);
            let base = base.clone();
            mounts.push(Mount { container, volume, base, inner, is_read_only });
        }
    }
    Ok(mounts)
}

/// Returns `path` if it says by itself where it leads.
fn plain(volume: &str, path: &str) -> Result<PathBuf, ManifestError> {
    let plain = Path::new(path);
    let leads_back = plain.components().any(|part| part == Component::ParentDir);
    if !plain.is_absolute() || leads_back || path.contains('\0') {
        let (volume, path) = (volume.to_owned(), path.to_owned());
        return Err(HostPathError::NotPlain { volume, path }.into());
    }
    Ok(plain.components().collect())
}
