//! Attacks on a running agent: each plays one that docs/security.md says is held.
//!
//! The agent is its own binary; podman, users and sockets are real. Modules are named by the
//! attacker. docs/security.md names the test that holds each promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test of real processes, in real time"
)]

#[path = "../real/shared.rs"]
mod shared;

use shared::{agent, device, pods, secrecy};

mod control_plane;
mod core_dumps;
mod deep_folders;
mod hostile_podman;
mod listener;
mod passed_sockets;
mod rootless_peer;
mod stage;
mod state_dir;
mod subpath;
mod texts;
