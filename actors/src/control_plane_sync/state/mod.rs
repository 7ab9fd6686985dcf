//! The configuration in force, kept over restarts of the agent and of the device.

pub(super) mod deletion_guard;
pub(super) mod desired;
pub(super) mod store;
