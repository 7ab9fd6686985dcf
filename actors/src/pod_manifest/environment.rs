//! A container's environment as plain values, in Kubernetes' order of precedence.

pub(super) mod downward;
pub(super) mod expansion;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource};

use super::{DEVICE_ID, ManifestError, device_id_env};
use crate::workload::Workload;
use downward::Downward;
use expansion::{MAX_EXPANDED, escaped, expanded};

/// The kernel gives no program a larger environment, in bytes, whatever its limits are.
const MAX_ENVIRONMENT: usize = 6 * 1024 * 1024;
pub(super) const CONFIG_MAP: &str = "config map";
pub(super) const SECRET: &str = "secret";
/// podman expands commands and arguments by itself from this version on.
const EXPANDING: (u32, u32) = (4, 7);

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

/// Writes the whole environment of `container` as plain values, the device's id last, and expands its
/// command and arguments by it.
pub(super) fn resolve(
    container: &mut Container,
    downward: Downward<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), ManifestError> {
    let resolver = Resolver { container: &container.name, downward };
    let values = resolver.all(container, warnings)?;
    let mut length = 0_usize;
    let mut expand = |text: &mut String, what: &str| {
        *text = resolver.expand(text, what, &values)?;
        length = length.saturating_add(text.len());
        if length > MAX_ENVIRONMENT {
            return Err(resolver.too_long("the command line", MAX_ENVIRONMENT));
        }
        resolver.check_text(text, what)
    };
    let mut command = container.command.clone();
    command.iter_mut().flatten().try_for_each(|text| expand(text, "command"))?;
    let mut args = container.args.clone();
    args.iter_mut().flatten().try_for_each(|text| expand(text, "args"))?;
    if downward.podman.version.is_some_and(|version| version >= EXPANDING) {
        let texts = command.iter_mut().chain(&mut args).flatten();
        texts.for_each(|text| *text = escaped(text));
    }
    for (name, value) in &values {
        resolver.check_text(value, &format!("variable {name}"))?;
    }
    let plain = values.into_iter().map(|(name, value)| EnvVar {
        name,
        value: Some(value),
        value_from: None,
    });
    let env = plain.chain([device_id_env(downward.device_id)]).collect();
    container.command = command;
    container.args = args;
    container.env = Some(env);
    container.env_from = None;
    Ok(())
}

struct Resolver<'a> {
    container: &'a str,
    downward: Downward<'a>,
}

impl Resolver<'_> {
    /// Refuses a text that podman would lose: it writes a manifest anew before it reads it, and the writer of YAML
    /// that it has breaks blocks of lines whose first begins with a blank or is empty.
    fn check_text(&self, text: &str, what: &str) -> Result<(), ManifestError> {
        if !is_lost(text) {
            return Ok(());
        }
        let (container, what) = (self.container.to_owned(), what.to_owned());
        Err(ManifestError::LostText { container, what })
    }

    /// Returns every variable but the device's id, in Kubernetes' order.
    fn all(
        &self,
        container: &Container,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<(String, String)>, ManifestError> {
        let mut values = self.imported(container, warnings)?;
        let mut length = 0_usize;
        for variable in container.env.iter().flatten() {
            let value = match &variable.value_from {
                None => {
                    let text = variable.value.as_deref().unwrap_or_default();
                    // It sees those before it, and itself as `envFrom` has it.
                    Some(self.expand(text, &format!("variable {}", variable.name), &values)?)
                }
                Some(source) => self.value(&variable.name, source)?,
            };
            if let Some(value) = value {
                length = length.saturating_add(value.len());
                if length > MAX_ENVIRONMENT {
                    return Err(self.too_long("the environment", MAX_ENVIRONMENT));
                }
                // The last of two entries counts, at the place of the last.
                values.retain(|(name, _)| *name != variable.name);
                values.push((variable.name.clone(), value));
            }
        }
        values.retain(|(name, _)| name != DEVICE_ID);
        Ok(values)
    }

    fn expand(
        &self,
        text: &str,
        what: &str,
        values: &[(String, String)],
    ) -> Result<String, ManifestError> {
        let value = |name: &str| match name {
            DEVICE_ID => Some(self.downward.device_id.as_str()),
            _ => values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()),
        };
        expanded(text, value).ok_or_else(|| self.too_long(what, MAX_EXPANDED))
    }

    fn too_long(&self, what: &str, limit: usize) -> ManifestError {
        let (container, what) = (self.container.to_owned(), what.to_owned());
        ManifestError::LongExpansion { container, what, limit }
    }

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
                maps.map(|source| {
                    let data = config_map(self.downward.workload, &source.name, source.optional)?;
                    // What is not text is from `binaryData`, of which no variables are made.
                    let is_text = |value: &[u8]| std::str::from_utf8(value).is_ok();
                    Ok(data
                        .map(|data| data.into_iter().filter(|(_, value)| is_text(value)).collect()))
                }),
                secrets.map(|source| secret(self.downward.workload, &source.name, source.optional)),
            ];
            for source in sources.into_iter().flatten() {
                let data: Option<BTreeMap<_, _>> = source?;
                for (key, value) in data.into_iter().flatten() {
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
            let data = config_map(self.downward.workload, &key.name, key.optional)?;
            return self.pick(variable, data, CONFIG_MAP, &key.name, &key.key, key.optional);
        }
        if let Some(key) = &source.secret_key_ref {
            let data = secret(self.downward.workload, &key.name, key.optional)?;
            return self.pick(variable, data, SECRET, &key.name, &key.key, key.optional);
        }
        let (asked, known) = match (&source.field_ref, &source.resource_field_ref) {
            (Some(field), _) => (&*field.field_path, self.downward.variable(&field.field_path)),
            (None, Some(field)) => {
                (&*field.resource, self.downward.resource(field, self.container))
            }
            (None, None) => ("a value of unknown kind", None),
        };
        known.map(Some).ok_or_else(|| ManifestError::VariableSource {
            container: self.container.to_owned(),
            variable: variable.to_owned(),
            field: asked.to_owned(),
        })
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

    fn text(&self, variable: &str, value: &[u8]) -> Result<String, ManifestError> {
        let text = std::str::from_utf8(value).ok();
        text.filter(|text| !text.contains('\0')).map(str::to_owned).ok_or_else(|| {
            ManifestError::NotText {
                container: self.container.to_owned(),
                variable: variable.to_owned(),
            }
        })
    }
}

/// Returns whether podman's writer of YAML would break the text. It writes in quotes, and keeps, what has a blank
/// before the end of a line, or a character that is not for printing.
fn is_lost(text: &str) -> bool {
    let is_quoted = |it: char| it > '\u{ffff}' || it.is_control() && !matches!(it, '\n' | '\t');
    text.contains('\n')
        && text.starts_with([' ', '\t', '\n', '\u{2028}'])
        && !(text.contains(" \n") || text.ends_with(' ') || text.contains(is_quoted))
}

/// Kubernetes takes any printable ASCII but `=`, and skips other keys of an import.
fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| (' '..='~').contains(&c) && c != '=')
}
