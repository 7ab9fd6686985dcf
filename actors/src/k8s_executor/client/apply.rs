//! Makes the cluster hold the objects of a workload.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::{ClusterError, KubeClient, Object};
use crate::k8s_executor::deployment::{MANAGER, Objects, WRITTEN_LABEL, spec_hash};
use crate::workload::WorkloadId;

impl KubeClient {
    /// Applies `objects`, and makes their namespace first where it is missing.
    pub(super) async fn apply_all(&self, objects: &Objects) -> Result<(), ClusterError> {
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
    async fn apply_once(&self, objects: &Objects) -> Result<(), ClusterError> {
        let mut owner = None;
        if objects.has_contents() {
            let there = match self.own_deployment(objects).await? {
                Some(owner) => owner,
                None => owner_of(&self.patch(&without_pods(objects), &objects.namespace).await?),
            };
            self.apply_contents(objects, &there).await?;
            owner = Some(there);
        }
        let applied = self.patch(&objects.deployment, &objects.namespace).await?;
        let new_owner = owner_of(&applied);
        if owner.is_some_and(|owner| owner != new_owner) {
            // Somebody deleted it meanwhile, and what it owned went with it.
            self.apply_contents(objects, &new_owner).await?;
        }
        self.sign(&applied).await
    }

    /// Scales every Deployment of a specification to nothing.
    pub(super) async fn suspend_all(&self, id: &WorkloadId) -> Result<(), ClusterError> {
        for found in self.deployments(id).await? {
            let nothing = json!({ "spec": { "replicas": 0 } });
            match self.merge("scale", &found.namespace, &found.name, &nothing).await {
                Err(error) if error.is_not_found() => {}
                result => self.sign(&result?).await?,
            }
        }
        Ok(())
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
            self.patch(&map, &objects.namespace).await?;
        }
        for secret in &objects.secrets {
            let mut secret = secret.clone();
            secret.metadata.owner_references.clone_from(&owners);
            self.patch(&secret, &objects.namespace).await?;
        }
        Ok(())
    }

    async fn patch<K: Object>(&self, object: &K, namespace: &str) -> Result<K, ClusterError> {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        let name = object.name_any();
        let call = format!("apply {} {namespace}/{name}", K::kind(&()));
        // By force: the names are ours, so whatever others set in these fields is drift.
        let params = PatchParams::apply(MANAGER).force();
        self.within(&call, api.patch(&name, &params, &Patch::Apply(object))).await
    }

    /// Writes to a Deployment itself that it is as the agent wrote it.
    async fn sign(&self, written: &Deployment) -> Result<(), ClusterError> {
        let hash = spec_hash(written);
        if written.labels().get(WRITTEN_LABEL) == Some(&hash) {
            return Ok(());
        }
        let (namespace, name) = (written.namespace().unwrap_or_default(), written.name_any());
        let patch = json!({ "metadata": { "labels": { WRITTEN_LABEL: hash } } });
        match self.merge("label", &namespace, &name, &patch).await {
            // It went at once; the watch tells that.
            Err(error) if error.is_not_found() => Ok(()),
            result => result.map(drop),
        }
    }

    async fn merge(
        &self,
        verb: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Deployment, ClusterError> {
        let api = Api::<Deployment>::namespaced(self.client.clone(), namespace);
        let call = format!("{verb} Deployment {namespace}/{name}");
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        self.within(&call, api.patch(name, &params, &Patch::Merge(patch))).await
    }

    async fn create_namespace(&self, name: &str) -> Result<(), ClusterError> {
        let api = Api::<Namespace>::all(self.client.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.to_owned());
        let params = PatchParams::apply(MANAGER);
        let call = format!("create the missing Namespace {name}");
        let apply = Patch::Apply(&namespace);
        self.within(&call, api.patch(name, &params, &apply)).await?;
        Ok(())
    }
}

fn without_pods(objects: &Objects) -> Deployment {
    let mut deployment = objects.deployment.clone();
    if let Some(spec) = &mut deployment.spec {
        spec.replicas = Some(0);
    }
    deployment
}

fn owner_of(deployment: &Deployment) -> OwnerReference {
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
