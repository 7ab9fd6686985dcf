//! The fields of a sample, each checked as it is read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::names::{MAX_NAME, NameError, Series, is_metric_name};
use crate::workload::MetricName;

/// Longest name of a field that is taken for a slip, in bytes.
const MAX_SLIP: usize = 24;

/// The name of a field.
pub(super) enum Field {
    Name,
    Value,
    Unit,
    TtlSeconds,
    /// One of no meaning here.
    Other,
    /// One that is most likely meant for another, whose name is second.
    Slip(String, &'static str),
    /// That of an OTLP request.
    Otlp,
}

impl Field {
    /// Returns its name; `None` if a sample has no such field.
    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Name => Some("name"),
            Self::Value => Some("value"),
            Self::Unit => Some("unit"),
            Self::TtlSeconds => Some("ttl_seconds"),
            Self::Other | Self::Slip(_, _) | Self::Otlp => None,
        }
    }

    fn unknown(name: &str) -> Self {
        if name == "resourceMetrics" {
            return Self::Otlp;
        }
        match meant(name) {
            Some(meant) => Self::Slip(name.to_owned(), meant),
            None => Self::Other,
        }
    }
}

/// Returns the optional field that `name` is a slip of: without it a sample would mean something else.
fn meant(name: &str) -> Option<&'static str> {
    if name.len() > MAX_SLIP {
        return None;
    }
    let plain = name.to_ascii_lowercase().replace(['_', '-', ' '], "");
    if plain.starts_with("ttl") || strsim::osa_distance(&plain, "ttlseconds") <= 2 {
        return Some("ttl_seconds");
    }
    // Words of their own, which other programs send.
    let is_other = ["init", "unix"].contains(&plain.as_str());
    (!is_other && strsim::osa_distance(&plain, "unit") <= 1).then_some("unit")
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
                    unknown => Field::unknown(unknown),
                })
            }
        }
        deserializer.deserialize_identifier(FieldVisitor)
    }
}

/// A metric's name.
pub(super) struct Name {
    /// The name that conditions know it by.
    pub(super) known: MetricName,
    /// The name as it was written, if that is another.
    pub(super) written: Option<String>,
}

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
                    return Ok(Name { known: MetricName::from(name), written: None });
                }
                match Series::new(name, Vec::new()).known_as() {
                    Ok(known) => Ok(Name { known, written: Some(name.to_owned()) }),
                    Err(NameError::NothingLeft) => Err(E::custom(format_args!(
                        "{name:?} cannot stand in a condition: it has no letter and no digit of \
                         ASCII; a name is a letter or _, then letters, digits, _ and ."
                    ))),
                    Err(NameError::TooLong) => Err(E::custom(format_args!(
                        "{name:?} cannot stand in a condition: a name has at most {MAX_NAME} bytes"
                    ))),
                }
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
