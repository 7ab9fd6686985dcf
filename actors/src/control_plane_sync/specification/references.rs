//! Which config maps and secrets a pod refers to, and their supply.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, KeyToPath, PodSpec, Volume};

use super::contents::Contents;
use super::{names, registries};
use crate::workload::{ConfigMap, RegistryCredentials, Secret};

/// All that a pod needs of one config map or secret.
#[derive(Debug, Default, PartialEq)]
struct Need {
    /// Some reference says that the pod cannot do without it.
    required: bool,
    /// Keys that the pod cannot do without.
    keys: BTreeSet<String>,
}

/// What a pod refers to, by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct References {
    config_maps: BTreeMap<String, Need>,
    secrets: BTreeMap<String, Need>,
    pull_secrets: BTreeSet<String>,
}

/// Collects the references of `pod`.
pub(super) fn of_pod(pod: &PodSpec) -> References {
    let mut references = References::default();
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        references.add_container(container);
    }
    for volume in pod.volumes.iter().flatten() {
        references.add_volume(volume);
    }
    let pull_secrets = pod.image_pull_secrets.iter().flatten();
    references.pull_secrets = pull_secrets.map(|secret| secret.name.clone()).collect();
    references
}

impl References {
    fn add_container(&mut self, container: &Container) {
        let sources = container.env.iter().flatten();
        for source in sources.filter_map(|variable| variable.value_from.as_ref()) {
            if let Some(of) = &source.config_map_key_ref {
                need(&mut self.config_maps, &of.name, of.optional, [&of.key]);
            }
            if let Some(of) = &source.secret_key_ref {
                need(&mut self.secrets, &of.name, of.optional, [&of.key]);
            }
        }
        for source in container.env_from.iter().flatten() {
            if let Some(of) = &source.config_map_ref {
                need(&mut self.config_maps, &of.name, of.optional, []);
            }
            if let Some(of) = &source.secret_ref {
                need(&mut self.secrets, &of.name, of.optional, []);
            }
        }
    }

    fn add_volume(&mut self, volume: &Volume) {
        if let Some(of) = &volume.config_map {
            need(&mut self.config_maps, &of.name, of.optional, keys(of.items.as_ref()));
        }
        if let Some(of) = &volume.secret {
            let name = of.secret_name.as_deref().unwrap_or_default();
            need(&mut self.secrets, name, of.optional, keys(of.items.as_ref()));
        }
        let projected = volume.projected.iter();
        for source in projected.flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(of) = &source.config_map {
                need(&mut self.config_maps, &of.name, of.optional, keys(of.items.as_ref()));
            }
            if let Some(of) = &source.secret {
                need(&mut self.secrets, &of.name, of.optional, keys(of.items.as_ref()));
            }
        }
    }

    /// Returns the config maps that the pod refers to, in order of name.
    ///
    /// # Errors
    /// The first one that is missing or broken and not optional.
    pub(super) fn config_maps(&self, contents: &Contents) -> Result<Vec<ConfigMap>, String> {
        supply("config map", &self.config_maps, &contents.config_maps, |map, key| {
            map.data.contains_key(key)
        })
    }

    /// Returns the secrets that the pod refers to, in order of name.
    ///
    /// # Errors
    /// The first one that is missing or broken and not optional.
    pub(super) fn secrets(&self, contents: &Contents) -> Result<Vec<Secret>, String> {
        supply("secret", &self.secrets, &contents.secrets, |secret, key| {
            secret.data.contains_key(key)
        })
    }

    /// Returns the credentials in the pod's `imagePullSecrets`. As in Kubernetes, a missing one is
    /// no error: the image may be there already, or be public.
    ///
    /// # Errors
    /// One that is there cannot be read.
    pub(super) fn pull_credentials(
        &self,
        contents: &Contents,
    ) -> Result<BTreeMap<String, RegistryCredentials>, String> {
        let mut all = BTreeMap::new();
        for name in &self.pull_secrets {
            match contents.secrets.get(name) {
                Some(Ok(secret)) => all.extend(registries::from_secret(secret)?),
                Some(Err(reason)) => return Err(reason.clone()),
                None => {}
            }
        }
        Ok(all)
    }
}

fn need<'a>(
    needs: &mut BTreeMap<String, Need>,
    name: &str,
    optional: Option<bool>,
    keys: impl IntoIterator<Item = &'a String>,
) {
    let need = needs.entry(name.to_owned()).or_default();
    if optional != Some(true) {
        need.required = true;
        need.keys.extend(keys.into_iter().cloned());
    }
}

fn keys(items: Option<&Vec<KeyToPath>>) -> impl Iterator<Item = &String> {
    items.into_iter().flatten().map(|item| &item.key)
}

fn supply<T: Clone>(
    what: &str,
    needs: &BTreeMap<String, Need>,
    stock: &BTreeMap<String, Result<T, String>>,
    has_key: impl Fn(&T, &str) -> bool,
) -> Result<Vec<T>, String> {
    let mut supplied = Vec::new();
    for (name, need) in needs {
        match stock.get(name) {
            Some(Ok(item)) => {
                if let Some(key) = need.keys.iter().find(|key| !has_key(item, key)) {
                    return Err(format!(
                        "its pod needs key {key:?} of {what} {name:?}, which has no such key"
                    ));
                }
                // It becomes a part of an address in a cluster: a slash would lead elsewhere.
                names::check_subdomain(&format!("{what} name"), name)?;
                supplied.push(item.clone());
            }
            Some(Err(reason)) if need.required => return Err(reason.clone()),
            None if need.required => {
                return Err(format!(
                    "its pod needs {what} {name:?}, which did not come with the configuration; \
                     create it or mark the reference as optional"
                ));
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(supplied)
}
