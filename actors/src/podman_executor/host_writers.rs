//! What containers of the device can write on the host: by those paths they can lead another pod
//! astray.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::pod_manifest::host_paths::{Writable, writable};
use crate::workload::{Workload, WorkloadId};

/// What containers of every workload can write on the host, on any executor.
#[derive(Clone, Default)]
pub(in crate::podman_executor) struct HostWriters {
    /// Of the workloads that are configured.
    configured: BTreeMap<WorkloadId, Vec<Writable>>,
    /// Of those that no longer are, whose pods may still be there.
    former: BTreeMap<WorkloadId, Vec<Writable>>,
}

impl HostWriters {
    /// Notes which workloads are configured. The agent's own volumes are below `volumes_root`.
    pub(in crate::podman_executor) fn configure<'a>(
        &mut self,
        workloads: impl Iterator<Item = &'a Workload>,
        volumes_root: &Path,
    ) {
        let of = |workload: &Workload| (workload.id.clone(), writable(workload, volumes_root));
        let configured: BTreeMap<_, _> =
            workloads.map(of).filter(|(_, writable)| !writable.is_empty()).collect();
        self.former.append(&mut self.configured);
        self.former.retain(|id, _| !configured.contains_key(id));
        self.configured = configured;
    }

    /// Whether [`Self::gone`] has anything to do.
    pub(in crate::podman_executor) fn has_former(&self) -> bool {
        !self.former.is_empty()
    }

    /// Notes which pods are there, of all that are not configured.
    pub(in crate::podman_executor) fn gone(&mut self, there: &BTreeSet<WorkloadId>) {
        self.former.retain(|id, _| there.contains(id));
    }

    /// Returns what others can write while `workload` starts. Its own other version is there before
    /// or after it, not beside it.
    pub(in crate::podman_executor) fn beside(&self, workload: &Workload) -> Vec<Writable> {
        let configured = self.configured.values().flatten();
        let configured = configured.filter(|it| it.workload != workload.name);
        let former = self.former.iter().filter(|(id, _)| **id != workload.id);
        configured.chain(former.flat_map(|(_, writable)| writable)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn writing(id: &str, name: &str, path: &str) -> Workload {
        let mut workload = crate::testing::podman_desk::workload(
            name,
            json!({
                "containers": [{"name": "main", "image": "i:1",
                    "volumeMounts": [{"name": "host", "mountPath": "/host"}]}],
                "volumes": [{"name": "host", "hostPath": {"path": path}}],
            }),
        );
        workload.id = WorkloadId::from(id);
        workload
    }

    fn paths(writers: &HostWriters, workload: &Workload) -> Vec<String> {
        let beside = writers.beside(workload);
        beside.iter().map(|it| it.path.display().to_string()).collect()
    }

    #[test]
    fn pods_that_are_no_longer_configured_count_as_long_as_they_are_there() {
        let (web, db) = (writing("web-1", "web", "/a"), writing("db-1", "db", "/b"));
        let newer = writing("web-2", "web", "/c");
        let mut writers = HostWriters::default();
        let root = Path::new("/state");
        writers.configure([&web, &db].into_iter(), root);
        assert_eq!(paths(&writers, &web), ["/b"]);
        assert_eq!(paths(&writers, &db), ["/a"]);
        assert!(!writers.has_former());

        writers.configure([&newer].into_iter(), root);
        assert!(writers.has_former());
        assert_eq!(paths(&writers, &newer), ["/b", "/a"]);
        assert_eq!(paths(&writers, &web), ["/b"], "its next version is not beside it");
        writers.gone(&[web.id.clone()].into());
        assert_eq!(paths(&writers, &newer), ["/a"]);
        writers.configure([&newer, &web].into_iter(), root);
        assert!(!writers.has_former());
    }
}
