//! Holds volumes to their `sizeLimit`, as kubelet does those on disk: one that holds more ends the run, and is
//! emptied.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use tracing::debug;

use crate::pod_manifest::probes::VolumeLimit;
use crate::podman_executor::disk::{PodmanDisk, Usage};
use crate::workload::WorkloadId;

/// Looks at what volumes hold, and knows which held too much. Clones are the same.
#[derive(Clone)]
pub(in crate::podman_executor) struct VolumeWatch {
    disk: Rc<dyn PodmanDisk>,
    overfull: Rc<RefCell<BTreeSet<WorkloadId>>>,
}

impl VolumeWatch {
    /// Returns one over the volumes of `disk`.
    pub(in crate::podman_executor) fn new(disk: Rc<dyn PodmanDisk>) -> Self {
        Self { disk, overfull: Rc::default() }
    }

    /// Returns what is wrong with the first of the volumes that holds too much, if one does. What the disk
    /// does not tell is not wrong.
    pub(super) async fn fault(&self, pod: &WorkloadId, limits: &[VolumeLimit]) -> Option<String> {
        for limit in limits {
            let name = &limit.name;
            match self.disk.usage(pod.clone(), name.clone()).await {
                Ok(usage) => {
                    if let Some(fault) = fault(limit, usage) {
                        self.overfull.borrow_mut().insert(pod.clone());
                        return Some(fault);
                    }
                }
                Err(error) => {
                    let job_id = pod.as_str();
                    debug!(job_id, volume = name, error, "volume was not measured");
                }
            }
        }
        None
    }

    /// Returns whether a volume of `pod` held too much, and forgets it.
    pub(in crate::podman_executor) fn take_overfull(&self, pod: &WorkloadId) -> bool {
        self.overfull.borrow_mut().remove(pod)
    }
}

fn fault(VolumeLimit { name, limit }: &VolumeLimit, usage: Usage) -> Option<String> {
    let Usage { bytes, is_deeper } = usage;
    if bytes > *limit {
        return Some(format!("volume {name} holds {bytes} bytes, and its sizeLimit is {limit}"));
    }
    is_deeper.then(|| {
        format!("volume {name} is nested so deeply that it cannot be held to its sizeLimit")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_may_hold_as_much_as_its_limit_says() {
        let limit = VolumeLimit { name: "cache".to_owned(), limit: 4096 };
        let deep = "volume cache is nested so deeply that it cannot be held to its sizeLimit";
        for (bytes, is_deeper, expected) in [
            (0, false, None),
            (4096, false, None),
            (4097, false, Some("volume cache holds 4097 bytes, and its sizeLimit is 4096")),
            (0, true, Some(deep)),
        ] {
            assert_eq!(fault(&limit, Usage { bytes, is_deeper }).as_deref(), expected);
        }
    }
}
