//! References of a pod to config maps and secrets, and their new names.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, PodSpec, Volume};

/// Names of the objects that a workload brings with it, under which its pod refers to them.
pub(super) struct Brought<'a> {
    pub(super) config_maps: BTreeSet<&'a str>,
    pub(super) secrets: BTreeSet<&'a str>,
}

/// Gives every reference to a brought object the name that `rename` makes of it. References to
/// others, which the cluster has of its own, stay.
pub(super) fn rename(pod: &mut PodSpec, brought: &Brought<'_>, rename: impl Fn(&str) -> String) {
    let renaming =
        Renaming { config_maps: &brought.config_maps, secrets: &brought.secrets, rename: &rename };
    for volume in pod.volumes.iter_mut().flatten() {
        renaming.volume(volume);
    }
    for secret in pod.image_pull_secrets.iter_mut().flatten() {
        renaming.secret(&mut secret.name);
    }
    let init = pod.init_containers.iter_mut().flatten();
    for container in init.chain(&mut pod.containers) {
        for variable in container.env.iter_mut().flatten() {
            renaming.variable(variable);
        }
        for source in container.env_from.iter_mut().flatten() {
            renaming.variables(source);
        }
    }
}

struct Renaming<'a> {
    config_maps: &'a BTreeSet<&'a str>,
    secrets: &'a BTreeSet<&'a str>,
    rename: &'a dyn Fn(&str) -> String,
}

impl Renaming<'_> {
    fn config_map(&self, name: &mut String) {
        if self.config_maps.contains(name.as_str()) {
            *name = (self.rename)(name);
        }
    }

    fn secret(&self, name: &mut String) {
        if self.secrets.contains(name.as_str()) {
            *name = (self.rename)(name);
        }
    }

    fn volume(&self, volume: &mut Volume) {
        if let Some(source) = &mut volume.config_map {
            self.config_map(&mut source.name);
        }
        if let Some(name) = volume.secret.as_mut().and_then(|source| source.secret_name.as_mut()) {
            self.secret(name);
        }
        let projected = volume.projected.iter_mut();
        for source in projected.flat_map(|source| source.sources.iter_mut().flatten()) {
            if let Some(source) = &mut source.config_map {
                self.config_map(&mut source.name);
            }
            if let Some(source) = &mut source.secret {
                self.secret(&mut source.name);
            }
        }
    }

    fn variable(&self, variable: &mut EnvVar) {
        let Some(source) = &mut variable.value_from else {
            return;
        };
        if let Some(source) = &mut source.config_map_key_ref {
            self.config_map(&mut source.name);
        }
        if let Some(source) = &mut source.secret_key_ref {
            self.secret(&mut source.name);
        }
    }

    fn variables(&self, source: &mut EnvFromSource) {
        if let Some(source) = &mut source.config_map_ref {
            self.config_map(&mut source.name);
        }
        if let Some(source) = &mut source.secret_ref {
            self.secret(&mut source.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn references_to_brought_objects_are_renamed_wherever_they_stand_and_others_stay() {
        let pod = |ours: &str, also_ours: &str| -> Value {
            let container = json!({
                "name": "c",
                "env": [
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": ours, "key": "k"}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": also_ours, "key": "k"}}},
                    {"name": "C", "valueFrom": {"secretKeyRef": {"name": "foreign", "key": "k"}}},
                    {"name": "D", "value": "map"},
                ],
                "envFrom": [
                    {"configMapRef": {"name": ours}},
                    {"secretRef": {"name": also_ours}},
                    {"configMapRef": {"name": "secret"}},
                ],
            });
            json!({
                "containers": [container.clone()],
                "initContainers": [container],
                "imagePullSecrets": [{"name": also_ours}, {"name": "foreign"}],
                "volumes": [
                    {"name": "map", "configMap": {"name": ours}},
                    {"name": "s", "secret": {"secretName": also_ours}},
                    {"name": "f", "secret": {"secretName": "map"}},
                    {"name": "p", "projected": {"sources": [
                        {"configMap": {"name": ours}},
                        {"secret": {"name": also_ours}},
                    ]}},
                ],
            })
        };
        let mut spec: PodSpec = serde_json::from_value(pod("map", "secret")).unwrap();
        let brought = Brought { config_maps: ["map"].into(), secrets: ["secret"].into() };
        rename(&mut spec, &brought, |name| format!("web-1-{name}"));
        assert_eq!(serde_json::to_value(spec).unwrap(), pod("web-1-map", "web-1-secret"));
    }
}
