//! The numbers of JSON, read as the values that metrics have.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A finite number; the parser refuses what does not fit an `f64`.
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(NumberVisitor { takes_text: false }).map(Number)
    }
}

/// A number of protobuf, whose JSON writes those of 64 bits as text, and so those that JSON has no word for:
/// NaN and infinities.
pub(super) struct ProtobufNumber(pub(super) f64);

impl<'de> Deserialize<'de> for ProtobufNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor { takes_text: true }).map(ProtobufNumber)
    }
}

struct NumberVisitor {
    takes_text: bool,
}

impl Visitor<'_> for NumberVisitor {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        match value.is_finite() {
            true => Ok(value),
            false => Err(E::custom("the number is not finite")),
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "metrics are f64")]
    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    #[allow(clippy::cast_precision_loss, reason = "metrics are f64")]
    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        if !self.takes_text {
            return Err(E::invalid_type(Unexpected::Str(text), &self));
        }
        text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
    }
}
