//! What the agent's settings say about scheduling.

use std::collections::BTreeMap;

use super::clock_trust::CronClock;
use crate::workload::{ExecutorKind, RetryPolicy};

/// Settings of the scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// The retry of workloads that bring none.
    pub retry: RetryPolicy,
    /// How many pulls, and how many starts, may be under way on the device at once; at least 1.
    pub start_budget: usize,
    /// When cron follows the wall clock.
    pub cron_clock: CronClock,
    /// Runtimes without an executor, each with the words that tell how to get it.
    pub unconfigured: BTreeMap<ExecutorKind, String>,
}
