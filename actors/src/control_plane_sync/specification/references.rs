//! Which config maps and secrets a pod refers to, and their supply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, KeyToPath, PodSpec, Volume};

use super::contents::{Contents, Supply};
use super::{names, registries};
use crate::workload::{ConfigMap, RegistryCredentials, Secret};

/// Most bytes that the references of one pod may come to: each is a copy, in a variable or a file,
/// when the pod starts.
const MAX_COPIED: usize = 32 * 1024 * 1024;
const SECRET: &str = "secret";
/// Why a secret may be missing although it exists.
const ONLY_A_VOLUME: &str = "; a Flotta operator sends no secret that only a volume names: let envFrom \
    of a container name it, too";

/// All that a pod needs of one config map or secret.
#[derive(Debug, Default, PartialEq)]
struct Need {
    /// Some reference says that the pod cannot do without it.
    required: bool,
    /// Keys that the pod cannot do without.
    keys: BTreeSet<String>,
    /// How many references take all keys.
    whole: usize,
    /// How many take one key.
    single: BTreeMap<String, usize>,
    /// A volume names it, and no variable.
    by_volume_only: bool,
}

impl Need {
    /// Returns how many bytes the references copy of `item`.
    fn copied(&self, item: &impl Item) -> usize {
        let of_keys = self
            .single
            .iter()
            .map(|(key, times)| item.value(key).map_or(0, <[u8]>::len).saturating_mul(*times));
        of_keys.fold(item.size().saturating_mul(self.whole), usize::saturating_add)
    }
}

/// The config maps and the secrets of a pod.
type Supplied = (Vec<Arc<ConfigMap>>, Vec<Arc<Secret>>);

/// A config map or a secret.
trait Item {
    fn value(&self, key: &str) -> Option<&[u8]>;

    /// Returns the length of all values.
    fn size(&self) -> usize;
}

impl Item for ConfigMap {
    fn value(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(Vec::as_slice)
    }

    fn size(&self) -> usize {
        self.data.values().map(Vec::len).sum()
    }
}

impl Item for Secret {
    fn value(&self, key: &str) -> Option<&[u8]> {
        self.data.get(key).map(|value| value.expose().as_slice())
    }

    fn size(&self) -> usize {
        self.data.values().map(|value| value.expose().len()).sum()
    }
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
                let keys = Some(vec![&of.key]);
                need(&mut self.config_maps, &of.name, of.optional, keys, By::Variable);
            }
            if let Some(of) = &source.secret_key_ref {
                let keys = Some(vec![&of.key]);
                need(&mut self.secrets, &of.name, of.optional, keys, By::Variable);
            }
        }
        for source in container.env_from.iter().flatten() {
            if let Some(of) = &source.config_map_ref {
                need(&mut self.config_maps, &of.name, of.optional, None, By::Variable);
            }
            if let Some(of) = &source.secret_ref {
                need(&mut self.secrets, &of.name, of.optional, None, By::Variable);
            }
        }
    }

    fn add_volume(&mut self, volume: &Volume) {
        if let Some(of) = &volume.config_map {
            let keys = keys(of.items.as_ref());
            need(&mut self.config_maps, &of.name, of.optional, keys, By::Volume);
        }
        if let Some(of) = &volume.secret {
            let name = of.secret_name.as_deref().unwrap_or_default();
            need(&mut self.secrets, name, of.optional, keys(of.items.as_ref()), By::Volume);
        }
        let projected = volume.projected.iter();
        for source in projected.flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(of) = &source.config_map {
                let keys = keys(of.items.as_ref());
                need(&mut self.config_maps, &of.name, of.optional, keys, By::Volume);
            }
            if let Some(of) = &source.secret {
                let keys = keys(of.items.as_ref());
                need(&mut self.secrets, &of.name, of.optional, keys, By::Volume);
            }
        }
    }

    /// Returns the config maps and the secrets that the pod refers to, each in order of name.
    ///
    /// # Errors
    /// The first one that is missing or broken and not optional, or all are too large together.
    pub(super) fn contents(
        &self,
        namespace: &str,
        contents: Contents<'_>,
    ) -> Result<Supplied, String> {
        let mut left = MAX_COPIED;
        let (maps, secrets) = (&self.config_maps, &self.secrets);
        Ok((
            supply("config map", maps, namespace, contents.config_maps, &mut left)?,
            supply(SECRET, secrets, namespace, contents.secrets, &mut left)?,
        ))
    }

    /// Returns the credentials in the pod's `imagePullSecrets`. As in Kubernetes, a missing one is
    /// no error: the image may be there already, or be public.
    ///
    /// # Errors
    /// One that is there cannot be read.
    pub(super) fn pull_credentials(
        &self,
        namespace: &str,
        secrets: &Supply<Secret>,
    ) -> Result<BTreeMap<String, RegistryCredentials>, String> {
        let mut all = BTreeMap::new();
        for name in &self.pull_secrets {
            match secrets.find(namespace, name) {
                Some(Ok(secret)) => all.extend(registries::from_secret(secret)?),
                Some(Err(reason)) => return Err(reason.clone()),
                None => {}
            }
        }
        Ok(all)
    }
}

