//! The cluster's objects of ours, as the watches last told them.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher;

use super::client::ClusterEvent;
use super::deployment_status::{id, observed};
use crate::workload::{ObservedPod, WorkloadId};

/// Takes the events of both watches of one connection.
#[derive(Default)]
pub(super) struct Mirror {
    deployments: Writer<Deployment>,
    pods: Writer<Pod>,
    deployments_known: bool,
    pods_known: bool,
}

impl Mirror {
    /// Takes note of one event.
    pub(super) fn apply(&mut self, event: &ClusterEvent) {
        match event {
            ClusterEvent::Deployment(event) => {
                self.deployments.apply_watcher_event(event);
                self.deployments_known |= matches!(**event, watcher::Event::InitDone);
            }
            ClusterEvent::Pod(event) => {
                self.pods.apply_watcher_event(event);
                self.pods_known |= matches!(**event, watcher::Event::InitDone);
            }
        }
    }

    /// Returns whether both lists were seen in full.
    pub(super) fn is_complete(&self) -> bool {
        self.deployments_known && self.pods_known
    }

    /// Returns every workload that the cluster holds for this device.
    pub(super) fn observed(&self) -> Vec<ObservedPod> {
        let (deployments, pods) = (self.deployments.as_reader(), self.pods.as_reader());
        observed(&deployments.state(), &pods.state())
    }

    /// Returns a view that follows the mirror.
    pub(super) fn view(&self) -> View {
        View(self.deployments.as_reader())
    }
}

/// What a command needs to see of the mirror while it works.
#[derive(Clone)]
pub(super) struct View(Store<Deployment>);

impl View {
    /// Returns whether the Deployment of a specification exists.
    pub(super) fn exists(&self, wanted: &WorkloadId) -> bool {
        self.find(wanted).is_some()
    }

    /// Returns whether the Deployment of a specification is on its way out.
    pub(super) fn is_deleting(&self, wanted: &WorkloadId) -> bool {
        self.find(wanted).is_some_and(|deployment| deployment.metadata.deletion_timestamp.is_some())
    }

    fn find(&self, wanted: &WorkloadId) -> Option<Arc<Deployment>> {
        self.0.find(|deployment| id(&deployment.metadata).as_ref() == Some(wanted))
    }
}
