//! A cluster in memory: holds what is applied, notifies watchers, and fails on demand.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
use futures_util::stream::{LocalBoxStream, StreamExt as _, unfold};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;
use tokio::sync::mpsc;

use crate::k8s_executor::{
    ClusterApi, ClusterError, ClusterEvent, Connect, Objects, Refusal, SeenDeployment,
    WRITTEN_LABEL, Written,
};
use crate::workload::WorkloadId;

type Watched = Result<ClusterEvent, ClusterError>;
/// What happened to a Deployment.
type Happened = fn(SeenDeployment) -> Event<SeenDeployment>;

/// What a cluster does with the next calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It serves.
    Well,
    /// Nothing listens at its address.
    Unreachable,
    /// It takes calls and never answers.
    Silent,
    /// It refuses every change.
    Refusing(Refusal),
    /// It serves its present clients, and no new one can connect.
    Closed,
}

/// A cluster in memory. Clones are the same cluster.
#[derive(Clone)]
pub struct FakeCluster(Rc<RefCell<Inner>>);

struct Inner {
    mood: Mood,
    keeps_deleting: bool,
    connections: usize,
    applied: Vec<Objects>,
    deployments: BTreeMap<WorkloadId, Deployment>,
    watchers: Vec<mpsc::UnboundedSender<Watched>>,
    is_replaced: bool,
    /// Changes that the watchers have not seen yet; none while they see each at once.
    late: Option<Vec<ClusterEvent>>,
}

impl Default for FakeCluster {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Inner {
            mood: Mood::Well,
            keeps_deleting: false,
            connections: 0,
            applied: Vec::new(),
            deployments: BTreeMap::new(),
            watchers: Vec::new(),
            is_replaced: false,
            late: None,
        })))
    }
}

impl FakeCluster {
    /// The `Retry-After` of its answers when it is asked too much.
    pub const RETRY_AFTER: Duration = Duration::from_secs(90);

    /// Returns what connects to it.
    #[must_use]
    pub fn connect(&self) -> Connect {
        let cluster = self.clone();
        Rc::new(move || {
            let connection = Rc::new(cluster.clone()) as Rc<dyn ClusterApi>;
            let mut inner = cluster.0.borrow_mut();
            inner.connections += 1;
            inner.is_replaced &= inner.mood == Mood::Closed;
            drop(inner);
            cluster.answer("connect", connection)
        })
    }

    /// Changes its mood. Watches break when it becomes unreachable.
    pub fn become_(&self, mood: Mood) {
        if mood == Mood::Unreachable {
            for watcher in self.0.borrow_mut().watchers.drain(..) {
                // A watcher that is gone needs no news.
                let _ = watcher.send(Err(unreachable("watch Deployments")));
            }
        }
        self.0.borrow_mut().mood = mood;
    }

    /// Says whether deleted Deployments stay, as they do while their pods end.
    pub fn keep_deleting(&self, keeps: bool) {
        self.0.borrow_mut().keeps_deleting = keeps;
        if !keeps {
            let going = self.0.borrow().deployments.clone();
            let is_going = |one: &Deployment| one.metadata.deletion_timestamp.is_some();
            for (id, deployment) in going.into_iter().filter(|(_, one)| is_going(one)) {
                self.0.borrow_mut().deployments.remove(&id);
                self.publish(Event::Delete, &deployment);
            }
        }
    }

    /// Replaces the files that say how to connect.
    pub fn replace_access(&self) {
        self.0.borrow_mut().is_replaced = true;
    }

    /// Sets whether watches lag: they deliver nothing until they no longer do.
    pub fn lag(&self, lags: bool) {
        let late = self.0.borrow_mut().late.take();
        if lags {
            self.0.borrow_mut().late = Some(late.unwrap_or_default());
        } else {
            late.into_iter().flatten().for_each(|event| self.send(&event));
        }
    }

    /// Says how many replicas of a Deployment are available.
    pub fn set_available(&self, id: &WorkloadId, replicas: i32) {
        let changed = {
            let mut inner = self.0.borrow_mut();
            inner.deployments.get_mut(id).map(|deployment| {
                deployment.status = Some(DeploymentStatus {
                    available_replicas: Some(replicas),
                    updated_replicas: Some(1),
                    observed_generation: deployment.metadata.generation,
                    ..DeploymentStatus::default()
                });
                deployment.clone()
            })
        };
        if let Some(deployment) = changed {
            self.publish(Event::Apply, &deployment);
        }
    }

    /// Changes a Deployment as another client does.
    pub fn change_by_hand(&self, id: &WorkloadId, change: impl FnOnce(&mut DeploymentSpec)) {
        let changed = {
            let mut inner = self.0.borrow_mut();
            inner.deployments.get_mut(id).map(|deployment| {
                change(deployment.spec.get_or_insert_default());
                next_generation(deployment);
                deployment.clone()
            })
        };
        if let Some(deployment) = changed {
            self.publish(Event::Apply, &deployment);
        }
    }

    /// Deletes a Deployment as another client does.
    pub fn delete_by_hand(&self, id: &WorkloadId) {
        let deleted = self.0.borrow_mut().deployments.remove(id);
        if let Some(deployment) = deleted {
            self.publish(Event::Delete, &deployment);
        }
    }

    /// Returns everything applied so far, in order.
    #[must_use]
    pub fn applied(&self) -> Vec<Objects> {
        self.0.borrow().applied.clone()
    }

