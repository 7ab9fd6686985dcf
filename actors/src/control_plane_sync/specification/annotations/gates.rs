//! What holds a workload back, as annotations: profiles, cron, and whose podman runs it. A file of
//! Kubernetes' own kinds has no other place for them.

use crate::control_plane_sync::specification::profiles::{self, ProfileDraft};
use crate::yaml::{self, Budget, Unread};

/// Longest list of profiles, in bytes.
const MAX_PROFILES: usize = 10_000;

/// The gates of a workload: those of its fields at first, then those of its annotations as well.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Gates {
    pub(in super::super) profiles: Vec<ProfileDraft>,
    pub(in super::super) cron: Option<String>,
    pub(in super::super) rootless: bool,
}

/// Annotations of one kind: their key, and the value that they have.
pub(super) struct Given {
    pub(super) key: &'static str,
    pub(super) text: Option<String>,
}

impl Gates {
    /// Adds what the annotations say.
    ///
    /// # Errors
    /// One of them cannot be read, or differs from the field.
    pub(super) fn add(
        mut self,
        profiles: Given,
        cron: Given,
        rootless: Given,
    ) -> Result<Self, String> {
        if let Some(text) = profiles.text {
            let wrong = |reason: String| format!("its annotation {:?} {reason}", profiles.key);
            let read = read_profiles(&text).map_err(wrong)?;
            let is_same = || Ok(self.profiles.is_empty() || same(&self.profiles, &read)?);
            if !is_same().map_err(wrong)? {
                return Err(differ("profiles", profiles.key));
            }
            self.profiles = read;
        }
        if let Some(text) = cron.text {
            let text = text.trim().to_owned();
            let field = self.cron.as_deref().map(str::trim).filter(|field| !field.is_empty());
            if text.is_empty() {
                return Err(format!("its annotation {:?} says nothing", cron.key));
            }
            if field.is_some_and(|field| field != text) {
                return Err(differ("cron", cron.key));
            }
            self.cron = Some(text);
        }
        match rootless.text.as_deref().map(str::trim) {
            None => {}
            Some("true") => self.rootless = true,
            Some("false") if self.rootless => return Err(differ("rootless", rootless.key)),
            Some("false") => {}
            Some(_) => {
                return Err(format!(
                    "its annotation {:?} is neither \"true\" nor \"false\"",
                    rootless.key
                ));
            }
        }
        Ok(self)
    }
}

fn differ(field: &str, key: &str) -> String {
    format!("its {field} and its annotation {key:?} differ; leave one of them out")
}

/// Reads a list of profiles, as YAML or JSON. A key that is not known might be the gate.
pub(super) fn read_profiles(text: &str) -> Result<Vec<ProfileDraft>, String> {
    let help = "; write it as the field profiles, such as [{name: load, conditions: [calm]}]";
    if text.len() > MAX_PROFILES {
        return Err(format!("is longer than {MAX_PROFILES} bytes"));
    }
    let read = yaml::only(text, &mut Budget::of_file());
    let read = read.and_then(|document| document.read::<Vec<Option<ProfileDraft>>>());
    let (list, unread) = read.map_err(|error| format!("is no list of profiles: {error}{help}"))?;
    let mut unknown = unread.iter().filter(|key| matches!(key.what, Unread::Unknown(_)));
    if let Some(key) = unknown.next() {
        return Err(format!("has a key that is not known, {}{help}", key.path));
    }
    let profiles: Vec<_> = list.into_iter().flatten().collect();
    // Nobody writes an annotation to say nothing.
    if profiles.is_empty() { Err(format!("says nothing{help}")) } else { Ok(profiles) }
}

fn same(one: &[ProfileDraft], other: &[ProfileDraft]) -> Result<bool, String> {
    let read = |drafts: &[ProfileDraft]| profiles::references(drafts.to_vec());
    Ok(read(one)? == read(other)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(fields: Gates, texts: [Option<&str>; 3]) -> Result<Gates, String> {
        let given = |key, text: Option<&str>| Given { key, text: text.map(str::to_owned) };
        let [profiles, cron, rootless] = texts;
        fields.add(given("p", profiles), given("c", cron), given("r", rootless))
    }

    fn field(profiles: &str, cron: Option<&str>, rootless: bool) -> Gates {
        let profiles = yaml::from_str(profiles).unwrap();
        Gates { profiles, cron: cron.map(str::to_owned), rootless }
    }

    #[test]
    fn a_gate_is_a_field_or_an_annotation_or_both_alike() {
        let load = "[{name: load, conditions: [calm]}]";
        let same = "[{\"name\": \"load\", \"conditions\": [{\"name\": \"calm\"}]}]";
        for (fields, texts, expected) in [
            (Gates::default(), [None, None, None], (0, None, false)),
            (field(load, Some("@daily"), true), [None, None, None], (1, Some("@daily"), true)),
            (
                Gates::default(),
                [Some(load), Some(" @daily "), Some("true")],
                (1, Some("@daily"), true),
            ),
            (
                field(load, Some("@daily "), true),
                [Some(same), Some("@daily"), Some("true")],
                (1, Some("@daily"), true),
            ),
            (Gates::default(), [None, None, Some("false")], (0, None, false)),
            (
                field("[]", Some(""), false),
                [None, Some("@daily"), None],
                (0, Some("@daily"), false),
            ),
        ] {
            let gates = added(fields, texts).unwrap();
            let told = (gates.profiles.len(), gates.cron.as_deref(), gates.rootless);
            assert_eq!(told, expected, "{texts:?}");
        }
    }

    #[test]
    fn an_annotation_that_would_lose_a_gate_is_refused() {
        let load = "[{name: load, conditions: [calm]}]";
        for (fields, texts, reason) in [
            (Gates::default(), [Some("load"), None, None], "\"p\" is no list of profiles"),
            (Gates::default(), [Some("[]"), None, None], "\"p\" says nothing"),
            (Gates::default(), [Some(""), None, None], "\"p\" says nothing"),
            (
                Gates::default(),
                [Some("[{name: load, condition: [calm]}]"), None, None],
                "a key that is not known, [0].condition",
            ),
            (field(load, None, false), [Some("[{name: load}]"), None, None], "profiles and"),
            (Gates::default(), [None, Some(" "), None], "\"c\" says nothing"),
            (field("[]", Some("@daily"), false), [None, Some("@hourly"), None], "its cron and"),
            (Gates::default(), [None, None, Some("yes")], "neither \"true\" nor \"false\""),
            (field("[]", None, true), [None, None, Some("false")], "its rootless and"),
        ] {
            let found = added(fields, texts).unwrap_err();
            assert!(found.contains(reason), "{texts:?}: {found}");
        }
        let long = format!("[{{name: {}}}]", "x".repeat(MAX_PROFILES));
        assert!(added(Gates::default(), [Some(&long), None, None]).is_err());
    }
}
