//! OTLP in protobuf, read in place.
//!
//! The numbers of fields are those of opentelemetry-proto 1. Of prost only the wire format is used: its
//! messages would be built as a whole, and a data point of two bytes takes a hundred in memory.

use std::borrow::Cow;

use prost::encoding::{WireType, decode_key, decode_varint};

use super::points::{self, NO_RECORDED_VALUE, Point};
use crate::metrics_ingest::body::batch::Batch;
use crate::metrics_ingest::body::error::BodyError;
use crate::metrics_ingest::body::names::{Label, add_label};

mod field {
    //! Numbers of fields, by their messages.
    pub(super) const REQUEST_RESOURCE_METRICS: u32 = 1;
    pub(super) const RESOURCE_SCOPE_METRICS: u32 = 2;
    pub(super) const SCOPE_METRICS: u32 = 2;
    pub(super) const METRIC_NAME: u32 = 1;
    pub(super) const METRIC_UNIT: u32 = 3;
    pub(super) const METRIC_GAUGE: u32 = 5;
    pub(super) const METRIC_SUM: u32 = 7;
    pub(super) const METRIC_HISTOGRAM: u32 = 9;
    pub(super) const METRIC_EXPONENTIAL_HISTOGRAM: u32 = 10;
    pub(super) const METRIC_SUMMARY: u32 = 11;
    pub(super) const DATA_POINTS: u32 = 1;
    pub(super) const POINT_AS_DOUBLE: u32 = 4;
    pub(super) const POINT_AS_INT: u32 = 6;
    pub(super) const POINT_ATTRIBUTES: u32 = 7;
    pub(super) const POINT_FLAGS: u32 = 8;
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const VALUE_STRING: u32 = 1;
    pub(super) const VALUE_BOOL: u32 = 2;
    pub(super) const VALUE_INT: u32 = 3;
    pub(super) const VALUE_DOUBLE: u32 = 4;
}

/// Reads all data points of an export request.
///
/// # Errors
/// It is no protobuf, or a text in it is not UTF-8.
pub(in crate::metrics_ingest::body) fn parse(
    body: &[u8],
    batch: &mut Batch,
) -> Result<(), BodyError> {
    read(body, batch).map_err(|Malformed(what)| {
        BodyError::new(&format!(
            "{what}; write an ExportMetricsServiceRequest in protobuf, or OTLP in JSON as \
             application/json"
        ))
    })
}

/// Why bytes are no message.
struct Malformed(String);

fn read(body: &[u8], batch: &mut Batch) -> Result<(), Malformed> {
    for resource in messages(body, field::REQUEST_RESOURCE_METRICS) {
        for scope in messages(resource?, field::RESOURCE_SCOPE_METRICS) {
            for metric in messages(scope?, field::SCOPE_METRICS) {
                take_metric(metric?, batch)?;
            }
        }
    }
    Ok(())
}

