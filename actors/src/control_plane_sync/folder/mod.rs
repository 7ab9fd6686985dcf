//! A folder of manifests as the source of configurations.

pub(super) mod exposure;
pub(super) mod manifests;
pub(super) mod reader;
pub(super) mod source;
