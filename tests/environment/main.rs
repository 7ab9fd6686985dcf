//! What a developer's machine may lack or have: other package managers, no root, no network, no
//! cargo, and locks that another program holds. Programs that would change the machine are played.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and asks the real clock"
)]

mod apt;
mod deny;
mod install;
mod make;
mod stage;
