//! testing.

pub mod fake_podman;
pub mod podman;
pub mod podman_desk;
