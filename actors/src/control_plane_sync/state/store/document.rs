//! What a stored configuration is made of: what many workloads refer to is in it once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::workload::{Confidential, ConfigMap, Configuration, Secret, Workload};

/// The configuration, without what its workloads refer to, and that beside it.
#[derive(Serialize, Deserialize)]
pub(super) struct Document<C> {
    configuration: C,
    config_maps: Vec<Brought>,
    secrets: Vec<Brought>,
    /// For each workload, in their order.
    references: Vec<References>,
    /// For what each update replaced, likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    references_of_previous: Vec<References>,
}

/// A config map or a secret; its values in base64.
#[derive(Serialize, Deserialize)]
struct Brought {
    name: String,
    data: BTreeMap<String, Confidential<String>>,
}

/// Places in the lists of the document.
#[derive(Serialize, Deserialize)]
struct References {
    config_maps: Vec<usize>,
    secrets: Vec<usize>,
}

/// Finds the place of each different thing.
struct Places<'a, T> {
    list: Vec<&'a T>,
    by_address: HashMap<*const T, usize>,
}

impl<'a, T> Places<'a, T> {
    fn of(&mut self, item: &'a Arc<T>) -> usize {
        let Self { list, by_address } = self;
        *by_address.entry(Arc::as_ptr(item)).or_insert_with(|| {
            list.push(item);
            list.len().saturating_sub(1)
        })
    }
}

impl<'a> Document<&'a Configuration> {
    pub(super) fn of(configuration: &'a Configuration) -> Self {
        let mut maps = Places { list: Vec::new(), by_address: HashMap::new() };
        let mut secrets = Places { list: Vec::new(), by_address: HashMap::new() };
        let mut references = |workload: &'a Arc<Workload>| References {
            config_maps: workload.config_maps.iter().map(|map| maps.of(map)).collect(),
            secrets: workload.secrets.iter().map(|secret| secrets.of(secret)).collect(),
        };
        let of_workloads = configuration.workloads.iter().map(&mut references).collect();
        let references_of_previous = configuration.updates.previous().map(references).collect();
        let secret_data = |secret: &'a Secret| secret.data.iter().map(|(k, v)| (k, v.expose()));
        Self {
            configuration,
            config_maps: maps
                .list
                .into_iter()
                .map(|map| Brought::new(&map.name, map.data.iter()))
                .collect(),
            secrets: secrets
                .list
                .into_iter()
                .map(|secret| Brought::new(&secret.name, secret_data(secret)))
                .collect(),
            references: of_workloads,
            references_of_previous,
        }
    }
}

impl Document<Configuration> {
    /// Returns the whole configuration; `None` when something in it refers to what is not there.
    pub(super) fn into_configuration(mut self) -> Option<Configuration> {
        let maps: Vec<_> = self.config_maps.into_iter().map(Brought::config_map).collect();
        let secrets: Vec<_> = self.secrets.into_iter().map(Brought::secret).collect();
        let Configuration { workloads, updates, .. } = &mut self.configuration;
        let all = [
            (workloads.len(), &self.references),
            (updates.previous().count(), &self.references_of_previous),
        ];
        if all.iter().any(|(count, references)| *count != references.len()) {
            return None;
        }
        let previous = updates.0.values_mut().filter_map(|update| update.previous.as_mut());
        let references = self.references.into_iter().chain(self.references_of_previous);
        for (workload, references) in workloads.iter_mut().chain(previous).zip(references) {
            // Nothing else has it yet.
            let workload = Arc::get_mut(workload)?;
            workload.config_maps = pick(references.config_maps, &maps)?;
            workload.secrets = pick(references.secrets, &secrets)?;
        }
        Some(self.configuration)
    }
}

fn pick<T>(places: Vec<usize>, from: &[Option<Arc<T>>]) -> Option<Vec<Arc<T>>> {
    places.into_iter().map(|place| from.get(place)?.clone()).collect()
}

impl Brought {
    fn new<'a>(name: &str, data: impl Iterator<Item = (&'a String, &'a Vec<u8>)>) -> Self {
        let encode = |value| Confidential::new(STANDARD.encode(value));
        Self {
            name: name.to_owned(),
            data: data.map(|(key, value)| (key.clone(), encode(value))).collect(),
        }
    }

    fn config_map(self) -> Option<Arc<ConfigMap>> {
        let decode = |(key, value): (_, Confidential<String>)| {
            Some((key, STANDARD.decode(value.expose()).ok()?))
        };
        let data = self.data.into_iter().map(decode).collect::<Option<_>>()?;
        Some(Arc::new(ConfigMap { name: self.name, data }))
    }

    fn secret(self) -> Option<Arc<Secret>> {
        let decode = |(key, value): (_, Confidential<String>)| {
            Some((key, Confidential::new(STANDARD.decode(value.expose()).ok()?)))
        };
        let data = self.data.into_iter().map(decode).collect::<Option<_>>()?;
        Some(Arc::new(Secret { name: self.name, data }))
    }
}
