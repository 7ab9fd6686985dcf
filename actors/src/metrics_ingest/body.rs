//! The body of a post: a sample such as `{"name":"cpu","value":20}`, or an array of samples.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use grammar::is_printable;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use self::fields::{Field, Name, Number};
use crate::workload::Sample;

mod fields;

/// Largest body, in bytes.
pub(super) const MAX_BODY: usize = 1024 * 1024;
/// Longest unit, in bytes.
const MAX_UNIT: usize = 64;
/// Longest text of an error, in bytes; the parser quotes what it found.
const MAX_ERROR: usize = 400;

/// Why a body is refused: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct BodyError {
    message: String,
}

/// Returns all samples of a body.
///
/// # Errors
/// The first of: it is not JSON of the expected shape, a value is not a finite number, a condition
/// could not refer to a name, or there is no sample.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Sample>, BodyError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(refuse(
            r#"the body is empty; post {"name":"cpu","value":20} or an array of such"#,
        ));
    }
    let place = Place::default();
    let mut json = serde_json::Deserializer::from_slice(body);
    let samples = Batch(&place)
        .deserialize(&mut json)
        .and_then(|samples| {
            place.leave();
            json.end()?;
            Ok(samples)
        })
        .map_err(|error| refuse(&format!("{place}{error}")))?;
    if samples.is_empty() {
        return Err(refuse("the array is empty: nothing was posted"));
    }
    Ok(samples)
}

fn refuse(message: &str) -> BodyError {
    let mut message = message.to_owned();
    if message.len() > MAX_ERROR {
        // The start holds the field, the end line and column: cut the middle.
        let (head, tail) = (
            message.floor_char_boundary(MAX_ERROR * 3 / 4),
            message.ceil_char_boundary(message.len() - MAX_ERROR / 4),
        );
        message.replace_range(head..tail, "…");
    }
    BodyError { message }
}

/// Where the parser is, for its errors.
#[derive(Default)]
struct Place {
    index: Cell<Option<usize>>,
    field: Cell<Option<&'static str>>,
}

impl Place {
    fn leave(&self) {
        self.index.set(None);
        self.field.set(None);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.index.get(), self.field.get()) {
            (Some(index), Some(field)) => write!(f, "sample {index}, field {field}: "),
            (Some(index), None) => write!(f, "sample {index}: "),
            (None, Some(field)) => write!(f, "field {field}: "),
            (None, None) => Ok(()),
        }
    }
}

/// One sample or an array of them.
struct Batch<'p>(&'p Place);

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Sample>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Sample>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"{"name":"cpu","value":20} or an array of such"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![One(self.0).visit_map(map)?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut samples = Vec::new();
        loop {
            self.0.index.set(Some(samples.len()));
            self.0.field.set(None);
            match seq.next_element_seed(One(self.0))? {
                Some(sample) => samples.push(sample),
                None => return Ok(samples),
            }
        }
    }
}

struct One<'p>(&'p Place);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Sample;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Sample, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = Sample;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a sample like {"name":"cpu","value":20}"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sample, A::Error> {
        let (mut name, mut value, mut unit, mut ttl) = (None, None, None, None);
        while let Some(field) = map.next_key::<Field>()? {
            self.0.field.set(field.name());
            match field {
                Field::Name => once(&mut name, map.next_value::<Name>()?.0)?,
                Field::Value => once(&mut value, map.next_value::<Number>()?.0)?,
                Field::Unit => once(&mut unit, map.next_value::<Option<String>>()?)?,
                Field::TtlSeconds => once(&mut ttl, map.next_value::<Option<Number>>()?)?,
                // If it were ignored, a metric with a misspelt ttl_seconds would never expire.
                Field::Unknown(name) => {
                    map.next_value::<IgnoredAny>()?;
                    return Err(A::Error::custom(format_args!(
                        "unknown field {name:?}, expected name, value, unit or ttl_seconds"
                    )));
                }
            }
        }
        self.0.field.set(None);
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        let value = value.ok_or_else(|| A::Error::missing_field("value"))?;
        self.0.field.set(Some("unit"));
        let unit = unit.flatten().map(check_unit).transpose()?.flatten();
        self.0.field.set(Some("ttl_seconds"));
        let ttl = ttl.flatten().map(check_ttl).transpose()?;
        Ok(Sample { name, value, unit, ttl })
    }
}

fn once<T, E: Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("given twice")),
    }
}

fn check_unit<E: Error>(unit: String) -> Result<Option<String>, E> {
    if unit.len() > MAX_UNIT || !unit.chars().all(is_printable) {
        return Err(E::custom(format_args!(
            "a unit has at most {MAX_UNIT} bytes, and no control or format characters"
        )));
    }
    Ok((!unit.is_empty()).then_some(unit))
}

fn check_ttl<E: Error>(seconds: Number) -> Result<Duration, E> {
    Duration::try_from_secs_f64(seconds.0).ok().filter(|ttl| !ttl.is_zero()).ok_or_else(|| {
        E::custom(format_args!("{} is not a number of seconds greater than 0", seconds.0))
    })
}

#[cfg(test)]
mod tests;
