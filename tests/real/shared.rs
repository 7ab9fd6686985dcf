//! What other test binaries take from here: a device, its agent, its pods.

#[allow(dead_code, reason = "each binary uses what it needs")]
pub mod agent;
#[allow(dead_code, reason = "each binary uses what it needs")]
pub mod device;
#[allow(dead_code, reason = "each binary uses what it needs")]
pub mod pods;
pub mod secrecy;
