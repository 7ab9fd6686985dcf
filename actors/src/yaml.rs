//! The one place that knows which crate reads YAML, so that another can take its place.

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

/// Why a text is not the YAML that was expected; names line and column.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct YamlError(#[from] serde_yaml::Error);

impl YamlError {
    /// Returns the line (from 1) at which the text stopped making sense, where that is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.0.location().map(|location| location.line())
    }
}

/// Reads one YAML document.
///
/// # Errors
/// The text is not YAML, or does not have the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    Ok(serde_yaml::from_str(text)?)
}

/// Reads every document of a YAML stream (separated by `---`); empty documents are left out.
///
/// # Errors
/// The text is not YAML, or a document does not have the shape of `T`.
pub fn documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, YamlError> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document)?;
        if !value.is_null() {
            documents.push(serde_yaml::from_value(value)?);
        }
    }
    Ok(documents)
}

/// Reads the document number `index` (from 0, the empty ones left out) of a YAML stream, directly,
/// so that an error about its shape names line and column.
///
/// # Errors
/// The text is not YAML up to there, or the document does not have the shape of `T`.
pub fn document<T: DeserializeOwned>(text: &str, index: usize) -> Result<Option<T>, YamlError> {
    let mut present = 0;
    let looks = serde_yaml::Deserializer::from_str(text);
    for (look, document) in looks.zip(serde_yaml::Deserializer::from_str(text)) {
        if serde_yaml::Value::deserialize(look)?.is_null() {
            continue;
        }
        if present == index {
            return Ok(Some(T::deserialize(document)?));
        }
        present += 1;
        // A document must be read before the next one can be.
        serde::de::IgnoredAny::deserialize(document)?;
    }
    Ok(None)
}

/// Writes `value` as one YAML document.
///
/// # Errors
/// The value cannot be written as YAML.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    Ok(serde_yaml::to_string(value)?)
}
