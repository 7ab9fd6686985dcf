//! Lays flags over variables over the file: which text counts for which setting.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::{self, Entry, Written};
use super::problems::{Problem, Source, Warning};
use crate::settings::{self, Kind, Setting, VARIABLE_PREFIX};

/// Likeness from which an unknown key is taken for a misspelt one.
const MISSPELT: f64 = 0.75;

/// Everything that a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Flags of the command line.
    pub flags: Vec<(&'static Setting, String)>,
    /// The environment, as far as it is of use.
    pub environment: Vec<(String, String)>,
    /// The configuration file, if one was named.
    pub file: Option<PathBuf>,
}

/// The text that counts for a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spelt {
    pub(super) text: String,
    pub(super) source: Source,
}

/// What was written, by key of the table. A setting that is not written anywhere is absent.
pub(super) type Layers = BTreeMap<&'static str, Spelt>;

impl Sources {
    /// Returns a variable of the environment that is not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Reads all sources. An empty value counts as not written.
    pub(super) fn read(&self, problems: &mut Vec<Problem>, warnings: &mut Vec<Warning>) -> Layers {
        let mut layers = Layers::new();
        if let Some(path) = &self.file {
            match file::read(path, problems) {
                Ok(entries) => {
                    for entry in entries {
                        read_entry(entry, &mut layers, problems, warnings);
                    }
                }
                Err(error) => {
                    let source = Source::File { path: path.clone(), line: None };
                    problems.push(Problem::new("", source, error.to_string()));
                }
            }
        }
        for (name, value) in &self.environment {
            let Some(key) = name.strip_prefix(VARIABLE_PREFIX) else {
                continue;
            };
            let source = Source::Variable(name.clone());
            match settings::find(key) {
                Some(setting) => lay(&mut layers, setting, value.clone(), source),
                None => warnings.push(unknown(name, source, VARIABLE_PREFIX)),
            }
        }
        for (setting, value) in &self.flags {
            let source = Source::Flag(format!("--{}", setting.flag()));
            lay(&mut layers, setting, value.clone(), source);
        }
        layers
    }
}

fn lay(layers: &mut Layers, setting: &Setting, text: String, source: Source) {
    let text = text.trim();
    if !text.is_empty() {
        let text = text.to_owned();
        layers.insert(setting.key, Spelt { text, source });
    }
}

fn read_entry(
    entry: Entry,
    layers: &mut Layers,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Warning>,
) {
    let Some(setting) = settings::find(&entry.key) else {
        warnings.push(unknown(&entry.key, entry.source, ""));
        return;
    };
    match (entry.value, setting.kind) {
        (Written::Empty, _) => {}
        (Written::Scalar(text), _) => lay(layers, setting, text, entry.source),
        (Written::List(items), Kind::Addresses | Kind::Hosts) => {
            lay(layers, setting, items.join(","), entry.source);
        }
        (Written::List(items), Kind::Conditions) => {
            lay(layers, setting, items.join(";"), entry.source);
        }
        (Written::List(_), _) => {
            problems.push(Problem::new(setting.key, entry.source, "is a list; write one value"))
        }
        (Written::Nested, _) => problems.push(Problem::new(
            setting.key,
            entry.source,
            format!("is nested; write {}: value", setting.key),
        )),
    }
}

fn unknown(name: &str, source: Source, prefix: &str) -> Warning {
    let key = name.strip_prefix(prefix).unwrap_or(name);
    let message = match nearest(key) {
        Some(near) => format!("is no setting and was ignored; did you mean {prefix}{near}?"),
        None => "is no setting and was ignored; --help lists all".to_owned(),
    };
    Warning(Problem::new(name, source, message))
}

/// Returns the key most like `key`, if one is like enough.
fn nearest(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_uppercase().replace('-', "_");
    settings::ALL
        .iter()
        .map(|setting| (strsim::jaro_winkler(&key, setting.key), setting.key))
        .filter(|(likeness, _)| *likeness >= MISSPELT)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_is_matched_with_the_nearest() {
        for (key, near) in [
            ("LOGLEVEL", Some("LOG_LEVEL")),
            ("SEVER", Some("SERVER")),
            ("server-url", Some("SERVER")),
            ("device", Some("DEVICE_ID")),
            ("KUBE_CONFIG", Some("KUBECONFIG")),
            ("CERTIFICATE", Some("CERT")),
            ("wibble", None),
        ] {
            assert_eq!(nearest(key), near, "{key}");
        }
    }
}
