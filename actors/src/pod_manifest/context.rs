//! What the device says about how a pod is to be made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::workload::{DeviceId, Limits, WorkloadName};

/// What the device says about how a pod is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodContext<'a> {
    /// The device's id.
    pub device_id: &'a DeviceId,
    /// The kernel's boot id.
    pub boot_id: &'a str,
    /// The folder below which volumes of ours live.
    pub volumes_root: &'a Path,
    /// The folder below which those of ours live that are in memory, if there is one.
    pub memory_root: Option<&'a Path>,
    /// Limits in force by condition.
    pub limits: Limits,
    /// What the runtime can limit.
    pub support: LimitSupport,
    /// What is known of the host's own paths.
    pub host: HostView<'a>,
    /// The podman that is to run it.
    pub podman: PodmanFacts,
}

/// A podman, and the size of its machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodmanFacts {
    /// Major and minor version, where it is known: at the desk it is not.
    pub(crate) version: Option<(u32, u32)>,
    /// Processors; 0 where podman does not say.
    pub(crate) cpus: u64,
    /// Bytes of memory; 0 where podman does not say.
    pub(crate) memory: u64,
}

/// Which resources a runtime can limit: rootless podman on cgroup v1 none, on v2 those whose
/// controllers are delegated to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitSupport {
    /// CPU time.
    pub cpu: bool,
    /// Memory.
    pub memory: bool,
}

/// How a path runs on this device, links followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The folders in which its components were looked up, by their own paths.
    pub folders: Vec<PathBuf>,
    /// The path of what it leads to.
    pub end: PathBuf,
    /// Whether there is anything.
    pub is_there: bool,
}

impl Trail {
    /// Returns how `path` runs where there are no links.
    pub(super) fn without_links(path: &Path) -> Self {
        let folders = path.ancestors().skip(1).map(Path::to_owned).collect();
        Self { folders, end: path.to_owned(), is_there: false }
    }
}

/// How paths run on this device.
pub type Trails = BTreeMap<PathBuf, Trail>;

/// A folder of the host that containers of a workload can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writable {
    pub(crate) workload: WorkloadName,
    pub(crate) path: PathBuf,
}

/// What is known of the host's paths beside the pod itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HostView<'a> {
    /// What containers of other workloads can write.
    pub(crate) writable: &'a [Writable],
    /// How the paths of [`mounted`](super::host_paths::mounted) and `writable` run; `None` where that was not looked up.
    pub(crate) trails: Option<&'a Trails>,
}
