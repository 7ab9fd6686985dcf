//! The control plane: its API over HTTPS, and what the device says of itself there.

pub mod advice;
pub(super) mod api;
pub(super) mod ca_root;
pub(super) mod client;
pub(super) mod endpoint;
pub(super) mod error;
pub(super) mod hardware;
pub(super) mod tls;
pub(super) mod wire;
