//! The cluster as the executor needs it, and the client of a real one.

use std::fmt::{self, Debug};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{LocalBoxStream, StreamExt as _, TryStreamExt as _, select, unfold};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DeleteParams, ListParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use tokio::time::timeout;

use super::deployment::{Objects, workload_selector};
use super::seen::{SeenDeployment, SeenPod};
use crate::url_path::segment;
use crate::workload::{DeviceId, WorkloadId};

pub use self::error::{ClusterError, Refusal};
pub use self::kubeconfig::ClusterAccess;
use self::kubeconfig::{Access, Reader};
pub use self::logs::{ClusterContainer, ClusterLogs};
use self::retry_after::RetryAfter;
use self::sources::Sources;
use self::timeouts::CALL_TIMEOUT;

mod apply;
mod error;
mod events;
mod kubeconfig;
mod logs;
mod retry_after;
mod sources;
mod timeouts;

/// A connection to a cluster. Every call ends within a bounded time.
pub trait ClusterApi {
    /// Makes the cluster hold `objects` as they are. Changes nothing if it does already.
    fn apply(&self, objects: Objects) -> LocalBoxFuture<'static, Result<Written, ClusterError>>;

    /// Begins to end the pod of a specification, whose Deployment stays. One that is absent is a
    /// success.
    fn suspend(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>>;

    /// Begins to delete the Deployment of a specification; what it owns goes with it, pods first.
    fn delete(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>>;

    /// Returns whether the Deployment of a specification still exists.
    fn exists(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<bool, ClusterError>>;

    /// Returns all Deployments and Pods of this device, and then each change. Ends after its first
    /// error.
    fn watch(&self) -> LocalBoxStream<'static, Result<ClusterEvent, ClusterError>>;

    /// Returns whether the files that the connection was made from are as they were.
    fn is_current(&self) -> LocalBoxFuture<'static, bool>;
}

/// The version of a Deployment that a write made: a watch may still show an older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Which object.
    pub uid: Option<String>,
    /// Which of its specifications.
    pub generation: Option<i64>,
}

impl From<&SeenDeployment> for Written {
    fn from(deployment: &SeenDeployment) -> Self {
        let metadata = &deployment.metadata;
        Self { uid: metadata.uid.clone(), generation: metadata.generation }
    }
}

/// One event of the watches. `Debug` shows no object: a variable of it may be a password.
#[derive(Clone)]
pub enum ClusterEvent {
    /// About a Deployment.
    Deployment(Box<watcher::Event<SeenDeployment>>),
    /// About a Pod.
    Pod(Box<watcher::Event<SeenPod>>),
}

impl fmt::Debug for ClusterEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deployment(_) => "Deployment(..)",
            Self::Pod(_) => "Pod(..)",
        })
    }
}

/// Makes a new connection; a client dies with the actor's life that made it.
pub type Connect =
    Rc<dyn Fn() -> LocalBoxFuture<'static, Result<Rc<dyn ClusterApi>, ClusterError>>>;

/// Returns what connects to a cluster.
#[must_use]
pub fn kubernetes(access: ClusterAccess, device: DeviceId) -> Connect {
    let reader = Reader::new(access);
    Rc::new(move || {
        let (reader, device) = (reader.clone(), device.clone());
        async move {
            let Access { client, retry_after, sources } = reader.open().await?;
            let client = KubeClient { client, retry_after, sources, reader, device };
            Ok(Rc::new(client) as Rc<dyn ClusterApi>)
        }
        .boxed_local()
    })
}

/// A connection to a real cluster.
#[derive(Clone)]
struct KubeClient {
    client: Client,
    retry_after: RetryAfter,
    sources: Arc<Sources>,
    reader: Reader,
    device: DeviceId,
}

impl ClusterApi for KubeClient {
    fn apply(&self, objects: Objects) -> LocalBoxFuture<'static, Result<Written, ClusterError>> {
        let this = self.clone();
        async move { this.apply_all(&objects).await }.boxed_local()
    }

    fn suspend(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>> {
        let this = self.clone();
        async move { this.suspend_all(&id).await }.boxed_local()
    }

    fn delete(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>> {
        let this = self.clone();
        async move {
            for Found { namespace, name, .. } in this.deployments(&id).await? {
                let api = Api::<SeenDeployment>::namespaced(this.client.clone(), &namespace);
                let call = format!("delete Deployment {namespace}/{name}");
                let foreground = DeleteParams::foreground();
                match this.within(&call, api.delete(&name, &foreground)).await {
                    Err(error) if error.is_not_found() => {}
                    result => drop(result?),
                }
            }
            Ok(())
        }
        .boxed_local()
    }

    fn exists(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<bool, ClusterError>> {
        let this = self.clone();
        async move { Ok(!this.deployments(&id).await?.is_empty()) }.boxed_local()
    }

    fn watch(&self) -> LocalBoxStream<'static, Result<ClusterEvent, ClusterError>> {
        let deployments = self
            .events::<SeenDeployment>("watch Deployments")
            .map_ok(|event| ClusterEvent::Deployment(Box::new(event)));
        let pods =
            self.events::<SeenPod>("watch Pods").map_ok(|event| ClusterEvent::Pod(Box::new(event)));
        let events = select(deployments, pods).boxed_local();
        unfold(Some(events), async |events| {
            let mut events = events?;
            let event = events.next().await?;
            let rest = event.is_ok().then_some(events);
            Some((event, rest))
        })
        .boxed_local()
    }

    fn is_current(&self) -> LocalBoxFuture<'static, bool> {
        let (reader, sources) = (self.reader.clone(), Arc::clone(&self.sources));
        async move { reader.is_current(sources).await }.boxed_local()
    }
}

impl KubeClient {
    /// Returns each Deployment of a specification.
    async fn deployments(&self, id: &WorkloadId) -> Result<Vec<Found>, ClusterError> {
        let api = Api::<Deployment>::all(self.client.clone());
        let params = ListParams::default().labels(&workload_selector(&self.device, id));
        let found = self.within("list Deployments", api.list_metadata(&params)).await?;
        let found = found.items.into_iter().map(|one| Found {
            namespace: one.namespace().unwrap_or_default(),
            name: one.name_any(),
            uid: one.uid().unwrap_or_default(),
        });
        // They go into paths as they are: what no object can be called is no answer of a cluster's.
        let is_plain = |name: &str| segment(name).as_deref() == Some(name);
        Ok(found.filter(|one| is_plain(&one.namespace) && is_plain(&one.name)).collect())
    }

    async fn within<T>(
        &self,
        call: &str,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ClusterError> {
        match timeout(CALL_TIMEOUT, answer).await {
            Ok(answer) => {
                answer.map_err(|error| ClusterError::call(call, error, self.retry_after.take()))
            }
            Err(_) => Err(ClusterError::timed_out(call, CALL_TIMEOUT)),
        }
    }
}

/// A Deployment that the cluster listed.
struct Found {
    namespace: String,
    name: String,
    uid: String,
}

#[cfg(test)]
mod tests;
