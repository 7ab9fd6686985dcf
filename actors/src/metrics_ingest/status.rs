//! The answer to `GET /status`, from the reports of the actors. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use grammar::printable_json;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::messages::{
    ActorHealth, ActorReport, ControlPlaneReport, EvaluatorReport, SchedulerReport,
};
use crate::workload::{DeviceId, RuntimeState};

/// Version of the JSON; raised when a field changes its meaning or is removed.
const STATUS_SCHEMA: u32 = 1;

/// Facts about the agent that no actor has to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The agent's version.
    pub version: &'static str,
    /// The device's id.
    pub device_id: DeviceId,
    /// Where the desired state comes from, `server` or `folder`.
    pub source: &'static str,
    /// The server's address, or the folder.
    pub place: String,
    /// Every supervised actor.
    pub actors: Vec<&'static str>,
}

/// Posts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PostCounts {
    /// Answered 2xx.
    pub(super) taken: u64,
    /// Answered otherwise.
    pub(super) refused: u64,
    /// Handed to the evaluator and not stored yet.
    pub(super) waiting: usize,
}

/// What the actors report; `None` for one that did not answer in time.
#[derive(Clone, Debug, Default)]
pub(super) struct Reports {
    pub(super) control_plane: Option<ControlPlaneReport>,
    pub(super) scheduler: Option<SchedulerReport>,
    pub(super) evaluator: Option<EvaluatorReport>,
}

/// The health of the agent as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    /// `ok`, `degraded` or `down`.
    pub(super) state: &'static str,
    /// What is wrong, as text for a reader.
    pub(super) reasons: Vec<String>,
}

impl Reports {
    /// Returns the names of the actors that did not answer.
    fn silent(&self) -> BTreeSet<&'static str> {
        let asked = [
            ("control_plane_sync", self.control_plane.is_none()),
            ("scheduler", self.scheduler.is_none()),
            ("profile_evaluator", self.evaluator.is_none()),
        ];
        asked.into_iter().filter(|(_, is_silent)| *is_silent).map(|(name, _)| name).collect()
    }

    /// Returns `down` when an actor does not answer that is needed to decide what runs, `degraded`
    /// when anything else is wrong.
    pub(super) fn health(&self, now: DateTime<Utc>) -> Health {
        let silent = self.silent();
        let mut reasons: Vec<String> =
            silent.iter().map(|name| format!("{name} does not answer")).collect();
        for (name, actor) in self.control_plane.iter().flat_map(|it| &it.actors) {
            if let ActorHealth::Restarting { cause, .. } = &actor.health {
                reasons.push(format!("{name} is being restarted: {cause}"));
            }
        }
        if let Some(control_plane) = &self.control_plane {
            let error = control_plane.last_error.as_ref();
            let why = error.map_or("nothing was heard yet", |error| error.message.as_str());
            // One of `missing` may say the same, with what to do about it.
            let is_known = control_plane.missing.iter().any(|missing| missing.contains(why));
            if control_plane.connected_since.is_none() && !is_known {
                reasons.push(format!("the desired state cannot be asked for: {why}"));
            }
            reasons.extend(control_plane.missing.iter().cloned());
            if control_plane.certificate_expires.is_some_and(|at| at <= now) {
                reasons.push("the device's certificate has expired".to_owned());
            }
        }
        for runtime in self.scheduler.iter().flat_map(|it| &it.runtimes) {
            if runtime.is_needed && runtime.state != RuntimeState::Available {
                reasons.extend(runtime.reason.clone());
            }
        }
        reasons.extend(self.scheduler.iter().flat_map(|it| it.damages.iter().cloned()));
        let state = match (silent.is_empty(), reasons.is_empty()) {
            (false, _) => "down",
            (true, false) => "degraded",
            (true, true) => "ok",
        };
        Health { state, reasons }
    }
}

/// Returns the answer to `GET /status`.
pub(super) fn status(about: &About, reports: &Reports, posts: PostCounts, now: Moment) -> Value {
    let health = reports.health(now.wall);
    json!({
        "schema": STATUS_SCHEMA,
        "time": time(now.wall),
        "health": { "state": health.state, "reasons": health.reasons },
        "agent": {
            "version": about.version,
            "device_id": about.device_id,
            "uptime_seconds": now.monotonic.since_start().as_secs(),
        },
        "control_plane": control_plane(about, reports.control_plane.as_ref(), now),
        "actors": actors(about, reports),
        "runtimes": reports.scheduler.as_ref().map(|it| &it.runtimes),
        "profiles": reports.evaluator.as_ref().map(profiles),
        "metrics": reports.evaluator.as_ref().map(metrics),
        "workloads": reports.scheduler.as_ref().map(|it| &it.workloads),
        "events": reports.control_plane.as_ref().map(|it| &it.events),
        "posts": { "taken": posts.taken, "refused": posts.refused },
    })
}

