//! Values that are never shown.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A value that never appears in a log or in `Debug` output, and is wiped from memory when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidential<T: zeroize::Zeroize>(zeroize::Zeroizing<T>);

impl<T: zeroize::Zeroize> Confidential<T> {
    /// Wraps `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(zeroize::Zeroizing::new(value))
    }

    /// Returns the value; the caller must not log it.
    #[must_use]
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: zeroize::Zeroize + Hash> Hash for Confidential<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl<T: zeroize::Zeroize> fmt::Debug for Confidential<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[confidential]")
    }
}
