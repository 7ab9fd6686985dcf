//! `check`: what counts of the configuration, and what is wrong with the manifests that it names.

use std::fmt::Write as _;
use std::io;

use actors::control_plane_sync::{Manifests, manifests_once};
use actors::workload::{Configuration, ProfileCondition, ProfileRef};
use grammar::{Condition, printable};

use super::Answer;
use crate::config::{Loaded, Origin};

/// Name of the command.
pub const NAME: &str = "check";

/// Exit code of a configuration or of manifests that cannot be used as they are.
const UNUSABLE: u8 = 2;

/// Reads the manifests, if there shall be any, and answers.
#[must_use]
pub fn answer(loaded: &Loaded) -> Answer {
    match &loaded.config.origin {
        Origin::Manifests(folder) => {
            tell(loaded, Some(manifests_once(folder, &loaded.config.device_id)))
        }
        Origin::ControlPlane(_) => tell(loaded, None),
    }
}

/// Tells every setting with its value and its source, and besides what is doubtful or wrong.
fn tell(loaded: &Loaded, manifests: Option<io::Result<Manifests>>) -> Answer {
    let mut answer =
        Answer { output: String::from("configuration is good\n"), ..Answer::default() };
    // Writing to a string cannot fail.
    for warning in &loaded.warnings {
        let _ = writeln!(answer.remarks, "warning: {warning}");
    }
    for effective in &loaded.effective {
        let key = effective.key;
        let _ = match &effective.value {
            Some(value) => {
                let line = format!("{value}  ({})", effective.source);
                writeln!(answer.output, "  {key:<23} {}", printable(&line))
            }
            None => writeln!(answer.output, "  {key:<23} not set"),
        };
    }
    for made in &loaded.would_make {
        let _ = writeln!(answer.output, "a start makes {}", printable(made));
    }
    match manifests {
        None => {}
        Some(Ok(manifests)) => {
            for warning in &manifests.warnings {
                let _ = writeln!(answer.remarks, "warning: {}", printable(warning));
            }
            tell_manifests(&mut answer, &manifests.configuration, manifests.problems);
        }
        Some(Err(error)) => {
            let _ = writeln!(answer.remarks, "the manifests cannot be read: {error}");
            answer.code = UNUSABLE;
        }
    }
    answer
}

fn tell_manifests(answer: &mut Answer, wanted: &Configuration, of_files: Vec<String>) {
    let problems = problems_of(wanted, of_files);
    if problems.is_empty() {
        let workloads = counted(wanted.workloads.len(), "workload");
        let profiles = counted(wanted.profiles.len(), "profile");
        let _ = writeln!(answer.output, "manifests are good: {workloads}, {profiles}");
        return;
    }
    let count = counted(problems.len(), "problem");
    let _ = writeln!(answer.remarks, "the manifests have {count}:");
    for problem in problems {
        // On one line: names in it may be anything.
        let _ = writeln!(answer.remarks, "  {}", printable(&problem));
    }
    answer.code = UNUSABLE;
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Returns the problems of files, then those of workloads and of conditions.
fn problems_of(wanted: &Configuration, of_files: Vec<String>) -> Vec<String> {
    let mut problems = of_files;
    problems
        .extend(wanted.rejected.iter().map(|it| format!("workload {}: {}", it.name, it.reason)));
    for workload in &wanted.workloads {
        let missing = workload.profiles.iter().filter_map(|needed| missing(wanted, needed));
        problems.extend(missing.map(|what| format!("workload {}: {what}", workload.name)));
    }
    for profile in &wanted.profiles {
        let wrong = |condition: &ProfileCondition| {
            let error = Condition::parse(&condition.expression).err()?;
            Some(format!("profile {}, condition {}: {error}", profile.name, condition.name))
        };
        problems.extend(profile.conditions.iter().filter_map(wrong));
    }
    problems
}

/// Returns what the device lacks of a profile that a workload needs.
fn missing(wanted: &Configuration, needed: &ProfileRef) -> Option<String> {
    let name = &needed.name;
    let Some(profile) = wanted.profiles.iter().find(|profile| profile.name == *name) else {
        return Some(format!("the device has no profile {name}"));
    };
    let is_there = |name: &_| profile.conditions.iter().any(|it| it.name == *name);
    let lost = needed.conditions.iter().find(|condition| !is_there(&condition.name))?;
    Some(format!("profile {name} of the device has no condition {}", lost.name))
}
