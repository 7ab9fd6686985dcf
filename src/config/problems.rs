//! What can be wrong with a configuration, and where it was written.

use std::fmt;
use std::path::PathBuf;

use grammar::printable;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is not set.
    Default,
    /// The configuration file.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => {
                path.display().fmt(f)?;
                line.map_or(Ok(()), |line| write!(f, ":{line}"))
            }
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong, or doubtful.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The setting, as its key is spelt in the table or by its author; empty for the file itself.
    pub key: String,
    /// Where it was written; absent when it was not.
    pub source: Option<Source>,
    /// What is wrong and how to mend it. Never holds a secret.
    pub message: String,
}

impl Problem {
    pub(crate) fn new(
        key: impl Into<String>,
        source: impl Into<Option<Source>>,
        message: impl Into<String>,
    ) -> Self {
        Self { key: key.into(), source: source.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    /// Writes it on one line: keys and values may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = &self.message;
        let text = match (&self.source, self.key.as_str()) {
            (Some(source), "") => format!("{source}: {message}"),
            (Some(source), key) => format!("{key} ({source}): {message}"),
            (None, key) => format!("{key}: {message}"),
        };
        f.write_str(&printable(&text))
    }
}

/// Something doubtful that does not keep the agent from running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(pub Problem);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// All problems; at least one.
    pub problems: Vec<Problem>,
    /// What is doubtful besides.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.len() {
            1 => f.write_str("the configuration has 1 problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
