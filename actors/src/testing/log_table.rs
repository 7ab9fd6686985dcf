//! The tables of `docs/logs.md`, to check log lines and the sources against.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::DateTime;
use serde_json::{Map, Value};

const DOCUMENT: &str = include_str!("../../../docs/logs.md");

/// Fields that a line has of the actor and the command that it was logged for.
const CONTEXT: [&str; 4] = ["actor", "job_id", "workload", "executor"];

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(rows);
static FIELDS: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(fields);

/// One row of the table of messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The message.
    pub message: String,
    /// Its severity, `WARN`.
    pub severity: String,
    /// The fields that are its own.
    pub fields: BTreeSet<String>,
}

/// Returns the documented messages.
#[must_use]
pub fn rows() -> Vec<Row> {
    let rows = table("Messages").map(|cells| {
        let [message, severity, fields] = [0, 1, 2].map(|cell| cells.get(cell).copied());
        Row {
            message: quoted(message.unwrap_or_default()).into_iter().collect(),
            severity: severity.unwrap_or_default().to_owned(),
            fields: quoted(fields.unwrap_or_default()).into_iter().map(str::to_owned).collect(),
        }
    });
    rows.collect()
}

/// The documented fields, the keys of every line included, each with its type.
fn fields() -> BTreeMap<&'static str, &'static str> {
    let rows = table("Every line").chain(table("Fields"));
    rows.filter_map(|cells| Some((*quoted(cells.first()?).first()?, *cells.get(1)?))).collect()
}

/// Returns what is wrong with a line by the document.
#[must_use]
pub fn faults(line: &str) -> Vec<String> {
    match serde_json::from_str::<Map<String, Value>>(line) {
        Ok(line) => line_faults(&line),
        Err(error) => vec![format!("it is no JSON object: {error}")],
    }
}

fn line_faults(line: &Map<String, Value>) -> Vec<String> {
    let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut faults = Vec::new();
    if !text("time").ends_with('Z') || DateTime::parse_from_rfc3339(text("time")).is_err() {
        faults.push("its time is not RFC 3339 in UTC".to_owned());
    }
    if !["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("severity")) {
        faults.push("it has no known severity".to_owned());
    }
    if text("target").is_empty() || !line.get("message").is_some_and(Value::is_string) {
        faults.push("it has no target or no message".to_owned());
    }
    let part = text("target").split("::").next().unwrap_or_default();
    if ["actors", "device_worker_ng", "grammar"].contains(&part) {
        faults.extend(own_faults(line, text("message"), text("severity")));
    }
    faults
}

/// What is wrong with a line of the agent itself.
fn own_faults(line: &Map<String, Value>, message: &str, severity: &str) -> Vec<String> {
    let row = ROWS.iter().find(|row| row.message == message && row.severity == severity);
    let Some(row) = row else {
        return vec![format!("{severity} {message:?} is not documented")];
    };
    let mut faults = Vec::new();
    for (name, value) in line {
        let name = name.as_str();
        let is_known = ["time", "severity", "message", "target"].contains(&name)
            || CONTEXT.contains(&name)
            || row.fields.contains(name);
        if !is_known {
            faults.push(format!("{message:?} has a field {name}, which is not documented"));
        }
        let is_of_type = match FIELDS.get(name).copied() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some(_) | None => false,
        };
        if !is_of_type {
            faults.push(format!("{name} is not of its type: {value}"));
        }
    }
    faults
}

/// The rows of the table below a heading that name something, each in cells.
fn table(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let section = DOCUMENT.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.first().is_some_and(|first| first.starts_with('`')))
}

/// What stands between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(change: &str) -> String {
        let good = r#"{"time":"2026-03-01T10:15:30.250Z","severity":"ERROR",
            "message":"actor failed","target":"actors::supervisor","attempt":1,
            "actor":"scheduler","error":"e","delay":"1s"}"#;
        change.split_once(" to ").map_or(good.to_owned(), |(from, to)| good.replace(from, to))
    }

    #[test]
    fn a_line_as_documented_has_no_fault() {
        assert_eq!(faults(&line("")), Vec::<String>::new());
        // Libraries say what they like.
        assert_eq!(faults(&line("actors::supervisor to hyper::client")), Vec::<String>::new());
        let example = DOCUMENT.split("```json\n").nth(1).unwrap().lines().next().unwrap();
        assert_eq!(faults(example), Vec::<String>::new());
    }

    #[test]
    fn a_line_that_differs_from_the_document_has_a_fault() {
        for change in [
            "actor failed to actor has failed",
            "ERROR to WARN",
            "ERROR to FATAL",
            r#""attempt":1 to "attempt":"1""#,
            r#""error" to "cause""#,
            r#""delay":"1s" to "delay":1"#,
            r#""delay" to "workloads""#,
            "2026-03-01T10:15:30.250Z to yesterday",
            "10:15:30.250Z to 10:15:30+01:00",
            "target to place",
            "{ to <3>{",
            "} to ",
        ] {
            let line = line(change);
            assert!(!faults(&line).is_empty(), "{change}: {line}");
        }
    }

    #[test]
    fn every_field_of_a_message_is_in_the_table_of_fields() {
        for row in rows() {
            assert!(row.fields.iter().all(|field| FIELDS.contains_key(field.as_str())), "{row:?}");
        }
    }
}
