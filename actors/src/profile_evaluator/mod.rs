//! Keeps metric values and profiles; publishes which conditions hold.

mod actor;
mod local_clock;
mod metrics;
mod profiles;

pub use actor::{EvaluatorDeps, ProfileEvaluator};
pub use local_clock::local_clock;
pub use metrics::SharedMetrics;
