//! testing.
pub mod fake_cluster;
