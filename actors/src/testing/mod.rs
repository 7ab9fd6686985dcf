//! testing.

pub mod edge_api;
