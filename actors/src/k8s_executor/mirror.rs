//! The cluster's objects of ours, as the watches last told them.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;

use super::client::ClusterEvent;
use super::deployment_status::{id, observed};
use crate::workload::{ObservedPod, WorkloadId};

/// Takes the events of both watches of one connection, and then of the next.
#[derive(Default)]
pub(super) struct Mirror(Rc<RefCell<Lists>>);

#[derive(Default)]
struct Lists {
    deployments: Writer<Deployment>,
    pods: Writer<Pod>,
    deployments_known: bool,
    pods_known: bool,
}

impl Mirror {
    /// Forgets everything, for a new connection. Views wait for what that tells.
    pub(super) fn reset(&self) {
        self.0.replace(Lists::default());
    }

    /// Takes note of one event.
    pub(super) fn apply(&self, event: &ClusterEvent) {
        let lists = &mut *self.0.borrow_mut();
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
    }

    /// Returns whether both lists were seen in full.
    pub(super) fn is_complete(&self) -> bool {
        let lists = self.0.borrow();
        lists.deployments_known && lists.pods_known
    }

    /// Returns every workload that the cluster holds for this device.
    pub(super) fn observed(&self) -> Vec<ObservedPod> {
        let lists = self.0.borrow();
        let (deployments, pods) = (lists.deployments.as_reader(), lists.pods.as_reader());
        observed(&deployments.state(), &pods.state())
    }

    /// Returns a view that follows the mirror, over reconnections, too.
    pub(super) fn view(&self) -> View {
        View(Rc::clone(&self.0))
    }
}

/// What a command needs to see of the mirror while it works.
pub(super) struct View(Rc<RefCell<Lists>>);

impl View {
    /// Returns whether the Deployment of a specification is seen to exist.
    pub(super) fn exists(&self, wanted: &WorkloadId) -> bool {
        self.find(wanted).is_some()
    }

    /// Returns whether the Deployment of a specification is known not to exist.
    pub(super) fn is_gone(&self, wanted: &WorkloadId) -> bool {
        self.0.borrow().deployments_known && !self.exists(wanted)
    }

    /// Returns whether the Deployment of a specification is on its way out, or may be: before the
    /// connection has listed them, nobody knows.
    pub(super) fn may_be_deleting(&self, wanted: &WorkloadId) -> bool {
        self.find(wanted).map_or_else(
            || !self.0.borrow().deployments_known,
            |deployment| deployment.metadata.deletion_timestamp.is_some(),
        )
    }

    fn find(&self, wanted: &WorkloadId) -> Option<Arc<Deployment>> {
        let deployments = self.0.borrow().deployments.as_reader();
        deployments.find(|deployment| id(&deployment.metadata).as_ref() == Some(wanted))
    }
}
