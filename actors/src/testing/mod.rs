//! testing.

pub mod probe;
