//! Fakes, builders and stand-ins for tests; compiled only with the feature `testing`.

pub mod actions;
pub mod control_plane;
pub mod edge_api;
pub mod fake_clock_witness;
pub mod fake_cluster;
pub mod fake_podman;
pub mod log_table;
pub mod podman;
pub mod podman_desk;
pub mod pods;
pub mod probe;
pub mod safety;
pub mod status_table;
pub mod workloads;
