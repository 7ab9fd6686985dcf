//! Reads how the host does, and posts it to the agent: a first source of metrics, and an example of one.
//!
//! Reading order: [`host`] reads files, [`samples`] makes numbers of them, [`body`] writes those as the
//! agent wants them, [`agent`] posts them.

pub mod agent;
pub mod body;
pub mod host;
pub mod samples;
pub mod settings;

use host::Folders;
use samples::{CpuTimes, Sample};

/// What is kept from one turn to the next.
#[derive(Debug)]
pub struct Probe {
    folders: Folders,
    cpu: Option<CpuTimes>,
}

impl Probe {
    /// Returns a probe of the host whose files are in `folders`.
    #[must_use]
    pub const fn new(folders: Folders) -> Self {
        Self { folders, cpu: None }
    }

    /// Reads the host. The first turn has no `cpu`, which is the difference between two.
    pub fn measure(&mut self) -> Vec<Sample> {
        let facts = host::read(&self.folders);
        let samples = samples::of(&facts, self.cpu);
        self.cpu = facts.stat.as_deref().and_then(CpuTimes::parse);
        samples
    }
}
