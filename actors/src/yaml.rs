//! YAML as kubectl and podman read it, with the place of every value: the one module that knows the
//! parser.
//!
//! A text becomes a tree of nodes (`compose`), of which the wanted type is made (`decode`). What a plain
//! value is depends on what is wanted: `0400` is a mode where a number is, text where text is.

mod budget;
mod compose;
mod decode;
mod error;
mod flexible;
mod node;
mod path;
mod plain;
mod position;
mod unread;

use std::rc::Rc;

use serde::de::DeserializeOwned;

pub use budget::Budget;
pub use error::YamlError;
pub(crate) use flexible::{AsWritten, OrText};
pub(crate) use node::Node;
pub use position::Position;
pub(crate) use unread::{MAX_UNREAD, Unread, UnreadKey, nearest};

use compose::Composer;

/// Reads one YAML document.
///
/// # Errors
/// The text is not YAML, or does not have the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    decode::decode(&only(text, &mut Budget::of_file())?.root).map(|(value, _)| value)
}

/// Returns the document of a text that holds one.
///
/// # Errors
/// It is not YAML, it holds more, or all texts of the budget are too much together.
pub(crate) fn only(text: &str, budget: &mut Budget) -> Result<Document, YamlError> {
    let mut composer = Composer::new(text, budget);
    let root = composer.document()?.unwrap_or_else(|| Rc::new(Node::null(Position::START)));
    let doubled = composer.take_doubled();
    if composer.document()?.is_some() {
        return Err(YamlError::new("there is more than one document", None));
    }
    Ok(Document { root, doubled })
}

/// One document of a YAML stream.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    root: Rc<Node>,
    /// Keys that stand twice in one map, with their second place.
    doubled: Option<YamlError>,
}

impl Document {
    /// Reads it as a `T`; tells besides which of its keys were not read as they are.
    ///
    /// # Errors
    /// The document does not have the shape of `T`, or a key stands in it twice.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<(T, Vec<UnreadKey>), YamlError> {
        match &self.doubled {
            Some(doubled) => Err(doubled.clone()),
            None => decode::decode(&self.root),
        }
    }

    /// Returns what it consists of.
    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// Returns the elements of the list under `key`, each as a document.
    ///
    /// # Errors
    /// There is something else.
    pub(crate) fn elements(&self, key: &str) -> Result<Vec<Self>, YamlError> {
        let Some(list) = self.root.get(key).filter(|list| !list.is_null()) else {
            return Ok(Vec::new());
        };
        let Some(items) = list.items() else {
            return Err(YamlError::new(format!("{key} is not a list"), Some(list.at())));
        };
        let items = items.iter().filter(|item| !item.is_null());
        Ok(items
            .map(|item| Self { root: Rc::clone(item), doubled: self.doubled.clone() })
            .collect())
    }
}

/// Reads the documents of a YAML stream, the empty ones left out. A document that cannot be read is
/// an error in its place; those behind it are read all the same.
pub(crate) fn documents(text: &str) -> Vec<Result<Document, YamlError>> {
    let mut budget = Budget::of_file();
    let mut composer = Composer::new(text, &mut budget);
    let mut documents = Vec::new();
    loop {
        match composer.document() {
            Ok(None) => return documents,
            Ok(Some(root)) => {
                let doubled = composer.take_doubled();
                if !root.is_null() {
                    documents.push(Ok(Document { root, doubled }));
                }
            }
            Err(error) => {
                documents.push(Err(error));
                if !composer.skip_document() {
                    return documents;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
