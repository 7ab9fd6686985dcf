//! The agent's objects on the cluster, as the watches last showed them.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;
use tokio::sync::watch;

use super::client::{ClusterEvent, Written};
use super::deployment_status::{id, is_active, is_changed, is_scaled_to_nothing, observed};
use super::seen::{SeenDeployment, SeenPod};
use crate::workload::{ObservedPod, WorkloadId};

/// Takes the events of both watches of one connection, and then of the next.
#[derive(Default)]
pub(super) struct Mirror {
    lists: Rc<RefCell<Lists>>,
    /// Sent to whenever the lists change.
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Lists {
    deployments: Writer<SeenDeployment>,
    pods: Writer<SeenPod>,
    deployments_known: bool,
    pods_known: bool,
}

impl Lists {
    fn are_known(&self) -> bool {
        self.deployments_known && self.pods_known
    }
}

impl Mirror {
    /// Forgets everything, for a new connection. Views wait for what it shows.
    pub(super) fn reset(&self) {
        self.lists.replace(Lists::default());
    }

    /// Takes note of one event.
    pub(super) fn apply(&self, event: &ClusterEvent) {
        let lists = &mut *self.lists.borrow_mut();
        match event {
            ClusterEvent::Deployment(event) => {
                lists.deployments.apply_watcher_event(event);
                lists.deployments_known |= matches!(**event, watcher::Event::InitDone);
            }
            ClusterEvent::Pod(event) => {
                lists.pods.apply_watcher_event(event);
                lists.pods_known |= matches!(**event, watcher::Event::InitDone);
            }
        }
        self.changes.send_replace(());
    }

    /// Returns whether both lists were seen in full.
    pub(super) fn is_complete(&self) -> bool {
        self.lists.borrow().are_known()
    }

    /// Returns every workload that the cluster holds for this device.
    pub(super) fn observed(&self) -> Vec<ObservedPod> {
        let lists = self.lists.borrow();
        let (deployments, pods) = (lists.deployments.as_reader(), lists.pods.as_reader());
        observed(&deployments.state(), &pods.state())
    }

    /// Returns a view of one specification, that follows the mirror over reconnections, too.
    pub(super) fn view(&self, of: WorkloadId) -> View {
        View { lists: Rc::clone(&self.lists), changes: self.changes.subscribe(), of }
    }
}

/// What a command needs to see of one specification while it works.
pub(super) struct View {
    lists: Rc<RefCell<Lists>>,
    changes: watch::Receiver<()>,
    of: WorkloadId,
}

impl View {
    /// Waits until `holds`. Before a new connection has listed everything, nothing does.
    pub(super) async fn until(&mut self, holds: impl Fn(&Seen) -> bool) {
        while !self.look(&holds) {
            self.changed().await;
        }
    }

    /// Waits until the mirror changes: since the last call, or the view was made.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The actor is gone, and this command with it.
            pending().await
        }
    }

    fn look(&self, holds: impl Fn(&Seen) -> bool) -> bool {
        let lists = self.lists.borrow();
        if !lists.are_known() {
            return false;
        }
        let deployments = lists.deployments.as_reader();
        let deployment = deployments.find(|it| id(&it.metadata).as_ref() == Some(&self.of));
        let pods = lists.pods.as_reader().state();
        let mut active = pods
            .iter()
            .map(AsRef::as_ref)
            .filter(|pod| id(&pod.metadata).as_ref() == Some(&self.of) && is_active(pod));
        let first = active.next();
        let ends = |pod: &SeenPod| pod.metadata.deletion_timestamp.is_some();
        holds(&Seen {
            deployment,
            has_pods: first.is_some(),
            pods_end: first.into_iter().chain(active).any(ends),
        })
    }
}

/// What is seen of one specification.
pub(super) struct Seen {
    deployment: Option<Arc<SeenDeployment>>,
    has_pods: bool,
    pods_end: bool,
}

impl Seen {
    /// Returns whether the Deployment is as it was `written`, or newer.
    pub(super) fn shows(&self, written: &Written) -> bool {
        self.deployment.as_deref().is_some_and(|it| {
            let generation = it.metadata.generation;
            let is_newer = generation > written.generation;
            let is_as_written = generation == written.generation && !is_changed(it);
            it.metadata.uid == written.uid && (is_newer || is_as_written)
        })
    }

    /// Returns whether nothing runs any more, and nothing will.
    pub(super) fn is_suspended(&self) -> bool {
        !self.has_pods && self.deployment.as_deref().is_none_or(is_scaled_to_nothing)
    }

    /// Returns whether the Deployment does not exist.
    pub(super) fn is_gone(&self) -> bool {
        self.deployment.is_none()
    }

    /// Returns whether a Deployment written now makes a pod that is the only one: nothing of a
    /// predecessor is on its way out. One that has replicas sees to that itself.
    pub(super) fn may_start(&self) -> bool {
        match self.deployment.as_deref() {
            Some(it) if it.metadata.deletion_timestamp.is_some() => false,
            Some(it) if !is_scaled_to_nothing(it) => true,
            Some(_) | None => !self.pods_end,
        }
    }
}
