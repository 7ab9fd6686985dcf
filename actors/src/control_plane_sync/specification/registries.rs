//! Registry credentials as docker and podman keep them in an `auth.json`.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use super::contents::BASE64;
use crate::workload::{Confidential, RegistryCredentials, Secret};

/// The keys of a pull secret, the present one and the one of old.
const PULL_SECRET_KEYS: [&str; 2] = [".dockerconfigjson", ".dockercfg"];

#[derive(Deserialize)]
struct Entry {
    auth: Option<Confidential<String>>,
    username: Option<String>,
    password: Option<Confidential<String>>,
}

/// Reads the credentials in the content of an `auth.json`, by registry. Entries without any, as
/// credential helpers leave them, are left out.
///
/// # Errors
/// What is wrong with it; no credential is quoted.
pub(super) fn from_auth_file(text: &str) -> Result<BTreeMap<String, RegistryCredentials>, String> {
    let wrong = "its registry credentials (imageRegistries) are not a docker auth.json";
    let file: Value = serde_json::from_str(text).map_err(|error| {
        format!(
            "{wrong}: no JSON from line {} column {}",
            error.line(),
            error.column()
        )
    })?;
    let auths = match file {
        Value::Object(mut object) => match object.remove("auths") {
            Some(Value::Object(auths)) => auths,
            Some(Value::Null) => return Ok(BTreeMap::new()),
            Some(_) => return Err(format!("{wrong}: \"auths\" is not an object")),
            // The file of old was the object itself.
            None => object,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(format!("{wrong}: it is not an object"));
        }
    };
    let mut registries = BTreeMap::new();
    for (registry, entry) in auths {
        let entry = credentials(entry)
            .map_err(|reason| format!("{wrong}: the entry of {registry:?} {reason}"))?;
        registries.extend(entry.map(|credentials| (host(&registry), credentials)));
    }
    Ok(registries)
}

/// Reads the credentials in a Secret of type `kubernetes.io/dockerconfigjson`.
///
/// # Errors
/// The secret holds none, or they cannot be read.
pub(crate) fn from_secret(
    secret: &Secret,
) -> Result<BTreeMap<String, RegistryCredentials>, String> {
    let content = PULL_SECRET_KEYS
        .iter()
        .find_map(|key| secret.data.get(*key))
        .ok_or_else(|| format!("secret {:?} has no key \".dockerconfigjson\"", secret.name))?;
    let text = std::str::from_utf8(content.expose()).map_err(|_| {
        format!(
            "\".dockerconfigjson\" of secret {:?} is not text",
            secret.name
        )
    })?;
    from_auth_file(text)
}

fn credentials(entry: Value) -> Result<Option<RegistryCredentials>, String> {
    let entry: Option<Entry> = super::decoding::json(entry)?;
    let Some(entry) = entry else { return Ok(None) };
    if let Some(auth) = entry.auth.filter(|auth| !auth.expose().is_empty()) {
        let plain = BASE64
            .decode(auth.expose().trim())
            .map(Confidential::new)
            .map_err(|_| "has an \"auth\" that is not base64".to_owned())?;
        let (username, password) = std::str::from_utf8(plain.expose())
            .ok()
            .and_then(|plain| plain.split_once(':'))
            .ok_or("has an \"auth\" that is not user:password")?;
        return Ok(Some(RegistryCredentials {
            username: username.to_owned(),
            // Docker pads some passwords with zeros.
            password: Confidential::new(password.trim_end_matches('\0').to_owned()),
        }));
    }
    Ok(entry
        .username
        .zip(entry.password)
        .map(|(username, password)| RegistryCredentials { username, password }))
}

/// Docker keys its entries by URL, podman by host and path: the latter is what images start with.
fn host(registry: &str) -> String {
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| registry.strip_prefix(scheme))
        .unwrap_or(registry)
        .trim_end_matches('/');
    let host = ["/v1", "/v2"]
        .iter()
        .find_map(|version| host.strip_suffix(version))
        .unwrap_or(host);
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String, String)>, String> {
        let registries = from_auth_file(text)?;
        Ok(registries
            .into_iter()
            .map(|(registry, c)| (registry, c.username, c.password.expose().clone()))
            .collect())
    }

    #[test]
    fn every_usual_shape_is_read() {
        let cases = [
            (
                r#"{"auths":{"127.0.0.1:5000":{"auth":"dXNlcjpwYXNz"}}}"#,
                "127.0.0.1:5000",
            ),
            (
                r#"{"auths":{"quay.io/team":{"auth":"dXNlcjpwYXNz","email":"x"}}}"#,
                "quay.io/team",
            ),
            (
                r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz"}}}"#,
                "docker.io",
            ),
            (
                r#"{"auths":{"https://r.example/v2/":{"username":"user","password":"pass"}}}"#,
                "r.example",
            ),
            (r#"{"r.example":{"auth":"dXNlcjpwYXNz"}}"#, "r.example"),
        ];
        for (text, registry) in cases {
            let expected = vec![(registry.to_owned(), "user".to_owned(), "pass".to_owned())];
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_password_may_hold_colons_and_padding_may_be_missing() {
        let read = read(r#"{"auths":{"a":{"auth":"dTphOmI6Yw"}}}"#).unwrap();
        assert_eq!(read, [("a".into(), "u".into(), "a:b:c".into())]);
    }

    #[test]
    fn entries_without_credentials_are_left_out() {
        for text in [
            r#"{"auths":{"a":{}}}"#,
            r#"{"auths":{"a":null}}"#,
            r#"{"auths":null}"#,
            r#"{"auths":{}}"#,
            "{}",
        ] {
            assert_eq!(read(text), Ok(vec![]), "{text}");
        }
    }

    #[test]
    fn a_broken_file_is_refused_and_not_quoted() {
        for text in [
            "hunter2",
            r#"{"auths":"hunter2"}"#,
            r#"{"auths":{"a":"hunter2"}}"#,
            r#"{"auths":{"a":{"auth":"hunter2!"}}}"#,
            r#"{"auths":{"a":{"auth":["hunter2"]}}}"#,
            r#"{"auths":{"a":{"auth":"aHVudGVyMg=="}}}"#,
        ] {
            let reason = read(text).unwrap_err();
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