fn take_metric(metric: &[u8], batch: &mut Batch) -> Result<(), Malformed> {
    // Fields may come in any order, and the last of two counts.
    let (mut name, mut unit) = ("", "");
    for part in fields(metric) {
        match part? {
            (field::METRIC_NAME, Value::Bytes(bytes)) => name = text(bytes)?,
            (field::METRIC_UNIT, Value::Bytes(bytes)) => unit = text(bytes)?,
            _ => {}
        }
    }
    for part in fields(metric) {
        match part? {
            (field::METRIC_GAUGE | field::METRIC_SUM, Value::Bytes(data)) => {
                for point in messages(data, field::DATA_POINTS) {
                    if let Some(point) = data_point(point?)? {
                        points::take(batch, name, unit, point);
                    }
                }
            }
            (
                field::METRIC_HISTOGRAM
                | field::METRIC_EXPONENTIAL_HISTOGRAM
                | field::METRIC_SUMMARY,
                Value::Bytes(data),
            ) => {
                let mut all = messages(data, field::DATA_POINTS);
                let count = all.try_fold(0, |count, point| point.map(|_| count + 1))?;
                points::ignore(batch, name, count);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns a data point; `None` if it has no value.
fn data_point(message: &[u8]) -> Result<Option<Point<'_>>, Malformed> {
    let (mut value, mut attributes, mut is_recorded) = (None, Vec::new(), true);
    for part in fields(message) {
        match part? {
            (field::POINT_AS_DOUBLE, Value::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
            #[allow(clippy::cast_precision_loss, reason = "metrics are f64")]
            (field::POINT_AS_INT, Value::Fixed64(bits)) => {
                value = Some(bits.cast_signed() as f64);
            }
            (field::POINT_ATTRIBUTES, Value::Bytes(pair)) => {
                if let Some(attribute) = attribute(pair)? {
                    add_label(&mut attributes, attribute);
                }
            }
            (field::POINT_FLAGS, Value::Varint(flags)) => {
                is_recorded = flags & NO_RECORDED_VALUE == 0;
            }
            _ => {}
        }
    }
    Ok(value.filter(|_| is_recorded).map(|value| Point { value, attributes }))
}

/// Returns an attribute; `None` if its value is a list, a map or nothing.
fn attribute(pair: &[u8]) -> Result<Option<Label<'_>>, Malformed> {
    let (mut key, mut found) = ("", None);
    for part in fields(pair) {
        match part? {
            (field::KEY, Value::Bytes(bytes)) => key = text(bytes)?,
            (field::VALUE, Value::Bytes(value)) => {
                for part in fields(value) {
                    found = label_value(part?)?.or(found);
                }
            }
            _ => {}
        }
    }
    Ok(found.map(|value| (Cow::Borrowed(key), value)))
}

fn label_value((number, value): (u32, Value<'_>)) -> Result<Option<Cow<'_, str>>, Malformed> {
    Ok(match (number, value) {
        (field::VALUE_STRING, Value::Bytes(bytes)) => Some(Cow::Borrowed(text(bytes)?)),
        (field::VALUE_BOOL, Value::Varint(bit)) => Some((bit != 0).to_string().into()),
        (field::VALUE_INT, Value::Varint(bits)) => Some(bits.cast_signed().to_string().into()),
        (field::VALUE_DOUBLE, Value::Fixed64(bits)) => {
            Some(f64::from_bits(bits).to_string().into())
        }
        _ => None,
    })
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("a name or a text is not UTF-8".to_owned()))
}

/// The value of a field.
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// Returns the messages, or texts, in the fields of that number.
fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    fields(message).filter_map(move |field| match field {
        Ok((number, Value::Bytes(bytes))) if number == wanted => Some(Ok(bytes)),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

/// Returns the fields of a message, up to the first that is malformed.
fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn read(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let malformed =
            |error: prost::DecodeError| Malformed(format!("the body is no protobuf: {error}"));
        let (number, wire_type) = decode_key(&mut self.rest).map_err(malformed)?;
        let value = match wire_type {
            WireType::Varint => Value::Varint(decode_varint(&mut self.rest).map_err(malformed)?),
            WireType::SixtyFourBit => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or_else(cut)?;
                self.rest = rest;
                Value::Fixed64(u64::from_le_bytes(*bytes))
            }
            WireType::ThirtyTwoBit => {
                self.rest = self.rest.split_at_checked(4).ok_or_else(cut)?.1;
                Value::Fixed32
            }
            WireType::LengthDelimited => {
                let length = decode_varint(&mut self.rest).map_err(malformed)?;
                let length = usize::try_from(length).map_err(|_| cut())?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(cut)?;
                self.rest = rest;
                Value::Bytes(bytes)
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(Malformed("the body has a group, which OTLP does not use".to_owned()));
            }
        };
        Ok((number, value))
    }
}

fn cut() -> Malformed {
    Malformed("the body ends within a field".to_owned())
}

#[cfg(test)]
mod tests;
