//! The packages, installed on a machine that systemd runs: `make test-package`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test of real processes, in real time"
)]

mod container;
mod contents;
mod deb;
mod machine;
mod user;
