//! Makes the cluster hold the objects of a workload.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{ClusterError, Found, KubeClient, Written};
use crate::k8s_executor::deployment::{MANAGER, Objects, WRITTEN_LABEL};
use crate::k8s_executor::seen::SeenDeployment;
use crate::workload::WorkloadId;

impl KubeClient {
    /// Applies `objects`, and makes their namespace first where it is missing.
    pub(super) async fn apply_all(&self, objects: &Objects) -> Result<Written, ClusterError> {
        match self.apply_once(objects).await {
            Err(error) if error.is_missing_namespace(&objects.namespace) => {
                self.create_namespace(&objects.namespace).await?;
                self.apply_once(objects).await
            }
            result => result,
        }
    }

    /// What the pod needs is owned by the Deployment from the start: whatever happens meanwhile,
    /// nothing is left behind when that goes. So the Deployment comes first, without a pod, which
    /// would wait for the rest.
    async fn apply_once(&self, objects: &Objects) -> Result<Written, ClusterError> {
        let owner = match self.own_deployment(objects).await? {
            Some(owner) => owner,
            None => owner_of(&self.patch_deployment(by_force(), &without_pods(objects)).await?),
        };
        self.apply_contents(objects, &owner).await?;
        let applied = self.apply_deployment(objects).await?;
        let new_owner = owner_of(&applied);
        if owner != new_owner {
            // It was deleted meanwhile, together with what it owned.
            self.apply_contents(objects, &new_owner).await?;
        }
        Ok(Written::from(&applied))
    }

    async fn apply_deployment(&self, objects: &Objects) -> Result<SeenDeployment, ClusterError> {
        self.write_signed(by_force(), async |params, signature| {
            let mut deployment = objects.deployment.clone();
            if let Some(hash) = signature {
                let labels = deployment.metadata.labels.get_or_insert_default();
                labels.insert(WRITTEN_LABEL.to_owned(), hash);
            }
            self.patch_deployment(params, &deployment).await
        })
        .await
    }

    /// Scales every Deployment of a specification to zero.
    pub(super) async fn suspend_all(&self, id: &WorkloadId) -> Result<(), ClusterError> {
        for Found { namespace, name, .. } in self.deployments(id).await? {
            let suspended = self.write_signed(ours(), async |params, signature| {
                let labels = json!({ WRITTEN_LABEL: signature });
                let nothing =
                    json!({ "metadata": { "labels": labels }, "spec": { "replicas": 0 } });
                self.merge(params, "scale", &namespace, &name, &nothing).await
            });
            match suspended.await {
                Err(error) if error.is_not_found() => {}
                result => drop(result?),
            }
        }
        Ok(())
    }

    /// Writes a Deployment together with the hash of what that makes of its specification, which only
    /// the cluster knows, with its defaults: so it is tried first. Written by itself later, the hash
    /// could be missing, and what the agent wrote would be taken for another's change.
    async fn write_signed(
        &self,
        params: PatchParams,
        write: impl AsyncFn(PatchParams, Option<String>) -> Result<SeenDeployment, ClusterError>,
    ) -> Result<SeenDeployment, ClusterError> {
        let trial = PatchParams { dry_run: true, ..params.clone() };
        let signature = match write(trial, None).await {
            Ok(trial) => Some(trial.spec.hash),
            Err(error) if error.is_outage() || error.is_not_found() => return Err(error),
            // Without a signature it is not taken for changed. The write is refused, too, and says
            // why, unless only trials are, as by some webhooks.
            Err(_) => None,
        };
        let written = write(params, signature).await?;
        self.sign(written).await
    }

    /// Returns the Deployment to own the contents of `objects`, if it is there.
    async fn own_deployment(
        &self,
        objects: &Objects,
    ) -> Result<Option<OwnerReference>, ClusterError> {
        let name = objects.deployment.name_any();
        let found = self.deployments(&objects.id).await?.into_iter();
        let own = found.filter(|it| it.namespace == objects.namespace && it.name == name);
        Ok(own.map(|it| owner_reference(it.name, it.uid)).next())
    }

