//! The fields of a sample, each checked as it is read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::workload::MetricName;

/// Longest name of a metric, in bytes.
const MAX_NAME: usize = 256;

/// The name of a field.
pub(super) enum Field {
    Name,
    Value,
    Unit,
    TtlSeconds,
    Unknown(String),
}

impl Field {
    /// Returns its name; `None` if a sample has no such field.
    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Name => Some("name"),
            Self::Value => Some("value"),
            Self::Unit => Some("unit"),
            Self::TtlSeconds => Some("ttl_seconds"),
            Self::Unknown(_) => None,
        }
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;
        impl Visitor<'_> for FieldVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
                Ok(match name {
                    "name" => Field::Name,
                    "value" => Field::Value,
                    "unit" => Field::Unit,
                    "ttl_seconds" => Field::TtlSeconds,
                    unknown => Field::Unknown(unknown.to_owned()),
                })
            }
        }
        deserializer.deserialize_identifier(FieldVisitor)
    }
}

/// A metric's name that a condition can refer to.
pub(super) struct Name(pub(super) MetricName);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a metric's name as a string")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
                if is_metric_name(name) {
                    Ok(Name(MetricName::from(name)))
                } else {
                    Err(E::custom(format_args!(
                        "{name:?} cannot stand in a condition: a name is a letter or _, then \
                         letters, digits, _ and ., at most {MAX_NAME} bytes, and not nil"
                    )))
                }
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}

fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts_well
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
        && name.len() <= MAX_NAME
        && name != "nil"
}

/// A finite number; the parser refuses what does not fit an `f64`.
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Number, E> {
                if value.is_finite() {
                    Ok(Number(value))
                } else {
                    Err(E::custom("the number is not finite"))
                }
            }

            #[allow(clippy::cast_precision_loss, reason = "metrics are f64")]
            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }

            #[allow(clippy::cast_precision_loss, reason = "metrics are f64")]
            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
        }
        deserializer.deserialize_f64(NumberVisitor)
    }
}
