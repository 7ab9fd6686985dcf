//! The bodies that the agent posts.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use crate::control_plane_sync::server::hardware::Hardware;
use crate::workload::{Event, EventKind, JobReport};

/// Kubernetes cuts the message of an event at this many bytes.
const MAX_EVENT_MESSAGE: usize = 1024;

/// Id and time of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp<'a> {
    /// Unique, like a UUID.
    pub(crate) message_id: &'a str,
    /// When it is sent.
    pub(crate) sent: DateTime<Utc>,
}

/// How the agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentStatus {
    /// Every actor works.
    Up,
    /// Some actor is down or waits for its restart.
    Degraded,
}

/// What a heartbeat says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat<'a> {
    /// How the agent is.
    pub(crate) status: AgentStatus,
    /// The version of the configuration that the device runs, for the server's record.
    pub(crate) version: Option<&'a str>,
    /// The reports on all workloads.
    pub(crate) jobs: &'a [JobReport],
    /// What happened since the last heartbeat that arrived.
    pub(crate) events: &'a [Event],
    /// All facts or none: the server replaces what it has.
    pub(crate) hardware: Option<&'a Hardware>,
}

#[derive(Serialize)]
struct Envelope<'a, C> {
    #[serde(rename = "type")]
    kind: &'static str,
    message_id: &'a str,
    sent: String,
    directive: &'static str,
    content: C,
}

#[derive(Serialize)]
struct EnrolmentContent<'a> {
    target_namespace: &'a str,
    features: Features<'a>,
}

#[derive(Serialize)]
struct Features<'a> {
    hardware: &'a Hardware,
}

#[derive(Serialize)]
struct RegistrationContent<'a> {
    certificate_request: &'a str,
    hardware: Option<&'a Hardware>,
}

#[derive(Serialize)]
struct HeartbeatContent<'a> {
    status: AgentStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    hardware: Option<&'a Hardware>,
    workloads: Vec<WorkloadContent<'a>>,
    events: Vec<EventContent<'a>>,
}

#[derive(Serialize)]
struct WorkloadContent<'a> {
    name: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct EventContent<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    reason: &'a str,
    message: String,
}

/// Writes the body of a request for enrolment.
#[must_use]
pub(crate) fn enrolment(stamp: Stamp<'_>, target_namespace: &str, hardware: &Hardware) -> Vec<u8> {
    let content = EnrolmentContent { target_namespace, features: Features { hardware } };
    message("command", "enrolment", stamp, content)
}

/// Writes the body of a registration, the first one or a renewal. The first one should carry no
/// hardware: when the server cannot store it, the device's only chance to register is spent.
#[must_use]
pub(crate) fn registration(
    stamp: Stamp<'_>,
    certificate_request: &str,
    hardware: Option<&Hardware>,
) -> Vec<u8> {
    let content = RegistrationContent { certificate_request, hardware };
    message("command", "registration", stamp, content)
}

/// Writes the body of a heartbeat.
#[must_use]
pub(crate) fn heartbeat<'a>(stamp: Stamp<'_>, heartbeat: &Heartbeat<'a>) -> Vec<u8> {
    let workload = |job: &'a JobReport| WorkloadContent {
        name: job.workload.as_str(),
        status: job.status.as_str(),
    };
    let content = HeartbeatContent {
        status: heartbeat.status,
        version: heartbeat.version,
        hardware: heartbeat.hardware,
        workloads: heartbeat.jobs.iter().map(workload).collect(),
        events: heartbeat.events.iter().map(event).collect(),
    };
    message("data", "heartbeat", stamp, content)
}

fn event(event: &Event) -> EventContent<'_> {
    let mut message = match &event.workload {
        Some(workload) => format!("{workload}: {}", event.message),
        None => event.message.clone(),
    };
    message.truncate(message.floor_char_boundary(MAX_EVENT_MESSAGE));
    EventContent {
        kind: match event.kind {
            EventKind::Normal => "info",
            EventKind::Warn => "warn",
        },
        reason: event.reason.as_str(),
        message,
    }
}

fn message<C: Serialize>(
    kind: &'static str,
    directive: &'static str,
    stamp: Stamp<'_>,
    content: C,
) -> Vec<u8> {
    let envelope = Envelope {
        kind,
        message_id: stamp.message_id,
        sent: stamp.sent.to_rfc3339_opts(SecondsFormat::Millis, true),
        directive,
        content,
    };
    // Cannot fail: no map has keys other than strings, and no type refuses to be written.
    serde_json::to_vec(&envelope).unwrap_or_default()
}
