//! `check`: what counts of the configuration, and what is wrong with the manifests that it names.

mod manifests;

use std::fmt::Write as _;
use std::io;

use actors::control_plane_sync::{Diagnostic, Manifests, manifests_once};
use clap::{Arg, ArgAction, ArgMatches};
use grammar::printable;
use serde_json::{Value, json};

use super::Answer;
use crate::config::{Loaded, Origin};

/// Name of the command.
pub const NAME: &str = "check";

/// Exit code of a configuration or of manifests that cannot be used as they are.
const UNUSABLE: u8 = 2;

const STRICT: &str = "strict";
const JSON: &str = "json";

const HELP: &str = "\
Problems keep something from running as it is written; notices say what was read otherwise, or is
for others. Exit codes: 0 good, also with notices; 2 problems, wrong usage or configuration.";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    clap::Command::new(NAME)
        .about("Check the configuration and its manifests, show what counts: exit code 0 or 2")
        .after_help(HELP)
        .arg(flag(STRICT, "Make notices problems"))
        .arg(flag(JSON, "Answer in JSON, for pipelines"))
}

/// How to check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// Notices are problems.
    pub is_strict: bool,
    /// Answers in JSON.
    pub in_json: bool,
}

impl From<&ArgMatches> for Question {
    fn from(matches: &ArgMatches) -> Self {
        Self { is_strict: matches.get_flag(STRICT), in_json: matches.get_flag(JSON) }
    }
}

/// Reads the manifests, if there shall be any, and answers.
#[must_use]
pub fn answer(question: Question, loaded: &Loaded) -> Answer {
    let manifests = match &loaded.config.origin {
        Origin::Manifests(folder) => Some(manifests_once(folder, &loaded.config.device_id)),
        Origin::ControlPlane(_) => None,
    };
    let found = Found::new(question, loaded, manifests);
    let (output, remarks) = match question.in_json {
        true => (found.in_json(loaded), String::new()),
        false => (found.in_words(loaded), found.remarks()),
    };
    let is_good = found.problems.is_empty() && found.unread.is_none();
    let code = if is_good { 0 } else { UNUSABLE };
    Answer { output, remarks, code }
}

/// What a check comes to.
struct Found {
    warnings: Vec<String>,
    problems: Vec<Diagnostic>,
    notices: Vec<Diagnostic>,
    /// Workloads and profiles, where manifests were read.
    counts: Option<(usize, usize)>,
    /// Why the folder of manifests cannot be read.
    unread: Option<String>,
}

impl Found {
    fn new(question: Question, loaded: &Loaded, manifests: Option<io::Result<Manifests>>) -> Self {
        let mut found = Self {
            warnings: loaded.warnings.iter().map(ToString::to_string).collect(),
            problems: Vec::new(),
            notices: Vec::new(),
            counts: None,
            unread: None,
        };
        match manifests {
            None => {}
            Some(Ok(manifests)) => {
                found.warnings.extend(manifests.warnings.iter().cloned());
                let all = manifests::diagnostics(&manifests);
                (found.problems, found.notices) =
                    all.into_iter().partition(|it| question.is_strict || it.is_problem());
                let wanted = &manifests.configuration;
                found.counts = Some((wanted.workloads.len(), wanted.profiles.len()));
            }
            Some(Err(error)) => {
                found.unread = Some(format!("the manifests cannot be read: {error}"));
            }
        }
        found
    }

    /// Returns every setting with its value and its source, and the good news.
    fn in_words(&self, loaded: &Loaded) -> String {
        let mut output = String::from("configuration is good\n");
        // Writing to a string cannot fail.
        for effective in &loaded.effective {
            let key = effective.key;
            let _ = match &effective.value {
                Some(value) => {
                    let line = format!("{value}  ({})", effective.source);
                    writeln!(output, "  {key:<23} {}", printable(&line))
                }
                None => writeln!(output, "  {key:<23} not set"),
            };
        }
        for made in &loaded.would_make {
            let _ = writeln!(output, "a start makes {}", printable(made));
        }
        if let (Some((workloads, profiles)), true) = (self.counts, self.problems.is_empty()) {
            let (workloads, profiles) =
                (counted(workloads, "workload"), counted(profiles, "profile"));
            let _ = writeln!(output, "manifests are good: {workloads}, {profiles}");
        }
        output
    }

    /// Returns what is doubtful, wrong or noted, on one line each: names in it may be anything.
    fn remarks(&self) -> String {
        let mut remarks = String::new();
        for warning in &self.warnings {
            let _ = writeln!(remarks, "warning: {}", printable(warning));
        }
        if let Some(unread) = &self.unread {
            let _ = writeln!(remarks, "{unread}");
        }
        if !self.problems.is_empty() {
            let count = counted(self.problems.len(), "problem");
            let _ = writeln!(remarks, "the manifests have {count}:");
        }
        for problem in &self.problems {
            let _ = writeln!(remarks, "  {}", printable(&problem.message));
        }
        for notice in &self.notices {
            let _ = writeln!(remarks, "notice: {}", printable(&notice.message));
        }
        remarks
    }

    fn in_json(&self, loaded: &Loaded) -> String {
        let diagnostics = |all: &[Diagnostic]| -> Vec<Value> {
            let one = |it: &Diagnostic| {
                let workload = it.workload.as_ref().map(|name| name.as_str());
                json!({"reason": it.reason, "workload": workload, "message": it.message})
            };
            all.iter().map(one).collect()
        };
        let settings = loaded.effective.iter().map(|it| {
            let source = it.source.to_string();
            (it.key.to_owned(), json!({"value": it.value, "source": source}))
        });
        let settings: serde_json::Map<String, Value> = settings.collect();
        let answer = json!({
            "good": self.problems.is_empty() && self.unread.is_none(),
            "problems": diagnostics(&self.problems),
            "notices": diagnostics(&self.notices),
            "warnings": self.warnings,
            "unread": self.unread,
            "workloads": self.counts.map(|(workloads, _)| workloads),
            "profiles": self.counts.map(|(_, profiles)| profiles),
            "settings": settings,
        });
        format!("{answer:#}\n")
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
