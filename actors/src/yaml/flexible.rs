//! Values that may be written in more than one way.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};
use serde_json::Value;

/// What [`AsWritten`] asks a deserializer for; that of this module knows it.
pub(super) const AS_WRITTEN: &str = "$yaml::AsWritten";
/// What [`OrText`] asks a deserializer for.
pub(super) const OR_TEXT: &str = "$yaml::OrText";

/// A text that may look like a number or a boolean: `1`, `1.20`, `on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AsWritten(pub(crate) String);

impl<'de> Deserialize<'de> for AsWritten {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = AsWritten;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<AsWritten, E> {
                Ok(AsWritten(text.to_owned()))
            }

            /// Of JSON, which has no other spelling of a number.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<AsWritten, D::Error> {
                let text = scalar(&Value::deserialize(deserializer)?);
                text.map(AsWritten).ok_or_else(|| D::Error::custom("invalid type, expected a text"))
            }
        }

        deserializer.deserialize_newtype_struct(AS_WRITTEN, Written)
    }
}

/// The fields of a `T`, or a text that stands for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OrText<T> {
    Text(String),
    Fields(T),
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for OrText<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Either<T> {
            type Value = OrText<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a map")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<OrText<T>, E> {
                Ok(OrText::Text(text.to_owned()))
            }

            /// Of YAML.
            fn visit_some<D: Deserializer<'de>>(self, fields: D) -> Result<OrText<T>, D::Error> {
                T::deserialize(fields).map(OrText::Fields)
            }

            /// Of JSON.
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<OrText<T>, D::Error> {
                let value = Value::deserialize(deserializer)?;
                match scalar(&value) {
                    Some(text) => Ok(OrText::Text(text)),
                    None if value.is_object() => {
                        T::deserialize(value).map(OrText::Fields).map_err(D::Error::custom)
                    }
                    None => Err(D::Error::custom("invalid type, expected a text or a map")),
                }
            }
        }

        deserializer.deserialize_newtype_struct(OR_TEXT, Either(PhantomData))
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
