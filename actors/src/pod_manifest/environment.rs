//! A container's environment as plain values, in Kubernetes' order of precedence.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource};

use super::{DEVICE_ID, ManifestError, device_id_env};
use crate::workload::{DeviceId, Workload};

const CONFIG_MAP: &str = "config map";
const SECRET: &str = "secret";

/// Finds the contents of the config map `name` that came with `workload`.
pub(super) fn config_map<'a>(
    workload: &'a Workload,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<BTreeMap<&'a str, &'a [u8]>>, ManifestError> {
    let found = workload.config_maps.iter().find(|map| map.name == name);
    let data = found.map(|map| {
        let entries = map.data.iter();
        entries.map(|(key, value)| (key.as_str(), value.as_slice()))
    });
    present(data.map(Iterator::collect), CONFIG_MAP, name, optional)
}

/// Finds the contents of the secret `name` that came with `workload`.
pub(super) fn secret<'a>(
    workload: &'a Workload,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<BTreeMap<&'a str, &'a [u8]>>, ManifestError> {
    let found = workload.secrets.iter().find(|secret| secret.name == name);
    let data = found.map(|secret| {
        let entries = secret.data.iter();
        entries.map(|(key, value)| (key.as_str(), value.expose().as_slice()))
    });
    present(data.map(Iterator::collect), SECRET, name, optional)
}

fn present<T>(
    found: Option<T>,
    kind: &'static str,
    name: &str,
    optional: Option<bool>,
) -> Result<Option<T>, ManifestError> {
    if found.is_none() && !optional.unwrap_or(false) {
        let name = name.to_owned();
        return Err(ManifestError::Missing { kind, name });
    }
    Ok(found)
}

/// Returns the whole environment of `container`, the device's id last.
pub(super) fn resolve(
    container: &Container,
    workload: &Workload,
    device_id: &DeviceId,
    warnings: &mut Vec<String>,
) -> Result<Vec<EnvVar>, ManifestError> {
    let resolver = Resolver { container: &container.name, workload, device_id };
    let mut values = resolver.imported(container, warnings)?;
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(variable.value.clone().unwrap_or_default()),
            Some(source) => resolver.value(&variable.name, source)?,
        };
        if let Some(value) = value {
            // The last of two entries counts, at the place of the last.
            values.retain(|(name, _)| *name != variable.name);
            values.push((variable.name.clone(), value));
        }
    }
    values.retain(|(name, _)| name != DEVICE_ID);
    let plain = values.into_iter().map(|(name, value)| EnvVar {
        name,
        value: Some(value),
        value_from: None,
    });
    Ok(plain.chain([device_id_env(device_id)]).collect())
}

struct Resolver<'a> {
    container: &'a str,
    workload: &'a Workload,
    device_id: &'a DeviceId,
}

impl Resolver<'_> {
    /// Returns what `envFrom` brings.
    fn imported(
        &self,
        container: &Container,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<(String, String)>, ManifestError> {
        let mut values = Vec::<(String, String)>::new();
        for import in container.env_from.iter().flatten() {
            let prefix = import.prefix.as_deref().unwrap_or_default();
            let maps = import.config_map_ref.as_ref();
            let secrets = import.secret_ref.as_ref();
            let sources = [
                maps.map(|source| config_map(self.workload, &source.name, source.optional)),
                secrets.map(|source| secret(self.workload, &source.name, source.optional)),
            ];
            for source in sources.into_iter().flatten() {
                for (key, value) in source?.into_iter().flatten() {
                    let name = format!("{prefix}{key}");
                    if !is_variable(&name) {
                        let container = self.container;
                        warnings.push(format!(
                            "container {container}: key {name} is no name for a variable"
                        ));
                        continue;
                    }
                    let value = self.text(&name, value)?;
                    values.retain(|(known, _)| *known != name);
                    values.push((name, value));
                }
            }
        }
        Ok(values)
    }

    /// Returns the value that `source` names; `None` when it may be absent and is.
    fn value(
        &self,
        variable: &str,
        source: &EnvVarSource,
    ) -> Result<Option<String>, ManifestError> {
        if let Some(key) = &source.config_map_key_ref {
            let data = config_map(self.workload, &key.name, key.optional)?;
            return self.pick(variable, data, CONFIG_MAP, &key.name, &key.key, key.optional);
        }
        if let Some(key) = &source.secret_key_ref {
            let data = secret(self.workload, &key.name, key.optional)?;
            return self.pick(variable, data, SECRET, &key.name, &key.key, key.optional);
        }
        if let Some(field) = &source.field_ref {
            return self.field(variable, &field.field_path).map(Some);
        }
        let resource = source.resource_field_ref.as_ref();
        let field = resource.map_or("a value of unknown kind", |field| field.resource.as_str());
        Err(self.unknown(variable, field))
    }

    fn pick(
        &self,
        variable: &str,
        data: Option<BTreeMap<&str, &[u8]>>,
        kind: &'static str,
        name: &str,
        key: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>, ManifestError> {
        let value = data.as_ref().and_then(|data| data.get(key));
        match value {
            Some(value) => self.text(variable, value).map(Some),
            None if optional.unwrap_or(false) => Ok(None),
            None => {
                Err(ManifestError::MissingKey { kind, name: name.to_owned(), key: key.to_owned() })
            }
        }
    }

    /// Returns the fields of the downward API that are known before the pod is made.
    fn field(&self, variable: &str, path: &str) -> Result<String, ManifestError> {
        let keyed =
            |map: &BTreeMap<String, String>, key: &str| map.get(key).cloned().unwrap_or_default();
        let inner = |prefix| {
            let rest = path.strip_prefix(prefix)?;
            let rest = rest.strip_suffix("']")?;
            Some(rest)
        };
        let known = match path {
            "metadata.name" => Some(self.workload.id.as_str().to_owned()),
            "metadata.namespace" => Some(self.workload.namespace.clone()),
            "spec.nodeName" => Some(self.device_id.as_str().to_owned()),
            _ => inner("metadata.labels['").map(|key| keyed(&self.workload.labels, key)).or_else(
                || {
                    inner("metadata.annotations['")
                        .map(|key| keyed(&self.workload.annotations, key))
                },
            ),
        };
        known.ok_or_else(|| self.unknown(variable, path))
    }

    fn text(&self, variable: &str, value: &[u8]) -> Result<String, ManifestError> {
        let text = std::str::from_utf8(value).ok();
        text.filter(|text| !text.contains('\0')).map(str::to_owned).ok_or_else(|| {
            ManifestError::NotText {
                container: self.container.to_owned(),
                variable: variable.to_owned(),
            }
        })
    }

    fn unknown(&self, variable: &str, field: &str) -> ManifestError {
        ManifestError::VariableSource {
            container: self.container.to_owned(),
            variable: variable.to_owned(),
            field: field.to_owned(),
        }
    }
}

/// Kubernetes takes any printable ASCII but `=`, and skips other keys of an import.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| (' '..='~').contains(&c) && c != '=')
}
