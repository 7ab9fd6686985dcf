//! Scheduler: decides which workloads run, from configuration, verdicts and observations.

mod actor;
pub mod cron;
mod decision;
mod dependencies;
mod eligibility;
mod governor;
mod halt;
mod job;
mod observed;
mod plan;
mod queue;
mod report;
mod table;

#[cfg(test)]
mod tests;

pub use actor::{Scheduler, SchedulerDeps};
pub use cron::clock_trust::{ClockEvidence, ClockWitness, CronClock, Written};
pub use table::SchedulerSettings;
