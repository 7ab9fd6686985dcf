//! The actors together, under their supervisors, among fakes and in virtual time: one story a module.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the helpers of a test fail as the test does"
)]

mod actor_survives_panic;
mod boots_offline;
mod command_fails;
mod configuration_starts_pod;
mod crash_restarts_pod;
mod cron_waits_for_clock;
mod metric_stops_pod;
mod probes;
mod rig;
mod runtime_is_away;
mod updates;
