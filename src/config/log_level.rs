//! What is logged, and how it looks.

use std::fmt;
use std::str::FromStr;

use super::values::{ValueError, choice, refuse};

/// Crates whose records a bare log level is about; it never makes libraries chatty.
const OUR_TARGETS: [&str; 3] = ["device_worker_ng", "actors", "grammar"];

/// Libraries that log each failed call as an error: the agent says once what came of it. One that is
/// named with a level speaks.
const SILENT_TARGETS: [&str; 1] = ["kube_client"];

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel {
    written: String,
    directives: String,
}

impl LogLevel {
    /// Returns the directives in the language of `tracing_subscriber::filter::Targets`.
    #[must_use]
    pub fn directives(&self) -> &str {
        &self.directives
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for LogLevel {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut directives = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((target, level)) => {
                    let level = log_level(level)?;
                    directives.push(format!("{}={level}", log_target(target)?));
                }
                None => {
                    let level = log_level(part)?;
                    let others = if level == "error" || level == "off" { level } else { "warn" };
                    directives.push(others.to_owned());
                    directives.extend(SILENT_TARGETS.map(|target| format!("{target}=off")));
                    directives.extend(OUR_TARGETS.map(|target| format!("{target}={level}")));
                }
            }
        }
        if directives.is_empty() {
            return refuse("names no level; write info");
        }
        Ok(Self { written: text.to_owned(), directives: directives.join(",") })
    }
}

fn log_level(text: &str) -> Result<&'static str, ValueError> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    choice(text.trim(), &LEVELS)
}

/// Returns the target if it is a Rust path; spans and fields are not offered.
fn log_target(text: &str) -> Result<&str, ValueError> {
    let target = text.trim();
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '-';
    if target.is_empty() || !target.chars().all(legal) {
        return refuse(&format!("has target \"{target}\", which is no module path"));
    }
    Ok(target)
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}
