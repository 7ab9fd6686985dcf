//! Probes: what they try, and what becomes of a container's health.

pub(in crate::podman_executor) mod attempt;
pub(in crate::podman_executor) mod health;
mod healthcheck;
pub(in crate::podman_executor) mod network;
pub(in crate::podman_executor) mod tracker;
pub(in crate::podman_executor) mod volume_watch;
