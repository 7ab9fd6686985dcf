//! The agent as a whole: its own binary, real podman, a control plane over TLS, real time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test of real processes, in real time"
)]

#[allow(dead_code, reason = "the attacks on the agent use more of it")]
mod agent;
mod bad_input;
mod control_plane;
mod device;
mod gate;
mod governor;
mod hooks;
mod idle;
mod logs;
mod manifests;
mod meaning;
mod memory;
mod metrics;
mod oom_score;
mod overload;
mod podman_trouble;
mod pods;
mod probe;
mod probes;
mod replacement;
mod restarts;
mod rootless;
mod runs;
mod secrecy;
mod status;
mod support_bundle;
mod trace;
mod updates;
