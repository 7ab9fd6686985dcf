//! scheduler.

pub mod cron;
pub mod retry;
