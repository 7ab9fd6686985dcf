//! Keeps metric values and profiles; publishes which conditions hold.

mod actor;
mod metrics;
mod profiles;

pub use actor::{EvaluatorDeps, ProfileEvaluator};
pub use metrics::SharedMetrics;
