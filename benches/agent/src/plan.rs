//! What is run, and how long: all of it, or just enough to see that it works.

use std::path::PathBuf;
use std::time::Duration;

/// The programs under measurement, and the sizes of the runs.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The agent.
    pub(crate) agent: PathBuf,
    /// The server that only parses.
    pub(crate) baseline: PathBuf,
    /// Whether the figures count: the programs are as shipped, the runs long.
    pub(crate) is_full: bool,
}

impl Plan {
    /// Returns `full` or `short`, by the mode.
    pub(crate) const fn of<T: Copy>(&self, full: T, short: T) -> T {
        if self.is_full { full } else { short }
    }

    /// Returns how long one load lasts.
    pub(crate) const fn load_time(&self) -> Duration {
        self.of(Duration::from_secs(5), Duration::from_millis(500))
    }
}