    /// Returns how many connections were attempted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.borrow().connections
    }

    /// Returns how many watch it.
    #[must_use]
    pub fn watchers(&self) -> usize {
        self.0.borrow().watchers.iter().filter(|watcher| !watcher.is_closed()).count()
    }

    fn publish(&self, event: Happened, deployment: &Deployment) {
        let event = ClusterEvent::Deployment(Box::new(event(seen(deployment))));
        if let Some(late) = &mut self.0.borrow_mut().late {
            return late.push(event);
        }
        self.send(&event);
    }

    fn send(&self, event: &ClusterEvent) {
        let mut inner = self.0.borrow_mut();
        inner.watchers.retain(|watcher| watcher.send(Ok(event.clone())).is_ok());
    }

    fn answer<T: 'static>(
        &self,
        call: &str,
        value: T,
    ) -> LocalBoxFuture<'static, Result<T, ClusterError>> {
        match &self.0.borrow().mood {
            Mood::Well => ready(Ok(value)).boxed_local(),
            Mood::Refusing(refusal) if call.starts_with("apply") => {
                let (call, refusal) = (call.to_owned(), refusal.clone());
                let retry_after =
                    matches!(refusal, Refusal::TooManyRequests(_)).then_some(Self::RETRY_AFTER);
                ready(Err(ClusterError::Refused { call, refusal, retry_after })).boxed_local()
            }
            Mood::Closed if call == "connect" => ready(Err(unreachable(call))).boxed_local(),
            Mood::Refusing(_) | Mood::Closed => ready(Ok(value)).boxed_local(),
            Mood::Unreachable => ready(Err(unreachable(call))).boxed_local(),
            Mood::Silent => std::future::pending().boxed_local(),
        }
    }

    fn serves(&self, call: &str) -> bool {
        match self.0.borrow().mood {
            Mood::Well | Mood::Closed => true,
            Mood::Refusing(_) => !call.starts_with("apply"),
            Mood::Unreachable | Mood::Silent => false,
        }
    }
}

impl ClusterApi for FakeCluster {
    fn apply(&self, objects: Objects) -> LocalBoxFuture<'static, Result<Written, ClusterError>> {
        let mut written = Written { uid: None, generation: None };
        if self.serves("apply") {
            let known = self.0.borrow().deployments.get(&objects.id).cloned();
            let mut deployment = known.unwrap_or_else(|| Deployment {
                metadata: objects.deployment.metadata.clone(),
                ..Deployment::default()
            });
            if deployment.spec != objects.deployment.spec {
                deployment.spec.clone_from(&objects.deployment.spec);
                next_generation(&mut deployment);
            }
            sign(&mut deployment);
            let mut inner = self.0.borrow_mut();
            let uid = format!("uid-{}", inner.applied.len());
            deployment.metadata.uid.get_or_insert(uid);
            written = Written::from(&seen(&deployment));
            inner.deployments.insert(objects.id.clone(), deployment.clone());
            inner.applied.push(objects);
            drop(inner);
            self.publish(Event::Apply, &deployment);
        }
        self.answer("apply Deployment", written)
    }

    fn suspend(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>> {
        if self.serves("suspend") {
            self.change_by_hand(&id, |spec| spec.replicas = Some(0));
            let signed = self.0.borrow_mut().deployments.get_mut(&id).map(|deployment| {
                sign(deployment);
                deployment.clone()
            });
            if let Some(deployment) = signed {
                self.publish(Event::Apply, &deployment);
            }
        }
        self.answer("suspend Deployment", ())
    }

    fn delete(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>> {
        if self.serves("delete") {
            let mut inner = self.0.borrow_mut();
            let keeps = inner.keeps_deleting;
            let deleted = inner.deployments.remove(&id).map(|mut deployment| {
                deployment.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
                if keeps {
                    inner.deployments.insert(id, deployment.clone());
                }
                deployment
            });
            drop(inner);
            if let Some(deployment) = deleted {
                self.publish(if keeps { Event::Apply } else { Event::Delete }, &deployment);
            }
        }
        self.answer("delete Deployment", ())
    }

    fn exists(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<bool, ClusterError>> {
        let exists = self.0.borrow().deployments.contains_key(&id);
        self.answer("list Deployments", exists)
    }

    fn watch(&self) -> LocalBoxStream<'static, Watched> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut inner = self.0.borrow_mut();
        let listed = inner.deployments.values().map(seen);
        let first = [Event::Init]
            .into_iter()
            .chain(listed.map(Event::InitApply))
            .chain([Event::InitDone])
            .map(|event| ClusterEvent::Deployment(Box::new(event)))
            .chain([Event::Init, Event::InitDone].map(|event| ClusterEvent::Pod(Box::new(event))));
        for event in first {
            // The receiver is in this function.
            let _ = sender.send(Ok(event));
        }
        inner.watchers.push(sender);
        unfold(receiver, async |mut receiver| {
            let event = receiver.recv().await?;
            Some((event, receiver))
        })
        .boxed_local()
    }

    fn is_current(&self) -> LocalBoxFuture<'static, bool> {
        ready(!self.0.borrow().is_replaced).boxed_local()
    }
}

/// Returns what clients read of a Deployment.
#[allow(clippy::expect_used, reason = "a fixture of tests")]
fn seen(deployment: &Deployment) -> SeenDeployment {
    let whole = serde_json::to_value(deployment);
    whole.and_then(serde_json::from_value).expect("a Deployment is read as one")
}

fn next_generation(deployment: &mut Deployment) {
    *deployment.metadata.generation.get_or_insert(0) += 1;
}

/// Notes that the agent wrote a Deployment.
fn sign(deployment: &mut Deployment) {
    let hash = seen(deployment).spec.hash;
    deployment.metadata.labels.get_or_insert_default().insert(WRITTEN_LABEL.to_owned(), hash);
}

fn unreachable(call: &str) -> ClusterError {
    ClusterError::Unreachable { call: call.to_owned(), source: "connection refused".into() }
}
