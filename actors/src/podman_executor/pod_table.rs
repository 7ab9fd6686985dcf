//! What podman is known to hold: listings and the outcomes of commands, brought into one order. Pure.
//!
//! A listing takes a while, and its cost grows with the number of pods. So a command that knows what it
//! made of its pod says so here instead of listing all of them, and commands and listings overlap: a
//! listing that was begun before a command ended may arrive after it and show the pod as it was before.
//!
//! ```text
//!   listing   begun ─────────────────────────────▶ arrives: shows pod A, perhaps
//!   command            removes pod A ─▶ ended
//! ```
//!
//! The one rule is that of `messages.rs`: what is known is as old as the moment in which podman was
//! asked, or in which the command ended, and nothing older replaces it. Hence
//!
//! - a listing replaces every pod but those that a command changed after it was begun, and
//! - a listing that was begun before one that is known already says nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::{Moment, Monotonic};
use crate::podman_executor::libpod::types::ContainerRow;
use crate::podman_executor::pod_state::may_run;
use crate::workload::{CurrentState, ObservedPod, WorkloadId};

/// Every pod, to be sent to the scheduler.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::podman_executor) struct Snapshot {
    /// When the listing was begun or the command ended that brought the news.
    pub(in crate::podman_executor) observed_at: Moment,
    /// All pods, in order of their ids.
    pub(in crate::podman_executor) pods: Vec<ObservedPod>,
}

/// The pods of one podman service, as far as they are known.
#[derive(Debug, Default)]
pub(in crate::podman_executor) struct PodTable {
    /// When the newest listing that arrived was begun.
    listed_at: Option<Monotonic>,
    /// Whether the last listing that ended has shown the pods.
    is_readable: bool,
    /// By pod. One that is in none does not exist, if there was a listing.
    entries: BTreeMap<WorkloadId, Entry>,
    /// Pods by the last listing of pods. Those that the listings of containers do not show have none.
    maybe_empty: Vec<ObservedPod>,
    /// When what was last returned had been observed.
    returned_at: Option<Moment>,
}

/// What is known of one pod.
#[derive(Debug)]
struct Entry {
    /// When podman was asked for it, or when the command ended that made it so.
    at: Monotonic,
    known: Known,
}

#[derive(Debug)]
enum Known {
    /// It exists.
    Exists {
        pod: ObservedPod,
        /// Those of its containers that may run.
        live: Vec<ContainerRow>,
    },
    /// A command removed it. Kept until a listing that was begun later has arrived.
    Removed,
    /// A command changed it, and it is not known to what. Before, it was this, if it existed.
    Unclear(Option<ObservedPod>),
}

impl Entry {
    fn pod(&self) -> Option<&ObservedPod> {
        match &self.known {
            Known::Exists { pod, .. } => Some(pod),
            Known::Removed => None,
            Known::Unclear(before) => before.as_ref(),
        }
    }

    fn live(&self) -> &[ContainerRow] {
        match &self.known {
            Known::Exists { live, .. } => live,
            Known::Removed | Known::Unclear(_) => &[],
        }
    }
}

// ---- inputs ---------------------------------------------------------------------------------------

impl PodTable {
    /// Takes in a listing of all containers that was begun at `begun`, and the pods that they make up.
    /// Returns all pods, unless a listing that was begun later has arrived before.
    pub(in crate::podman_executor) fn listed(
        &mut self,
        begun: Moment,
        pods: Vec<ObservedPod>,
        containers: &[ContainerRow],
    ) -> Option<Snapshot> {
        let at = begun.monotonic;
        if self.listed_at.is_some_and(|newest| newest > at) {
            return None;
        }
        self.listed_at = Some(at);
        self.is_readable = true;
        // A command lists after it has ended, and that listing may be begun in the same instant.
        self.entries.retain(|_, entry| entry.at > at);
        let full: BTreeSet<_> = pods.iter().map(|pod| pod.id.clone()).collect();
        // A pod that had containers and has none in a later listing is gone, and not empty.
        self.maybe_empty.retain(|pod| !full.contains(&pod.id));
        let mut live = live_by_pod(containers);
        for pod in pods.into_iter().chain(self.maybe_empty.iter().cloned()) {
            let live = live.remove(pod.id.as_str()).unwrap_or_default();
            let listed = || Entry { at, known: Known::Exists { pod: pod.clone(), live } };
            self.entries.entry(pod.id.clone()).or_insert_with(listed);
        }
        Some(self.snapshot(begun))
    }

    /// Notes that a listing of containers ended without showing them.
    pub(in crate::podman_executor) fn listing_failed(&mut self) {
        self.is_readable = false;
    }

    /// Takes in a listing of pods that was begun at `begun`, each as one without containers. Which of
    /// them have none shows with the next listing of containers.
    pub(in crate::podman_executor) fn pods_listed(
        &mut self,
        begun: Monotonic,
        mut pods: Vec<ObservedPod>,
    ) {
        pods.retain(|pod| self.entries.get(&pod.id).is_none_or(|entry| entry.at <= begun));
        self.maybe_empty = pods;
    }

