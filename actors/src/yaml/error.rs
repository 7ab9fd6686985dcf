//! Why a text is not the YAML that was expected, and where.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::position::Position;
use super::unread::{Unread, UnreadKey};

/// Why a text is not the YAML that was expected. It quotes no value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// The keys that lead to the place, as `spec.containers[0]`; empty where they are not known.
    path: String,
    what: String,
    at: Option<Position>,
    /// A key that was not known and may be the cause.
    slip: Option<Box<UnreadKey>>,
}

impl YamlError {
    pub(super) fn new(what: impl Into<String>, at: Option<Position>) -> Self {
        Self { path: String::new(), what: what.into(), at, slip: None }
    }

    /// Adds the key that may be the cause.
    pub(super) fn beside(self, slip: Option<UnreadKey>) -> Self {
        Self { slip: slip.map(Box::new), ..self }
    }

    /// Names the place, unless one within it is named already.
    pub(super) fn or_at(mut self, at: Position, path: impl FnOnce() -> String) -> Self {
        if self.at.is_none() {
            self.at = Some(at);
            self.path = path();
        }
        self
    }

    /// Returns the line (from 1) at which the text stopped making sense, where that is known.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self.at {
            Some(at) => Some(at.line),
            None => None,
        }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what)?;
        if let Some(at) = self.at {
            write!(f, " at {at}")?;
        }
        let Some(slip) = &self.slip else { return Ok(()) };
        write!(f, "; {} at {} is not known", slip.path, slip.at)?;
        match slip.what {
            Unread::Unknown(Some(near)) => write!(f, ", did you mean {near}?"),
            Unread::Unknown(None) | Unread::ReadAs(_) => Ok(()),
        }
    }
}

impl std::error::Error for YamlError {}

impl Error for YamlError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string(), None)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid type: {}, expected {expected}", kind(unexpected)), None)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("invalid value: {}, expected {expected}", kind(unexpected)), None)
    }
}

/// Returns what sort of value was found, and nothing of the value.
fn kind(unexpected: Unexpected<'_>) -> &'static str {
    match unexpected {
        Unexpected::Bool(_) => "boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "integer",
        Unexpected::Float(_) => "number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "string",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "list",
        Unexpected::Map => "map",
        Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant
        | Unexpected::Other(_) => "something else",
    }
}
