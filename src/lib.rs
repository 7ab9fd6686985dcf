//! The agent around its actors: settings, logs, signals and the wiring.

pub mod config;
pub mod settings;
