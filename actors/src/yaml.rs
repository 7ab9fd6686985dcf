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

/// One document of a YAML stream, not yet read.
pub struct Document<'a>(serde_yaml::Deserializer<'a>);

impl Document<'_> {
    /// Reads it straight from the text, so that an error about its shape names line and column.
    ///
    /// # Errors
    /// The document is not YAML, or does not have the shape of `T`.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, YamlError> {
        Ok(T::deserialize(self.0)?)
    }
}

/// Goes through the documents of a YAML stream, the empty ones left out: a look at each, by which
/// to decide what it is, and the document itself. The first error is the last item.
pub fn each_document(
    text: &str,
) -> impl Iterator<Item = Result<(serde_json::Value, Document<'_>), YamlError>> {
    let looks = serde_yaml::Deserializer::from_str(text);
    let mut broken = false;
    looks
        .zip(serde_yaml::Deserializer::from_str(text))
        .map_while(move |(look, document)| {
            // The parser repeats its error for ever.
            if broken {
                return None;
            }
            let look = serde_json::Value::deserialize(look);
            broken = look.is_err();
            let pair = look.map(|look| (look, Document(document)));
            Some(pair.map_err(YamlError::from))
        })
        .filter(|item| !matches!(item, Ok((serde_json::Value::Null, _))))
}

/// Writes `value` as one YAML document.
///
/// # Errors
/// The value cannot be written as YAML.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    Ok(serde_yaml::to_string(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn documents_are_looked_at_and_read_with_their_place_in_the_whole_text() {
        let text = "---\na: 1\n---\n---\nb: 2\n---\nc: x\n";
        let mut read = Vec::new();
        for item in each_document(text) {
            let (look, document) = item.unwrap();
            if look.get("b").is_none() {
                read.push(document.read::<BTreeMap<String, u8>>());
            }
        }
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].as_ref().unwrap()["a"], 1);
        assert_eq!(read[1].as_ref().unwrap_err().line(), Some(7));
    }

    #[test]
    fn a_stream_that_breaks_off_ends_with_an_error() {
        let items: Vec<_> = each_document("a: 1\n---\nb: [\n").collect();
        assert!(items[0].is_ok());
        assert!(items[1].is_err());
        assert_eq!(items.len(), 2);
    }
}
