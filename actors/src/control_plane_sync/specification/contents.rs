//! Config maps and secrets that are at hand for workloads.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use k8s_openapi::api::core::v1;
use serde_json::Value;

use crate::workload::{Confidential, ConfigMap, Secret};

/// Standard base64; a padding that an author forgot is forgiven.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Config maps and secrets by name, each readable or with the reason why it is not: a broken one
/// concerns only those workloads that refer to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) config_maps: BTreeMap<String, Result<ConfigMap, String>>,
    pub(crate) secrets: BTreeMap<String, Result<Secret, String>>,
}

/// Converts a Kubernetes ConfigMap; one without a name cannot be referred to and is `None`.
pub(crate) fn config_map(source: v1::ConfigMap) -> Option<ConfigMap> {
    let name = source.metadata.name.filter(|name| !name.is_empty())?;
    let text = source.data.into_iter().flatten();
    let binary = source.binary_data.into_iter().flatten();
    Some(ConfigMap {
        name,
        data: text
            .map(|(key, value)| (key, value.into_bytes()))
            .chain(binary.map(|(key, value)| (key, value.0)))
            .collect(),
    })
}

/// Reads the protocol's form of a secret's data: an object of key → base64, or that object as text.
///
/// # Errors
/// What is wrong with it; no value is quoted.
pub(crate) fn decode_secret(name: &str, data: &Value) -> Result<Secret, String> {
    let not_an_object = || format!("the data of secret {name:?} is not an object");
    let parsed;
    let data = match data {
        Value::Null => None,
        Value::Object(data) => Some(data),
        Value::String(text) => {
            parsed = object(text).ok_or_else(not_an_object)?;
            parsed.as_ref()
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(not_an_object()),
    };
    let decode = |(key, value): (&String, &Value)| {
        let encoded = value.as_str().unwrap_or_default();
        match BASE64.decode(encoded.trim()) {
            Ok(bytes) if value.is_string() || value.is_null() => {
                Ok((key.clone(), Confidential::new(bytes)))
            }
            Ok(_) | Err(_) => Err(format!("key {key:?} of secret {name:?} is not base64")),
        }
    };
    Ok(Secret {
        name: name.to_owned(),
        data: data
            .into_iter()
            .flatten()
            .map(decode)
            .collect::<Result<_, _>>()?,
    })
}

/// Reads an object out of a text; `None` within is an empty text or null.
fn object(text: &str) -> Option<Option<serde_json::Map<String, Value>>> {
    if text.trim().is_empty() {
        return Some(None);
    }
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secret_data_comes_as_text_or_as_an_object() {
        for data in [json!(r#"{"k":"czNjcmV0"}"#), json!({"k": "czNjcmV0"})] {
            let secret = decode_secret("s", &data).unwrap();
            assert_eq!(secret.data["k"].expose(), b"s3cret");
        }
        for data in [json!(""), json!("null"), json!(null), json!("{}")] {
            assert!(decode_secret("s", &data).unwrap().data.is_empty());
        }
    }

    #[test]
    fn a_broken_secret_is_named_and_not_quoted() {
        for data in [
            json!("hunter2"),
            json!(["hunter2"]),
            json!({"k": "hunter2!"}),
            json!({"k": 4711}),
        ] {
            let reason = decode_secret("s", &data).unwrap_err();
            assert!(reason.contains("\"s\""), "{reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