/// Returns JSON on one line. Characters that a terminal acts on are escaped: `curl` prints it to one.
pub(super) fn to_json(status: &Value) -> String {
    printable_json(&status.to_string()).into_owned()
}

/// Returns the status without the fields that change while nothing happens.
pub(super) fn without_time(mut status: Value) -> Value {
    for (place, field) in [
        ("", "time"),
        ("/agent", "uptime_seconds"),
        ("/control_plane/certificate", "expires_in_seconds"),
        ("/control_plane/configuration", "age_seconds"),
    ] {
        remove(status.pointer_mut(place), field);
    }
    for metric in status.get_mut("metrics").and_then(Value::as_array_mut).into_iter().flatten() {
        remove(Some(metric), "age_seconds");
    }
    status
}

fn remove(from: Option<&mut Value>, field: &str) {
    if let Some(object) = from.and_then(Value::as_object_mut) {
        object.remove(field);
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn control_plane(about: &About, report: Option<&ControlPlaneReport>, now: Moment) -> Value {
    let Some(report) = report else {
        return Value::Null;
    };
    let configuration = report.is_configured.then(|| {
        json!({
            "version": report.configuration_version,
            "received_at": report.configuration_received.map(time),
            "changed_at": report.configuration_changed.map(time),
            "stored_at": report.configuration_stored.map(time),
            "age_seconds": report.configuration_age.map(|age| age.as_secs()),
        })
    });
    let certificate = report.certificate_expires.map(|at| {
        let left = (at - now.wall).num_seconds();
        json!({ "expires_at": time(at), "expires_in_seconds": left })
    });
    json!({
        "kind": about.source,
        "place": about.place,
        "stage": report.stage,
        "connected_since": report.connected_since.map(time),
        "last_heartbeat": report.last_heartbeat.map(time),
        "configuration": configuration,
        "certificate": certificate,
        "last_error": report.last_error,
        "problems": report.problems,
    })
}

/// The health of one supervised actor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ActorRow {
    pub(super) name: &'static str,
    /// `up`, `restarting`, `silent` or `unknown`.
    pub(super) state: &'static str,
    cause: Option<String>,
    failures_in_a_row: u32,
    pub(super) failures: u64,
    since: Option<String>,
}

/// Returns a row for each supervised actor. ControlPlaneSync reports their health; without its answer
/// it is unknown.
pub(super) fn actors(about: &About, reports: &Reports) -> Vec<ActorRow> {
    let silent = reports.silent();
    let known_health = reports.control_plane.as_ref().map(|it| &it.actors);
    let row = |name: &&'static str| {
        let known: Option<&ActorReport> = known_health.and_then(|known| known.get(name));
        let (state, cause, failures_in_a_row) = match known.map(|it| &it.health) {
            Some(ActorHealth::Restarting { cause, failures }) => {
                ("restarting", Some(cause.clone()), *failures)
            }
            _ if silent.contains(name) => ("silent", None, 0),
            // It has just answered, or nothing was reported against it.
            Some(ActorHealth::Up) | None if known_health.is_some() => ("up", None, 0),
            Some(ActorHealth::Up) | None => ("unknown", None, 0),
        };
        ActorRow {
            name,
            state,
            cause,
            failures_in_a_row,
            failures: known.map_or(0, |it| it.failures),
            since: known.map(|it| time(it.since)),
        }
    };
    about.actors.iter().map(row).collect()
}

fn profiles(evaluator: &EvaluatorReport) -> Vec<Value> {
    let mut profiles: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for report in &evaluator.conditions {
        profiles.entry(&report.profile).or_default().push(json!({
            "name": report.condition,
            "expression": report.expression,
            "verdict": report.verdict.as_str(),
            "explanation": report.explanation,
        }));
    }
    let row = |(name, conditions)| json!({ "name": name, "conditions": conditions });
    profiles.into_iter().map(row).collect()
}

fn metrics(evaluator: &EvaluatorReport) -> Vec<Value> {
    let rows = evaluator.metrics.iter().map(|report| {
        json!({
            "name": report.name,
            "value": report.value,
            "unit": report.unit,
            "age_seconds": report.age.as_secs_f64(),
            "stale": report.stale,
        })
    });
    rows.collect()
}

#[cfg(test)]
pub(super) mod tests;