    /// Notes that a command ended at `at` after it had made `pod` of `containers`. Returns all pods if
    /// the others are known.
    pub(in crate::podman_executor) fn made(
        &mut self,
        at: Moment,
        pod: ObservedPod,
        containers: &[ContainerRow],
    ) -> Option<Snapshot> {
        let id = pod.id.clone();
        let live = live_by_pod(containers).remove(id.as_str()).unwrap_or_default();
        self.changed(at.monotonic, id, Known::Exists { pod, live });
        self.is_complete().then(|| self.snapshot(at))
    }

    /// Notes that a command ended at `at` after it had removed the pod `id`. Returns all pods if the
    /// others are known.
    pub(in crate::podman_executor) fn removed(
        &mut self,
        at: Moment,
        id: &WorkloadId,
    ) -> Option<Snapshot> {
        self.changed(at.monotonic, id.clone(), Known::Removed);
        self.is_complete().then(|| self.snapshot(at))
    }

    /// Notes that a command ended at `at` that may have changed the pod `id` in any way.
    pub(in crate::podman_executor) fn left_unclear(&mut self, at: Monotonic, id: &WorkloadId) {
        let before = self.entries.get(id).and_then(Entry::pod).cloned();
        self.changed(at, id.clone(), Known::Unclear(before));
    }

    fn changed(&mut self, at: Monotonic, id: WorkloadId, known: Known) {
        self.maybe_empty.retain(|pod| pod.id != id);
        self.entries.insert(id, Entry { at, known });
    }
}

// ---- answers --------------------------------------------------------------------------------------

impl PodTable {
    /// Returns whether all pods are known: the last listing succeeded, and no command has left a pod
    /// unclear since.
    pub(in crate::podman_executor) fn is_complete(&self) -> bool {
        let is_unclear = |entry: &Entry| matches!(entry.known, Known::Unclear(_));
        self.is_readable && !self.entries.values().any(is_unclear)
    }

    /// Returns when the newest listing that arrived was begun.
    pub(in crate::podman_executor) fn listed_at(&self) -> Option<Monotonic> {
        self.listed_at
    }

    /// Returns whether there is no pod `id`, as far as is known; another program may have made it since.
    pub(in crate::podman_executor) fn is_absent(&self, id: &WorkloadId) -> bool {
        let entry = self.entries.get(id);
        self.is_readable && entry.is_none_or(|entry| matches!(entry.known, Known::Removed))
    }

    /// Returns the containers of the pod `id` that may run. `None` where none are known: podman must be
    /// asked.
    pub(in crate::podman_executor) fn live_containers(
        &self,
        id: &WorkloadId,
    ) -> Option<Vec<ContainerRow>> {
        let live = self.entries.get(id).map(Entry::live).filter(|_| self.is_readable)?;
        (!live.is_empty()).then(|| live.to_vec())
    }

    /// Returns whether the pod `id` was last seen to run as it should.
    pub(in crate::podman_executor) fn runs(&self, id: &WorkloadId) -> bool {
        let pod = self.entries.get(id).and_then(Entry::pod);
        pod.is_some_and(|pod| pod.state == CurrentState::Running)
    }

    /// Returns all containers that may run.
    pub(in crate::podman_executor) fn live(&self) -> impl Iterator<Item = &ContainerRow> {
        self.entries.values().flat_map(Entry::live)
    }

    /// Returns all containers that may run, to be looked at while the table changes.
    pub(in crate::podman_executor) fn all_live_containers(&self) -> Vec<ContainerRow> {
        self.live().cloned().collect()
    }

    /// Returns all pods as they were last returned, if they are known.
    pub(in crate::podman_executor) fn again(&mut self) -> Option<Snapshot> {
        let observed_at = self.returned_at.filter(|_| self.is_complete())?;
        Some(self.snapshot(observed_at))
    }

    fn snapshot(&mut self, observed_at: Moment) -> Snapshot {
        self.returned_at = Some(observed_at);
        Snapshot {
            observed_at,
            pods: self.entries.values().filter_map(Entry::pod).cloned().collect(),
        }
    }
}

/// Returns those of `containers` that may run, by the names of their pods.
fn live_by_pod(containers: &[ContainerRow]) -> BTreeMap<&str, Vec<ContainerRow>> {
    let mut live = BTreeMap::<_, Vec<_>>::new();
    for row in containers.iter().filter(|row| may_run(row)) {
        // The labels are many, and the same for all of them.
        let row_without_labels = ContainerRow { labels: BTreeMap::new(), ..row.clone() };
        live.entry(row.pod_name.as_str()).or_default().push(row_without_labels);
    }
    live
}

#[cfg(test)]
mod tests;
