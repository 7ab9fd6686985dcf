//! Asks podman no faster than it answers, and nothing twice at the same time.

pub(in crate::podman_executor) mod pace;
pub(in crate::podman_executor) mod paced;
pub(in crate::podman_executor) mod queue;
