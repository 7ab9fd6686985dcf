//! What the agent logs and reports, in words for people. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::stage::time_of_day;

/// How a line looks on a terminal.
#[derive(Clone, Copy, Debug)]
enum Tint {
    Good,
    Bad,
    Quiet,
    World,
}

/// One line of the timeline.
#[derive(Debug)]
pub(crate) struct Line {
    who: String,
    what: String,
    why: String,
    tint: Tint,
}

impl Line {
    fn new(who: &str, what: &str, why: impl Into<String>, tint: Tint) -> Self {
        Self { who: who.to_owned(), what: what.to_owned(), why: why.into(), tint }
    }

    /// Something that the agent did not do.
    pub(crate) fn world(what: &str) -> Self {
        Self::new(">", "", what, Tint::World)
    }
}

/// Writes lines, in colour where somebody sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    pub(crate) colour: bool,
}

impl Paint {
    /// Returns the line with the seconds since the agent was started.
    pub(crate) fn line(self, since: f64, line: &Line) -> String {
        let Line { who, what, why, tint } = line;
        let head = match tint {
            Tint::World => format!("{who} {why}"),
            Tint::Good | Tint::Bad | Tint::Quiet => format!("{who:<10} {what:<10} {why}"),
        };
        format!("{since:6.1} s  {}", self.tinted(head.trim_end(), *tint))
    }

    fn tinted(self, text: &str, tint: Tint) -> String {
        let code = match tint {
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Quiet => "2",
            Tint::World => "36",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What the status page says of one workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) word: String,
    reason: Option<String>,
    /// The next planned start.
    pub(crate) next_start: Option<DateTime<Utc>>,
    /// What it was last seen waiting for.
    waits_for: Option<Wait>,
}

/// What holds a workload back.
#[derive(Clone, Debug, PartialEq)]
enum Wait {
    Profile(String),
    Cron,
    Retry,
}

impl Status {
    /// Takes over what `before` waited for, unless something else holds the workload back by now.
    pub(crate) fn after(mut self, before: Option<&Self>) -> Self {
        let reason = self.reason.as_deref().unwrap_or_default();
        let profile = reason.strip_prefix("profile ").and_then(|it| it.split(':').next());
        self.waits_for = match profile {
            Some(profile) => Some(Wait::Profile(profile.to_owned())),
            None if self.word == "crashed" => Some(Wait::Retry),
            None if reason.contains("cron") => Some(Wait::Cron),
            None => before.and_then(|before| before.waits_for.clone()),
        };
        self
    }
}

/// Returns the workloads of a status page.
pub(crate) fn workloads(status: &Value) -> Vec<Status> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let rows = status["workloads"].as_array().into_iter().flatten();
    rows.map(|row| Status {
        name: text(&row["workload"]).unwrap_or_default(),
        word: text(&row["status"]).unwrap_or_default(),
        reason: text(&row["reason"]),
        next_start: row["next_start"].as_str().and_then(moment),
        waits_for: None,
    })
    .collect()
}

/// Returns when a line was logged.
pub(crate) fn time(line: &Value) -> Option<DateTime<Utc>> {
    line["time"].as_str().and_then(moment)
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// Returns what a line of the log means; nothing for those of no interest here. `before` is what
/// the status page said before it was logged, `after` what it says now.
pub(crate) fn line(log: &Value, before: &BTreeMap<String, Status>, after: &Value) -> Option<Line> {
    let field = |name: &str| log[name].as_str().unwrap_or_default();
    match field("message") {
        "verdict changed" => {
            let who = format!("{}/{}", field("profile"), field("condition"));
            Some(Line::new("condition", &who, field("explanation"), Tint::Quiet))
        }
        "workload changed" | "workload needs attention" => {
            let workload = field("workload");
            let detail = field("detail");
            Some(match field("reason") {
                "WorkloadStarted" => {
                    let why = why_started(before.get(workload), after);
                    Line::new(workload, "started", why, Tint::Good)
                }
                "WorkloadStopped" => {
                    let now = workloads(after).into_iter().find(|now| now.name == workload);
                    let why = now.and_then(|now| now.reason).unwrap_or_else(|| detail.to_owned());
                    Line::new(workload, "stopped", why, Tint::Bad)
                }
                "WorkloadFinished" => Line::new(workload, "finished", detail, Tint::Good),
                "WorkloadFailed" => Line::new(workload, "failed", detail, Tint::Bad),
                other => Line::new(workload, other, detail, Tint::Quiet),
            })
        }
        _ => None,
    }
}

/// Says why a workload was started, from what held it back before.
fn why_started(before: Option<&Status>, after: &Value) -> String {
    match before.and_then(|before| before.waits_for.as_ref()) {
        None => "nothing holds it back: it names no profile and no cron".to_owned(),
        Some(Wait::Cron) => "its cron tick has come".to_owned(),
        Some(Wait::Retry) => "again, after the delay of its retry".to_owned(),
        Some(Wait::Profile(profile)) => {
            let profiles = after["profiles"].as_array().into_iter().flatten();
            let explained: Vec<String> = profiles
                .filter(|row| row["name"] == **profile)
                .flat_map(|row| row["conditions"].as_array().into_iter().flatten())
                .filter(|row| row["verdict"] == "true")
                .map(|row| format!("{} is true", row["name"].as_str().unwrap_or_default()))
                .collect();
            format!("profile {profile}: {}", explained.join(", "))
        }
    }
}

/// Says that a workload waits, when it begins to.
pub(crate) fn waiting(before: Option<&Status>, now: &Status) -> Option<Line> {
    let reason = now.reason.as_deref()?;
    if before.is_some() || now.waits_for.is_none() {
        return None;
    }
    let next = now.next_start.map(|at| format!("; next run at {}", time_of_day(at)));
    let why = format!("{reason}{}", next.unwrap_or_default());
    Some(Line::new(&now.name, "waits", why, Tint::Quiet))
}
