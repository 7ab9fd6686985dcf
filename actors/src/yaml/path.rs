//! The way to a value within a document.

use std::fmt;

/// The keys that lead to a value.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    Root,
    Key(&'p Path<'p>, &'p str),
    Index(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Key(Path::Root, key) => f.write_str(key),
            Path::Key(outer, key) => write!(f, "{outer}.{key}"),
            Path::Index(outer, index) => write!(f, "{outer}[{index}]"),
        }
    }
}
