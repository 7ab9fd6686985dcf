//! `status`: how the running agent and its workloads do, and why.

pub(super) mod address;
mod client;
mod overview;
mod words;
mod workload;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use actors::metrics_ingest::Listen;
use actors::podman_executor::{KeptRun, kept_runs_of};
use clap::{Arg, ArgAction, ArgMatches};
use grammar::{printable, printable_json, printable_lines};
use serde_json::Value;

pub(super) use self::client::ask;
use self::words::Paint;
use super::Answer;
use crate::config::Sources;
use crate::runtime_dir;

/// Name of the command.
pub const NAME: &str = "status";

/// Exit code when the agent has no workload of the name; 2 is wrong usage or configuration.
const UNKNOWN: u8 = 1;
/// Exit code of a configuration that cannot be read.
const UNUSABLE: u8 = 2;
/// Exit code when no agent answers, as service managers have it.
const NOT_RUNNING: u8 = 3;

const WORKLOAD: &str = "WORKLOAD";
const AS_JSON: &str = "json";
const WATCH: &str = "watch";

/// How often a watching command asks.
const WATCH_PERIOD: Duration = Duration::from_secs(1);
/// Moves to the upper left corner of a terminal and clears it.
const CLEAR: &str = "\x1b[H\x1b[2J";

const HELP: &str = "\
Asks the agent at its METRICS_LISTEN, which is read from the flags before the command's name, the
variables and the file as the agent reads it. Colour is for terminals, and not with NO_COLOR.
Exit codes: 0 shown, 1 no such workload, 2 wrong usage or configuration, 3 no agent answers.

Examples:
  device-worker-ng status
  device-worker-ng status web --watch
  device-worker-ng status --address unix:/run/device-worker-ng.sock --json";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new(NAME)
        .about("Show how the running agent does, or why one workload is as it is")
        .after_help(HELP)
        .arg(Arg::new(WORKLOAD).help("Explain this workload: what holds it where it is"))
        .arg(address::arg())
        .arg(flag(AS_JSON, "Print JSON, in the format of docs/status.md"))
        .arg(flag(WATCH, "Show it again whenever it has changed, until interrupted"))
}

/// What is to be shown.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Only this workload, explained.
    pub workload: Option<String>,
    /// Where the agent listens, if not as configured.
    pub address: Option<Listen>,
    /// JSON, not tables.
    pub as_json: bool,
    /// Go on until interrupted.
    pub watch: bool,
}

impl From<&ArgMatches> for Question {
    fn from(matches: &ArgMatches) -> Self {
        Self {
            workload: matches.get_one(WORKLOAD).cloned(),
            address: address::given(matches),
            as_json: matches.get_flag(AS_JSON),
            watch: matches.get_flag(WATCH),
        }
    }
}

/// Asks the agent and shows its answer; again and again if that is asked for.
#[must_use]
pub fn run(question: &Question, sources: &Sources) -> ExitCode {
    let listens = match address::all(question.address.as_ref(), sources) {
        Ok(listens) => listens,
        Err(errors) => return Answer { code: UNUSABLE, ..remark(&errors) }.report(),
    };
    let is_terminal = io::stdout().is_terminal();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let paint = Paint { colour: is_terminal && !no_colour };
    if question.watch {
        return watch(question, &listens, paint, is_terminal);
    }
    // Cells of tables are printable.
    answer(question, &listens, paint).report_painted()
}

fn answer(question: &Question, listens: &[Listen], paint: Paint) -> Answer {
    match client::ask(listens) {
        Ok(status) => shown(question, &status, last_failed_run(question).as_ref(), paint),
        Err(error) => Answer { code: NOT_RUNNING, ..remark(&error) },
    }
}

fn remark(error: &dyn std::fmt::Display) -> Answer {
    Answer {
        remarks: format!("error: {}\n", printable_lines(&error.to_string())),
        ..Answer::default()
    }
}

/// Returns the last failed run of the workload that is to be explained, if one is kept that this user may
/// read: the agent's user may.
fn last_failed_run(question: &Question) -> Option<KeptRun> {
    let workload = question.workload.as_ref().filter(|_| !question.as_json)?;
    let folder = runtime_dir::kept_logs_of_service(rustix::process::geteuid().is_root())?;
    let runs = kept_runs_of(&folder, workload).ok()?;
    runs.into_iter().next()
}

/// Returns what a status comes to. Pure.
fn shown(question: &Question, status: &Value, failed: Option<&KeptRun>, paint: Paint) -> Answer {
    let output = |output| Answer { output, ..Answer::default() };
    let Some(name) = &question.workload else {
        return output(if question.as_json {
            json(status)
        } else {
            overview::overview(status, paint)
        });
    };
    match workload::find(status, name) {
        Some(row) if question.as_json => output(json(row)),
        Some(row) => output(workload::explain(status, row, failed, paint)),
        None => Answer { code: UNKNOWN, ..remark(&unknown(status, name)) },
    }
}

fn json(value: &Value) -> String {
    format!("{}\n", printable_json(&value.to_string()))
}

fn unknown(status: &Value, name: &str) -> String {
    if status["workloads"].is_null() {
        return "the scheduler is silent: nothing is known of the workloads".to_owned();
    }
    let known: Vec<_> = words::list(&status["workloads"])
        .map(|it| printable(words::text(&it["workload"])))
        .collect();
    let name = printable(name);
    match known.as_slice() {
        [] => format!("the agent has no workload {name}: it has none"),
        known => format!("the agent has no workload {name}, but these: {}", known.join(", ")),
    }
}

/// Shows what has changed until the reader goes away. An agent that is not there may come back.
fn watch(question: &Question, listens: &[Listen], paint: Paint, clear: bool) -> ExitCode {
    let mut last = String::new();
    loop {
        let Answer { output, remarks, .. } = answer(question, listens, paint);
        let text = format!("{remarks}{output}");
        if text != last {
            let start = if clear { CLEAR } else { "" };
            let written = write!(io::stdout(), "{start}{text}").and_then(|()| io::stdout().flush());
            if written.is_err() {
                return ExitCode::SUCCESS;
            }
            last = text;
        }
        // Waking early is harmless.
        std::thread::park_timeout(WATCH_PERIOD);
    }
}

#[cfg(test)]
mod tests;
