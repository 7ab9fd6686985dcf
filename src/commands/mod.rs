//! Commands that answer a question and end: no actors, and nothing made on the disk but the file of a
//! bundle.

pub mod check;
pub mod cron;
pub mod eval;
pub mod logs;
pub mod schema;
pub mod status;
pub mod support_bundle;

use std::io::{self, Write};
use std::process::ExitCode;

use grammar::printable_lines;

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
    /// Writes remarks to standard error, then the answer to standard output, no more of either than
    /// can be shown: manifests, settings and arguments may hold anything. A reader that went away has
    /// read enough: no failure.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        self.write(&printable_lines(&self.output))
    }

    /// As [`Self::report`], of an answer whose colours are its own and whose texts are printable.
    #[must_use]
    pub fn report_painted(&self) -> ExitCode {
        self.write(&self.output)
    }

    fn write(&self, output: &str) -> ExitCode {
        let _ = io::stderr().write_all(printable_lines(&self.remarks).as_bytes());
        let _ = io::stdout().write_all(output.as_bytes());
        ExitCode::from(self.code)
    }
}
