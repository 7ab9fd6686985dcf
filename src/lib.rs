//! The agent around its actors: settings, logs, signals and the wiring.
//!
//! Reading order: [`settings`], [`config`], [`daemon`], [`system`].

mod about;
pub mod cli;
pub mod commands;
pub mod config;
pub mod core_dumps;
pub mod daemon;
pub mod logging;
pub mod notify;
pub mod oom_score;
pub mod passed_sockets;
pub mod runtime_dir;
pub mod runtimes;
pub mod settings;
pub mod shutdown;
pub mod signals;
pub mod state_lock;
pub mod system;
