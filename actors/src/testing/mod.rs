//! testing.

pub mod control_plane;
pub mod edge_api;
