//! scheduler.

pub mod cron;