    async fn apply_contents(
        &self,
        objects: &Objects,
        owner: &OwnerReference,
    ) -> Result<(), ClusterError> {
        let owners = Some(vec![owner.clone()]);
        for map in &objects.config_maps {
            let mut map = map.clone();
            map.metadata.owner_references.clone_from(&owners);
            self.apply_content(&map, &objects.namespace).await?;
        }
        for secret in &objects.secrets {
            let mut secret = secret.clone();
            secret.metadata.owner_references.clone_from(&owners);
            self.apply_content(&secret, &objects.namespace).await?;
        }
        Ok(())
    }

    /// Applies a ConfigMap or a Secret.
    async fn apply_content<K>(&self, object: &K, namespace: &str) -> Result<(), ClusterError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + Serialize + DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let name = object.name_any();
        let call = format!("apply {} {namespace}/{name}", K::kind(&()));
        let (params, patch) = (by_force(), Patch::Apply(object));
        self.within(&call, api.patch_metadata(&name, &params, &patch)).await?;
        Ok(())
    }

    async fn patch_deployment(
        &self,
        params: PatchParams,
        deployment: &Deployment,
    ) -> Result<SeenDeployment, ClusterError> {
        let namespace = deployment.namespace().unwrap_or_default();
        let api = Api::<SeenDeployment>::namespaced(self.client.clone(), &namespace);
        let name = deployment.name_any();
        let call = format!("apply Deployment {namespace}/{name}");
        self.within(&call, api.patch(&name, &params, &Patch::Apply(deployment))).await
    }

    /// Corrects the signature of what was written, should the cluster have made something else of it
    /// than of its trial.
    async fn sign(&self, written: SeenDeployment) -> Result<SeenDeployment, ClusterError> {
        let hash = &written.spec.hash;
        if written.labels().get(WRITTEN_LABEL) == Some(hash) {
            return Ok(written);
        }
        let (namespace, name) = (written.namespace().unwrap_or_default(), written.name_any());
        let patch = json!({ "metadata": { "labels": { WRITTEN_LABEL: hash } } });
        match self.merge(ours(), "label", &namespace, &name, &patch).await {
            // It was deleted at once; the watch shows that.
            Err(error) if error.is_not_found() => Ok(written),
            result => result,
        }
    }

    async fn merge(
        &self,
        params: PatchParams,
        verb: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<SeenDeployment, ClusterError> {
        let api = Api::<SeenDeployment>::namespaced(self.client.clone(), namespace);
        let call = format!("{verb} Deployment {namespace}/{name}");
        self.within(&call, api.patch(name, &params, &Patch::Merge(patch))).await
    }

    async fn create_namespace(&self, name: &str) -> Result<(), ClusterError> {
        let api = Api::<Namespace>::all(self.client.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let params = PatchParams::apply(MANAGER);
        let call = format!("create the missing Namespace {name}");
        let apply = Patch::Apply(&namespace);
        self.within(&call, api.patch_metadata(name, &params, &apply)).await?;
        Ok(())
    }
}

/// A server-side apply by force: the names are ours, so whatever others set in these fields is drift.
fn by_force() -> PatchParams {
    PatchParams::apply(MANAGER).force()
}

/// A change of single fields.
fn ours() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn without_pods(objects: &Objects) -> Deployment {
    let mut deployment = objects.deployment.clone();
    if let Some(spec) = &mut deployment.spec {
        spec.replicas = Some(0);
    }
    deployment
}

fn owner_of(deployment: &SeenDeployment) -> OwnerReference {
    owner_reference(deployment.name_any(), deployment.uid().unwrap_or_default())
}

fn owner_reference(name: String, uid: String) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name,
        uid,
        ..OwnerReference::default()
    }
}
