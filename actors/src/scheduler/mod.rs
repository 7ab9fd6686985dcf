//! Scheduler: decides which workloads run, from configuration, verdicts and observations.

mod actor;
mod agenda;
mod aim;
mod circles;
mod clock_trust;
mod clockwork;
pub mod cron;
mod dependencies;
mod details;
mod eligibility;
mod halt;
mod images;
mod job;
mod jobs;
mod judgement;
mod lifecycle;
mod notices;
mod observation;
mod outcomes;
mod plan;
mod planning;
mod report;
pub mod retry;
mod rollback;
mod run;
mod runtimes;
mod settings;
mod start_budget;
mod tally;
mod upkeep;

#[cfg(test)]
mod tests;

pub use actor::{Scheduler, SchedulerDeps};
pub use clock_trust::{ClockEvidence, ClockWitness, CronClock, Written};
pub use settings::SchedulerSettings;
