//! How much YAML is read at most, so that each text takes a time and a memory that grow with its size
//! alone.

use super::error::YamlError;
use super::position::Position;

/// How deep values may be within each other; Kubernetes' own resources go a dozen levels.
pub(super) const MAX_DEPTH: usize = 128;
/// Most that a document may come to with its aliases expanded, in bytes of text and some for each
/// value: twice what the largest manifest without an alias can hold in text.
const MAX_EXPANDED: usize = 8 * 1024 * 1024;

/// What may still be read of one text, or of several that come together.
#[derive(Clone, Debug)]
pub struct Budget {
    values_of_document: usize,
    values: usize,
    expanded: usize,
    is_overdrawn: bool,
}

impl Budget {
    /// For one file: it is as long as it may be, and each of its documents is read by itself.
    #[must_use]
    pub const fn of_file() -> Self {
        Self {
            values_of_document: 250_000,
            values: usize::MAX,
            expanded: usize::MAX,
            is_overdrawn: false,
        }
    }

    /// For all texts within an answer of a control plane: a PodSpec has some hundred values, and a
    /// container of two in a text takes a kilobyte in memory.
    #[must_use]
    pub const fn of_answer() -> Self {
        Self {
            values_of_document: 10_000,
            values: 250_000,
            expanded: 4 * MAX_EXPANDED,
            is_overdrawn: false,
        }
    }

    /// Returns whether the texts were too much together, so that no other is read either.
    #[must_use]
    pub const fn is_overdrawn(&self) -> bool {
        self.is_overdrawn
    }

    /// Takes one value (a key counts as one), the last of `in_document`, which is at `at`.
    pub(super) fn spend_value(
        &mut self,
        in_document: usize,
        at: Position,
    ) -> Result<(), YamlError> {
        let limit = self.values_of_document;
        if in_document > limit {
            let what = format!("a document of it holds more than {limit} keys and values");
            return Err(YamlError::new(what, Some(at)));
        }
        match self.values.checked_sub(1) {
            Some(left) => {
                self.values = if self.values == usize::MAX { self.values } else { left };
                Ok(())
            }
            None => Err(self.together("they hold too many values")),
        }
    }

    /// Takes what a document with aliases comes to.
    pub(super) fn spend_expanded(&mut self, weight: usize) -> Result<(), YamlError> {
        if weight > MAX_EXPANDED {
            let what = format!(
                "it would take more than {MAX_EXPANDED} bytes with its aliases expanded: write it out"
            );
            return Err(YamlError::new(what, None));
        }
        match self.expanded.checked_sub(weight) {
            Some(left) => {
                self.expanded = if self.expanded == usize::MAX { self.expanded } else { left };
                Ok(())
            }
            None => Err(self.together("their aliases expand to too much")),
        }
    }

    fn together(&mut self, what: &str) -> YamlError {
        self.is_overdrawn = true;
        YamlError::new(format!("all YAML texts together are too much to read: {what}"), None)
    }
}
