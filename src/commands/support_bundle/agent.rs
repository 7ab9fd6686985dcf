//! What the agent itself says: its status and events, its configuration, and what is wrong with it.

use actors::metrics_ingest::Listen;
use serde_json::Value;

use super::gathering::Tray;
use crate::commands::status::address;
use crate::commands::{check, status};
use crate::config::{Config, Machine, Sources};

const STATUS: &str = "agent/status.json";
const EVENTS: &str = "agent/events.json";
const CONFIGURATION: &str = "configuration.txt";
const CHECK: &str = "check.txt";

/// What the agent says before words of a container: its last lines; and, with the code behind it, what a
/// command wrote, or the message with which a container of a cluster ended.
const LAST_LINES: &str = " wrote last: ";
const ENDS: [&str; 2] = ["exit code ", "ended with code "];
/// Stands for such words.
const LEFT_OUT: &str = "(left out; --logs)";

/// Asks the running agent. What containers wrote is left out unless it is asked for with the logs.
pub(super) fn status_and_events(
    address: Option<Listen>,
    with_logs: bool,
    sources: &Sources,
    tray: &Tray,
) {
    let listens = address::all(address.as_ref(), sources).map_err(|errors| errors.to_string());
    match listens.and_then(|listens| status::ask(&listens).map_err(|error| error.to_string())) {
        Ok(mut status) => {
            if !with_logs {
                leave_out_words(&mut status);
            }
            // A file of their own: events are what is read first.
            let events = status.get_mut("events").map(Value::take).unwrap_or_default();
            tray.json(STATUS, &status);
            tray.json(EVENTS, &events);
        }
        Err(reason) => tray.missing(STATUS, &reason),
    }
}

/// Checks the configuration and its manifests, as `check` does.
pub(super) fn configuration_and_check(sources: &Sources, tray: &Tray) {
    match Config::examine(sources, &Machine::this()) {
        Ok(loaded) => {
            let answer = check::answer(check::Question::default(), &loaded);
            tray.text(CONFIGURATION, &answer.output);
            tray.text(CHECK, &format!("{}exit code {}\n", answer.remarks, answer.code));
        }
        Err(errors) => {
            tray.missing(CONFIGURATION, "it cannot be read: check.txt says why");
            let warnings = errors.warnings.iter().map(|it| format!("warning: {it}\n"));
            tray.text(CHECK, &format!("{}{errors}\n", warnings.collect::<String>()));
        }
    }
}

/// Takes what containers wrote out of every text.
fn leave_out_words(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(kept) = before_words(text) {
                *text = format!("{kept}{LEFT_OUT}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_words),
        Value::Object(fields) => fields.values_mut().for_each(leave_out_words),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Returns what of a text the agent says itself, if words of a container follow.
fn before_words(text: &str) -> Option<&str> {
    let lines = text.match_indices(LAST_LINES).map(|(at, _)| at + LAST_LINES.len());
    let ends = ENDS.into_iter().flat_map(|end| {
        text.match_indices(end).filter_map(move |(at, _)| {
            let at = at + end.len();
            Some(at + length_of_end(text.get(at..)?)?)
        })
    });
    text.get(..lines.chain(ends).min()?)
}

/// Returns how long the code, and the reason, of an end are that words follow: `137 (OOMKilled): `.
fn length_of_end(text: &str) -> Option<usize> {
    let rest = text.trim_start_matches('-').trim_start_matches(|c: char| c.is_ascii_digit());
    let reason = rest.strip_prefix(" (").and_then(|reason| reason.split_once(')'));
    let rest = reason.map_or(rest, |(_, rest)| rest);
    let words = rest.strip_prefix(": ")?;
    (!words.is_empty()).then(|| text.len() - words.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_of_containers_are_left_out_and_those_of_the_agent_are_not() {
        for (text, kept) in [
            (
                "pod web-1 wrote last: app: token | exit code 3: more",
                Some("pod web-1 wrote last: "),
            ),
            ("exit code 1: token", Some("exit code 1: ")),
            (
                "lifecycle.preStop of container main: exit code -1: no; it was stopped",
                Some("lifecycle.preStop of container main: exit code -1: "),
            ),
            ("app: exit code 1, exit code 2: token", Some("app: exit code 1, exit code 2: ")),
            (
                "container app: CrashLoopBackOff, last run ended with code 1 (Error): token",
                Some("container app: CrashLoopBackOff, last run ended with code 1 (Error): "),
            ),
            ("container app ended with code 0: ä", Some("container app ended with code 0: ")),
            ("container app ended with code 137 (OOMKilled)", None),
            ("ended with exit code 137", None),
            ("exit code 1", None),
            ("exit code 1: ", None),
            ("HTTP 503", None),
            ("", None),
        ] {
            assert_eq!(before_words(text), kept, "{text}");
        }
        let mut status = json!({
            "id": 7, "ok": true, "none": null,
            "events": [{"message": "pod a wrote last: app: token"}, {"message": "HTTP 503"}],
            "workloads": [{"probes": {"failure": "exit code 1: token"}}],
        });
        leave_out_words(&mut status);
        assert_eq!(
            status,
            json!({
                "id": 7, "ok": true, "none": null,
                "events": [
                    {"message": "pod a wrote last: (left out; --logs)"}, {"message": "HTTP 503"},
                ],
                "workloads": [{"probes": {"failure": "exit code 1: (left out; --logs)"}}],
            })
        );
    }
}
