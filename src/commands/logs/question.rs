//! How the command is used, and what it is asked.

use std::time::Duration;

use actors::LogQuery;
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::NAME;
use crate::config;

const WORKLOAD: &str = "WORKLOAD";
const CONTAINER: &str = "container";
const FOLLOW: &str = "follow";
const SINCE: &str = "since";
const TAIL: &str = "tail";
const PREVIOUS: &str = "previous";
const TIMESTAMPS: &str = "timestamps";

const HELP: &str = "\
Reads podman's sockets, or the cluster, as the settings name them; the agent need not run. The
settings are read from the flags before the command's name, the variables and the file as the agent
reads them. With several containers each line begins with its container's name.
Podman has no log of a run once its pod is removed: of a run that failed the agent keeps the last
64 KiB in memory, below the directory that systemd gives it (RUNTIME_DIRECTORY).
Exit codes: 0 shown, 1 no such log, 2 wrong usage or configuration, 3 no runtime answers.

Examples:
  device-worker-ng logs web --tail 20 -f
  device-worker-ng logs web -c proxy --since 10m --timestamps
  device-worker-ng logs web --previous";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new(NAME)
        .about("Show what the containers of a workload have written")
        .after_help(HELP)
        .arg(Arg::new(WORKLOAD).required(true).help("The workload, or the name of its pod"))
        .arg(
            Arg::new(CONTAINER)
                .short('c')
                .long(CONTAINER)
                .value_name("NAME")
                .help("Only this container of it"),
        )
        .arg(
            flag(FOLLOW, "Go on with what is written, until the container ends")
                .short('f')
                .conflicts_with(PREVIOUS),
        )
        .arg(
            Arg::new(SINCE)
                .long(SINCE)
                .value_name("TIME")
                .value_parser(since)
                .help("Only what was written in this time, 10m, or from a moment on, RFC 3339"),
        )
        .arg(
            Arg::new(TAIL)
                .long(TAIL)
                .value_name("N")
                .value_parser(value_parser!(u32))
                .help("Only the last lines of each container"),
        )
        .arg(flag(PREVIOUS, "The last run that failed and is gone, not the one that is there"))
        .arg(flag(TIMESTAMPS, "Begin each line with its time"))
}

/// From when on lines are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// So long before now.
    Ago(Duration),
    /// At a moment.
    At(DateTime<Utc>),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Since::At(at.to_utc()));
    }
    let ago = config::duration(text).map(Since::Ago);
    ago.map_err(|error| format!("{error}; or a moment, 2027-01-15T08:00:00Z"))
}

impl Since {
    pub(super) fn moment(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                let ago = TimeDelta::from_std(ago).unwrap_or(TimeDelta::MAX);
                now.checked_sub_signed(ago).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }
}

/// What is to be shown.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The workload's name, or its pod's.
    pub workload: String,
    /// Only this container.
    pub container: Option<String>,
    /// Go on until the container ends.
    pub follow: bool,
    /// Only from then on.
    pub since: Option<Since>,
    /// Only so many of the last lines.
    pub tail: Option<u32>,
    /// The last run that failed.
    pub previous: bool,
    /// Each line begins with its time.
    pub timestamps: bool,
}

impl Question {
    pub(super) fn query(&self, now: DateTime<Utc>) -> LogQuery {
        LogQuery {
            follow: self.follow,
            since: self.since.map(|since| since.moment(now)),
            tail: self.tail,
            timestamps: self.timestamps,
        }
    }
}

impl From<&ArgMatches> for Question {
    fn from(matches: &ArgMatches) -> Self {
        Self {
            workload: matches.get_one(WORKLOAD).cloned().unwrap_or_default(),
            container: matches.get_one(CONTAINER).cloned(),
            follow: matches.get_flag(FOLLOW),
            since: matches.get_one(SINCE).copied(),
            tail: matches.get_one(TAIL).copied(),
            previous: matches.get_flag(PREVIOUS),
            timestamps: matches.get_flag(TIMESTAMPS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_duration_or_a_moment() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (text, expected) in [
            ("90", Some("2027-01-15T07:58:30Z")),
            ("10m", Some("2027-01-15T07:50:00Z")),
            ("2027-01-15T09:00:00+02:00", Some("2027-01-15T07:00:00Z")),
            ("yesterday", None),
            ("", None),
        ] {
            let moment = since(text).ok().map(|since| since.moment(now));
            let expected = expected.map(|at| at.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(moment, expected, "{text}");
        }
        let wrong = since("yesterday").unwrap_err();
        assert!(wrong.contains("5s, 1h30m") && wrong.contains("2027-01-15T08"), "{wrong}");
    }
}