/// What names a config map or secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Variable,
    Volume,
}

/// Notes one reference: to `keys`, or to all of them.
fn need(
    needs: &mut BTreeMap<String, Need>,
    name: &str,
    optional: Option<bool>,
    keys: Option<Vec<&String>>,
    by: By,
) {
    let fresh = || Need { by_volume_only: true, ..Need::default() };
    let need = needs.entry(name.to_owned()).or_insert_with(fresh);
    need.by_volume_only &= by == By::Volume;
    need.required |= optional != Some(true);
    need.whole = need.whole.saturating_add(usize::from(keys.is_none()));
    for key in keys.into_iter().flatten() {
        let times = need.single.entry(key.clone()).or_default();
        *times = times.saturating_add(1);
        if optional != Some(true) {
            need.keys.insert(key.clone());
        }
    }
}

/// Returns the keys that a volume names, `None` when it takes all.
fn keys(items: Option<&Vec<KeyToPath>>) -> Option<Vec<&String>> {
    let items = items.filter(|items| !items.is_empty())?;
    Some(items.iter().map(|item| &item.key).collect())
}

/// Returns what `needs` name; takes what is copied of it from `left`.
fn supply<T: Item>(
    what: &str,
    needs: &BTreeMap<String, Need>,
    namespace: &str,
    stock: &Supply<T>,
    left: &mut usize,
) -> Result<Vec<Arc<T>>, String> {
    let mut supplied = Vec::new();
    for (name, need) in needs {
        match stock.find(namespace, name) {
            Some(Ok(item)) => {
                if let Some(key) = need.keys.iter().find(|key| item.value(key).is_none()) {
                    return Err(format!(
                        "its pod needs key {key:?} of {what} {name:?}, which has no such key"
                    ));
                }
                // It becomes a part of an address in a cluster: a slash would lead elsewhere.
                names::check_subdomain(&format!("{what} name"), name)?;
                *left = left.checked_sub(need.copied(&**item)).ok_or_else(|| {
                    format!(
                        "its variables and volumes copy more than {MAX_COPIED} bytes of config maps \
                         and secrets, with {what} {name:?}; name only the keys that it needs"
                    )
                })?;
                supplied.push(Arc::clone(item));
            }
            Some(Err(reason)) if need.required => return Err(reason.clone()),
            None if need.required => {
                let hint = if what == SECRET && need.by_volume_only { ONLY_A_VOLUME } else { "" };
                return Err(format!(
                    "its pod needs {what} {name:?}, which did not come with the configuration; \
                     create it or mark the reference as optional{hint}"
                ));
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(supplied)
}
