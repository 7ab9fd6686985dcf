//! The one place that knows which crate reads YAML, so that another can take its place.

mod budget;
mod scan;
mod weight;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

pub use budget::Budget;

/// Why a text is not the YAML that was expected; names line and column.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct YamlError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Text(#[from] serde_yaml::Error),
    #[error(transparent)]
    Weight(#[from] budget::TooHeavy),
}

impl YamlError {
    /// Returns the line (from 1) at which the text stopped making sense, where that is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match &self.0 {
            Cause::Text(error) => error.location().map(|location| location.line()),
            Cause::Weight(_) => None,
        }
    }
}

impl From<serde_yaml::Error> for YamlError {
    fn from(error: serde_yaml::Error) -> Self {
        Self(Cause::Text(error))
    }
}

impl From<budget::TooHeavy> for YamlError {
    fn from(error: budget::TooHeavy) -> Self {
        Self(Cause::Weight(error))
    }
}

/// Reads one YAML document.
///
/// # Errors
/// The text is not YAML, or does not have the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    from_str_within(text, &mut Budget::of_file())
}

/// As [`from_str`], for one of several texts.
///
/// # Errors
/// Besides, all of them together are too much to read.
pub fn from_str_within<T: DeserializeOwned>(
    text: &str,
    budget: &mut Budget,
) -> Result<T, YamlError> {
    budget.spend(text)?;
    Ok(serde_yaml::from_str(text)?)
}

/// Reads every document of a YAML stream (separated by `---`); empty documents are left out.
///
/// # Errors
/// The text is not YAML, or a document does not have the shape of `T`.
pub fn documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, YamlError> {
    Budget::of_file().spend(text)?;
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
    let refused = Budget::of_file().spend(text).err().map(|error| Err(YamlError::from(error)));
    // What is too heavy is not looked at.
    let text = if refused.is_some() { "" } else { text };
    let looks = serde_yaml::Deserializer::from_str(text);
    let mut broken = false;
    let documents = looks
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
        .filter(|item| !matches!(item, Ok((serde_json::Value::Null, _))));
    refused.into_iter().chain(documents)
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
    fn a_bomb_is_refused_by_every_way_to_read() {
        let bomb = format!("a: &a [{}]\nb: [{}]\n", "1,".repeat(10_000), "*a,".repeat(10_000));
        let words = "with its aliases expanded";
        let error = from_str::<serde_json::Value>(&bomb).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(documents::<serde_json::Value>(&bomb).unwrap_err().to_string().contains(words));
        let items: Vec<_> = each_document(&bomb).collect();
        assert_eq!(items.len(), 1);
        assert!(items[0].as_ref().err().unwrap().to_string().contains(words));
    }

    #[test]
    fn laughs_by_the_billion_and_depths_without_end_are_errors() {
        let mut laughs = String::from("a0: &a0 [lol]\n");
        for level in 1..30 {
            let below = format!("*a{},", level - 1).repeat(9);
            laughs += &format!("a{level}: &a{level} [{below}]\n");
        }
        let open = "more than 128 brackets are open at one time in line 1";
        for (text, words) in [
            (laughs.as_str(), "repetition limit exceeded"),
            (&"[".repeat(9_000), open),
            (&format!("{}{}", "[".repeat(9_000), "]".repeat(9_000)), open),
            (&"- ".repeat(9_000), "recursion limit exceeded"),
            ("a: &a [*a]", "recursion limit exceeded"),
        ] {
            let error = from_str::<serde_json::Value>(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_ends_with_an_error() {
        let items: Vec<_> = each_document("a: 1\n---\nb: [\n").collect();
        assert!(items[0].is_ok());
        assert!(items[1].is_err());
        assert_eq!(items.len(), 2);
    }
}
