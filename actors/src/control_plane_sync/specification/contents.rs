//! Config maps and secrets that are at hand for workloads.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use k8s_openapi::api::core::v1;
use serde_json::Value;

use crate::workload::{Confidential, ConfigMap, Secret};

/// Standard base64; a padding that an author forgot is forgiven.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Config maps or secrets by name and, where one is given, namespace; each readable or with the reason
/// why it is not: a broken one concerns only those workloads that refer to it.
#[derive(Debug)]
pub(crate) struct Supply<T>(BTreeMap<String, ByNamespace<T>>);

/// Those of one name.
type ByNamespace<T> = BTreeMap<Option<String>, Result<Arc<T>, String>>;

impl<T> Default for Supply<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Supply<T> {
    /// Adds one; returns whether there was one in its place.
    pub(crate) fn add(
        &mut self,
        namespace: Option<String>,
        name: String,
        item: Result<Arc<T>, String>,
    ) -> bool {
        self.0.entry(name).or_default().insert(namespace, item).is_some()
    }

    /// Returns what a workload of `namespace` sees under `name`: that of its own namespace before one
    /// without any, which would be created in any.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<&Result<Arc<T>, String>> {
        let named = self.0.get(name)?;
        named.get(&Some(namespace.to_owned())).or_else(|| named.get(&None))
    }
}

/// The config maps and secrets that workloads may refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contents<'a> {
    pub(crate) config_maps: &'a Supply<ConfigMap>,
    pub(crate) secrets: &'a Supply<Secret>,
}

/// Config maps or secrets that are in memory: what equals one of them need not be there twice.
pub(crate) struct Pool<T>(HashSet<Arc<T>>);

impl<T: Eq + Hash> Pool<T> {
    /// Returns a pool of these.
    pub(crate) fn of<'a>(items: impl IntoIterator<Item = &'a Arc<T>>) -> Self
    where
        T: 'a,
    {
        Self(items.into_iter().cloned().collect())
    }

    /// Returns `item`, or its equal that is there already.
    pub(crate) fn share(&mut self, item: Arc<T>) -> Arc<T> {
        if let Some(known) = self.0.get(&item) {
            return Arc::clone(known);
        }
        self.0.insert(Arc::clone(&item));
        item
    }
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
        data: data.into_iter().flatten().map(decode).collect::<Result<_, _>>()?,
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
    fn a_workload_sees_its_own_namespace_before_none_and_no_other() {
        let secret = |key: &str| {
            let data = [(key.to_owned(), Confidential::new(Vec::new()))].into();
            Ok(Arc::new(Secret { name: "s".to_owned(), data }))
        };
        let mut supply = Supply::default();
        assert!(!supply.add(None, "s".to_owned(), secret("of none")));
        assert!(!supply.add(Some("a".to_owned()), "s".to_owned(), secret("of a")));
        assert!(supply.add(Some("a".to_owned()), "s".to_owned(), secret("of a again")));
        assert_eq!(supply.find("a", "s"), Some(&secret("of a again")));
        assert_eq!(supply.find("b", "s"), Some(&secret("of none")));
        assert_eq!(supply.find("a", "t"), None);
    }

    #[test]
    fn what_equals_something_in_memory_is_not_there_twice() {
        let secret = |value: &str| {
            let data = [("k".to_owned(), Confidential::new(value.into()))].into();
            Arc::new(Secret { name: "s".to_owned(), data })
        };
        let (old, other) = (secret("1"), secret("2"));
        let mut pool = Pool::of([&old]);
        assert!(Arc::ptr_eq(&pool.share(secret("1")), &old));
        assert!(Arc::ptr_eq(&pool.share(Arc::clone(&other)), &other));
        assert!(Arc::ptr_eq(&pool.share(secret("2")), &other));
    }

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
        for data in
            [json!("hunter2"), json!(["hunter2"]), json!({"k": "hunter2!"}), json!({"k": 4711})]
        {
            let reason = decode_secret("s", &data).unwrap_err();
            assert!(reason.contains("\"s\""), "{reason}");
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }
}
