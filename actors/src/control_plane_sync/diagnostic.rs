//! Something about a configuration that its author should know, while the rest of it is used.

use std::fmt;

use grammar::shortened;

use crate::workload::{EventReason, WorkloadName};

/// Longest message, in characters: it repeats words of a file.
const MAX_MESSAGE: usize = 1_024;

/// Something about a configuration, or about a file of one, that its author should know.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// What is wrong, where, what follows from it and how to mend it, in plain words.
    pub message: String,
    /// What sort of event it is.
    pub reason: EventReason,
    /// The workload that it is about, if it is about one.
    pub workload: Option<WorkloadName>,
}

impl Diagnostic {
    /// Makes one about `place`: a file, or a part of an answer.
    #[must_use]
    pub fn new(reason: EventReason, place: &str, message: &str) -> Self {
        let message = shortened(&format!("{place}: {message}"), MAX_MESSAGE).into_owned();
        Self { message, reason, workload: None }
    }

    /// Says which workload it is about; one without a name is none.
    #[must_use]
    pub fn about(mut self, workload: &str) -> Self {
        self.workload = Some(workload).filter(|name| !name.is_empty()).map(WorkloadName::from);
        self
    }

    /// Returns whether it is wrong. Anything else is a notice: it was read, and this is how.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        let problems = [
            EventReason::CronInvalid,
            EventReason::ConditionFailed,
            EventReason::FieldUnknown,
            EventReason::ManifestRefused,
            EventReason::ProfileUnknown,
            EventReason::WorkloadRejected,
        ];
        problems.contains(&self.reason)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
