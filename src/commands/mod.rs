//! Commands that answer a question and end: no actors, nothing made on the disk.

pub mod check;
pub mod cron;
pub mod eval;
pub mod status;

use std::io::{self, Write};
use std::process::ExitCode;

/// What a command has to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The answer itself, whole lines.
    pub output: String,
    /// What is to be known besides, whole lines.
    pub remarks: String,
    /// The exit code.
    pub code: u8,
}

impl Answer {
    /// Writes remarks to standard error, then the answer to standard output. A reader that went
    /// away has read enough: no failure.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let _ = io::stderr().write_all(self.remarks.as_bytes());
        let _ = io::stdout().write_all(self.output.as_bytes());
        ExitCode::from(self.code)
    }
}
