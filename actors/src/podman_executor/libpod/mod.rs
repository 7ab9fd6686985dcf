//! podman's API over its socket: calls, answers, and what its words mean.

pub(super) mod api;
pub(super) mod bounds;
pub(super) mod client;
pub(super) mod damage;
pub(super) mod error_text;
pub(super) mod events;
pub(super) mod http;
pub(super) mod image_rows;
pub(super) mod in_force;
pub(super) mod pacing;
pub(super) mod refusal;
pub(super) mod types;
