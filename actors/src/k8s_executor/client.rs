//! The cluster as the executor needs it, and the client of a real one.

use std::fmt::{self, Debug};
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, LocalBoxFuture};
use futures_util::stream::{LocalBoxStream, StreamExt as _, TryStreamExt as _, select, unfold};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::deployment::{MANAGER, Objects, workload_selector};
use crate::workload::{DeviceId, WorkloadId};

pub use self::error::{ClusterError, Refusal};
use self::kubeconfig::Reader;

mod error;
mod events;
mod kubeconfig;

/// Time for one call to the cluster.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection to a cluster. Every call ends within a bounded time.
pub trait ClusterApi {
    /// Makes the cluster hold `objects` as they are. Changes nothing if it does already.
    fn apply(&self, objects: Objects) -> LocalBoxFuture<'static, Result<(), ClusterError>>;

    /// Begins to delete the Deployment of a specification; what it owns goes with it, pods first.
    fn delete(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>>;

    /// Returns whether the Deployment of a specification still exists.
    fn exists(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<bool, ClusterError>>;

    /// Returns all Deployments and Pods of this device, and then each change. Ends after its first
    /// error.
    fn watch(&self) -> LocalBoxStream<'static, Result<ClusterEvent, ClusterError>>;
}

/// One event of the watches. `Debug` shows no object: a variable of it may be a password.
#[derive(Clone)]
pub enum ClusterEvent {
    /// About a Deployment.
    Deployment(Box<watcher::Event<Deployment>>),
    /// About a Pod.
    Pod(Box<watcher::Event<Pod>>),
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

/// Returns what connects to the cluster that a kubeconfig names, or to the one that the agent runs
/// in. The file is read anew each time, so that it may appear or change while the agent runs.
#[must_use]
pub fn kubernetes(kubeconfig: Option<PathBuf>, device: DeviceId) -> Connect {
    let reader = Reader::new(kubeconfig);
    Rc::new(move || {
        let (reader, device) = (reader.clone(), device.clone());
        async move {
            let client = reader.client().await?;
            Ok(Rc::new(KubeClient { client, device }) as Rc<dyn ClusterApi>)
        }
        .boxed_local()
    })
}

/// A connection to a real cluster.
#[derive(Clone)]
struct KubeClient {
    client: Client,
    device: DeviceId,
}

impl ClusterApi for KubeClient {
    fn apply(&self, objects: Objects) -> LocalBoxFuture<'static, Result<(), ClusterError>> {
        let this = self.clone();
        async move {
            match this.apply_all(&objects).await {
                Err(error) if error.is_missing_namespace(&objects.namespace) => {
                    this.create_namespace(&objects.namespace).await?;
                    this.apply_all(&objects).await
                }
                result => result,
            }
        }
        .boxed_local()
    }

    fn delete(&self, id: WorkloadId) -> LocalBoxFuture<'static, Result<(), ClusterError>> {
        let this = self.clone();
        async move {
            for (namespace, name) in this.deployments(&id).await? {
                let api = Api::<Deployment>::namespaced(this.client.clone(), &namespace);
                let call = format!("delete Deployment {namespace}/{name}");
                let foreground = DeleteParams::foreground();
                match within(&call, api.delete(&name, &foreground)).await {
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
            .events::<Deployment>("watch Deployments")
            .map_ok(|event| ClusterEvent::Deployment(Box::new(event)));
        let pods =
            self.events::<Pod>("watch Pods").map_ok(|event| ClusterEvent::Pod(Box::new(event)));
        let events = select(deployments, pods).boxed_local();
        unfold(Some(events), async |events| {
            let mut events = events?;
            let event = events.next().await?;
            let rest = event.is_ok().then_some(events);
            Some((event, rest))
        })
        .boxed_local()
    }
}

impl KubeClient {
    /// Config maps and secrets come first, so that a pod never waits for them, and once more when
    /// the Deployment is there to own them: then they go with it.
    async fn apply_all(&self, objects: &Objects) -> Result<(), ClusterError> {
        self.apply_contents(objects, None).await?;
        let deployment = self.patch(&objects.deployment, &objects.namespace).await;
        let deployment = match deployment {
            Ok(deployment) => deployment,
            Err(error) => {
                self.remove_contents(objects).await;
                return Err(error);
            }
        };
        let owner = OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: "Deployment".to_owned(),
            name: deployment.name_any(),
            uid: deployment.uid().unwrap_or_default(),
            ..OwnerReference::default()
        };
        self.apply_contents(objects, Some(owner)).await
    }

    async fn apply_contents(
        &self,
        objects: &Objects,
        owner: Option<OwnerReference>,
    ) -> Result<(), ClusterError> {
        let owners = owner.map(|owner| vec![owner]);
        for map in &objects.config_maps {
            let mut map = map.clone();
            map.metadata.owner_references.clone_from(&owners);
            self.patch(&map, &objects.namespace).await?;
        }
        for secret in &objects.secrets {
            let mut secret = secret.clone();
            secret.metadata.owner_references.clone_from(&owners);
            self.patch(&secret, &objects.namespace).await?;
        }
        Ok(())
    }

    /// Removes what was created for a Deployment that the cluster refused. A failure is met again
    /// at the next start, which applies the same names.
    async fn remove_contents(&self, objects: &Objects) {
        if !matches!(self.deployments(&objects.id).await, Ok(found) if found.is_empty()) {
            return;
        }
        for map in &objects.config_maps {
            self.remove(map, &objects.namespace).await;
        }
        for secret in &objects.secrets {
            self.remove(secret, &objects.namespace).await;
        }
    }

    async fn remove<K: Object>(&self, object: &K, namespace: &str) {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let name = object.name_any();
        let params = DeleteParams::default();
        let deleting = api.delete(&name, &params);
        if let Err(error) = within("delete a leftover", deleting).await {
            tracing::debug!(%error, "leftover was not deleted");
        }
    }

    async fn patch<K: Object>(&self, object: &K, namespace: &str) -> Result<K, ClusterError> {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let name = object.name_any();
        let call = format!("apply {} {namespace}/{name}", K::kind(&()));
        // By force: the names are ours, so whatever others set in these fields is drift.
        let params = PatchParams::apply(MANAGER).force();
        within(&call, api.patch(&name, &params, &Patch::Apply(object))).await
    }

    async fn create_namespace(&self, name: &str) -> Result<(), ClusterError> {
        let api = Api::<Namespace>::all(self.client.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let params = PatchParams::apply(MANAGER);
        let call = format!("create the missing Namespace {name}");
        let apply = Patch::Apply(&namespace);
        within(&call, api.patch(name, &params, &apply)).await?;
        Ok(())
    }

    /// Returns namespace and name of each Deployment of a specification.
    async fn deployments(&self, id: &WorkloadId) -> Result<Vec<(String, String)>, ClusterError> {
        let api = Api::<Deployment>::all(self.client.clone());
        let params = ListParams::default().labels(&workload_selector(&self.device, id));
        let found = within("list Deployments", api.list_metadata(&params)).await?;
        let found = found.items.into_iter();
        Ok(found.map(|one| (one.namespace().unwrap_or_default(), one.name_any())).collect())
    }
}

/// An object that lives in a namespace.
trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
        + Send
        + 'static
{
}

async fn within<T>(
    call: &str,
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match timeout(CALL_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| ClusterError::call(call, error)),
        Err(_) => Err(ClusterError::timed_out(call, CALL_TIMEOUT)),
    }
}

#[cfg(test)]
mod tests;
