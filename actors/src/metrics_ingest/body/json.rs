//! Samples in JSON: `{"name":"cpu","value":20}`, an array of such, or one of these on each line.

use std::cell::Cell;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::batch::Batch;
use super::error::{BodyError, text};
use super::fields::{Field, Name};
use super::names::{MAX_UNIT, Series, may_be_unit};
use super::number::Number;
use crate::workload::Sample;

const EMPTY: &str = r#"the body is empty; post {"name":"cpu","value":20} or an array of such"#;

/// Reads all samples of a body.
///
/// # Errors
/// The first of: it is not JSON of the expected shape, a value is not a finite number, there is no
/// name for what a condition could refer to, or there is no sample.
pub(super) fn parse(body: &[u8], batch: &mut Batch) -> Result<(), BodyError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(BodyError::new(EMPTY));
    }
    let place = Place::default();
    read(body, &place, batch).map_err(|error| BodyError::new(&format!("{place}{error}")))?;
    if batch.is_empty() {
        return Err(BodyError::new("the array is empty: nothing was posted"));
    }
    Ok(())
}

/// Reads the samples of all lines of a body.
///
/// # Errors
/// As [`parse`], with the line.
pub(super) fn parse_lines(body: &[u8], batch: &mut Batch) -> Result<(), BodyError> {
    for (index, line) in text(body)?.split('\n').enumerate() {
        if line.bytes().all(|byte| byte.is_ascii_whitespace()) {
            continue;
        }
        let place = Place::default();
        read(line.as_bytes(), &place, batch).map_err(|error| {
            // The place that serde_json tells is one within the line.
            let place_within = format!(" at line {} column {}", error.line(), error.column());
            let (message, column) = (error.to_string(), error.column());
            let message = message.strip_suffix(&place_within).unwrap_or(&message);
            BodyError::in_line(index + 1, &format!("{place}{message} at column {column}"))
        })?;
    }
    match batch.is_empty() {
        true => Err(BodyError::new(EMPTY)),
        false => Ok(()),
    }
}

fn read(json: &[u8], place: &Place, batch: &mut Batch) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_slice(json);
    Samples { place, batch }.deserialize(&mut json)?;
    place.leave();
    json.end()
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
struct Samples<'p> {
    place: &'p Place,
    batch: &'p mut Batch,
}

impl<'de> DeserializeSeed<'de> for Samples<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Samples<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"{"name":"cpu","value":20} or an array of such"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        One { place: self.place, batch: self.batch }.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.place.index.set(Some(index));
            self.place.field.set(None);
            let one = One { place: self.place, batch: &mut *self.batch };
            if seq.next_element_seed(one)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

struct One<'p> {
    place: &'p Place,
    batch: &'p mut Batch,
}

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a sample like {"name":"cpu","value":20}"#)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut name, mut value, mut unit, mut ttl) = (None, None, None, None);
        while let Some(field) = map.next_key::<Field>()? {
            self.place.field.set(field.name());
            match field {
                Field::Name => once(&mut name, map.next_value::<Name>()?)?,
                Field::Value => once(&mut value, map.next_value::<Number>()?.0)?,
                Field::Unit => once(&mut unit, map.next_value::<Option<String>>()?)?,
                Field::TtlSeconds => once(&mut ttl, map.next_value::<Option<Number>>()?)?,
                // Senders add what their other receivers want: timestamps, tags.
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
                // If it were ignored, a metric with a misspelt ttl_seconds would never expire.
                Field::Slip(found, meant) => {
                    return Err(A::Error::custom(format_args!(
                        "unknown field {found:?}, expected {meant}"
                    )));
                }
                Field::Otlp => {
                    return Err(A::Error::custom("this is OTLP: post it to /v1/metrics"));
                }
            }
        }
        self.place.field.set(None);
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        let value = value.ok_or_else(|| A::Error::missing_field("value"))?;
        self.place.field.set(Some("unit"));
        let unit = unit.flatten().map(check_unit).transpose()?.flatten();
        self.place.field.set(Some("ttl_seconds"));
        let ttl = ttl.flatten().map(check_ttl).transpose()?;
        let Name { known, written } = name;
        if let Some(written) = written {
            let series = Series::new(written, Vec::new());
            self.batch.remarks.note_name(&series, known.as_str());
        }
        self.batch.add(Sample { name: known, value, unit, ttl });
        Ok(())
    }
}

fn once<T, E: Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("given twice")),
    }
}

fn check_unit<E: Error>(unit: String) -> Result<Option<String>, E> {
    if !may_be_unit(&unit) {
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
