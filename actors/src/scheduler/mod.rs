//! Scheduler: decides which workloads run, from configuration, verdicts and observations.

mod actor;
mod clock_trust;
mod configure;
pub mod cron;
mod decision;
mod dependencies;
mod dispatch;
mod eligibility;
mod events;
mod halt;
mod job;
mod observed;
mod plan;
mod queue;
mod report;
mod stats;
mod table;

#[cfg(test)]
mod tests;

pub use actor::{Scheduler, SchedulerDeps};
pub use clock_trust::{ClockEvidence, ClockWitness, CronClock, Written};
pub use table::SchedulerSettings;
