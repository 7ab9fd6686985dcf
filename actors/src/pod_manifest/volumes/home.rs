//! Where the volumes of one pod lie.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::EmptyDirVolumeSource;

use crate::pod_manifest::PodContext;
use crate::workload::Workload;

/// Holds the folders that outlive the pods of a specification, below the agent's volumes: `.scratch/ID`.
/// No pod can be called so.
pub(crate) const SCRATCH: &str = ".scratch";
/// The medium of an `emptyDir` that lies in memory.
const MEMORY: &str = "Memory";

/// Where the volumes of one pod lie.
pub(super) struct Home {
    /// What ends with the pod: config maps and secrets.
    pub(super) of_pod: PathBuf,
    /// What containers write to. As on Kubernetes it outlives a container that crashes, and goes with the
    /// specification; each run of a cron workload begins with nothing.
    scratch: PathBuf,
    /// The same in memory, where the agent has a place for it.
    scratch_in_memory: Option<PathBuf>,
}

impl Home {
    /// Returns the home of the pod of `workload`, whose folder is called `id`, below the agent's volumes.
    pub(super) fn of(workload: &Workload, context: &PodContext<'_>, id: &Path) -> Self {
        let scratch = |root: &Path| match workload.cron {
            Some(_) => root.join(id),
            None => root.join(SCRATCH).join(id),
        };
        Self {
            of_pod: context.volumes_root.join(id),
            scratch: scratch(context.volumes_root),
            scratch_in_memory: context.memory_root.map(scratch),
        }
    }

    /// Returns the folder in which the `emptyDir` called `volume` lies. What is not as its author wrote
    /// it is noted in `warnings`.
    pub(super) fn of_scratch(
        &self,
        volume: &str,
        source: &EmptyDirVolumeSource,
        warnings: &mut Vec<String>,
    ) -> &Path {
        let mut warn = |text: &str| warnings.push(format!("volume {volume}: {text}"));
        match (source.medium.as_deref().unwrap_or_default(), &self.scratch_in_memory) {
            (MEMORY, Some(home)) => return home,
            (MEMORY, None) => warn(
                "emptyDir is kept on disk: for medium Memory the agent needs a tmpfs in \
                 RUNTIME_DIRECTORY, as its systemd unit gives it",
            ),
            ("", _) => {}
            (other, _) => {
                warn(&format!("emptyDir is kept on disk: not on medium {other:?}"));
            }
        }
        &self.scratch
    }
}
