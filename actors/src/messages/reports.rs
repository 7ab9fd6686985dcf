//! The answers to the queries of the status page.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::MessageResponse;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::latency::Latencies;
use crate::workload::{Event, ExecutorKind, Governed, RuntimeReport, Verdict, WorkloadReport};

/// The answer to [`GetJobs`](super::GetJobs).
#[derive(Clone, Debug, Default, PartialEq, MessageResponse)]
pub struct SchedulerReport {
    /// Every kind of runtime.
    pub runtimes: Vec<RuntimeReport>,
    /// Every workload, in order of name.
    pub workloads: Vec<WorkloadReport>,
    /// Commands sent since the agent started, by executor and action.
    pub commands: BTreeMap<(ExecutorKind, &'static str), u64>,
    /// Commands that failed, by executor and cause.
    pub failures: BTreeMap<(ExecutorKind, &'static str), u64>,
    /// What wanted workloads cannot run for, as what the runtime has stored is damaged.
    pub damages: Vec<String>,
    /// What was done so that the device keeps its objectives.
    pub governed: Governed,
    /// Time from a post to the commands that it led to at once.
    pub reactions: Latencies,
}

/// The answer to [`GetControlPlane`](super::GetControlPlane).
#[derive(Clone, Debug, Default, PartialEq, MessageResponse)]
pub struct ControlPlaneReport {
    /// How far the device is with its control plane, `registered`; `None` over a folder.
    pub stage: Option<&'static str>,
    /// Since when every question got some answer; `None` while there is none.
    pub connected_since: Option<DateTime<Utc>>,
    /// When a heartbeat was last taken.
    pub last_heartbeat: Option<DateTime<Utc>>,
    /// Whether a configuration is in force.
    pub is_configured: bool,
    /// The server's version of it.
    pub configuration_version: Option<String>,
    /// When it was last received; `None` while only the one on the disk is known.
    pub configuration_received: Option<DateTime<Utc>>,
    /// When the one on the disk was written, while it is the only one that is known.
    pub configuration_stored: Option<DateTime<Utc>>,
    /// Time since it was received, or else written; `None` where the clock does not say.
    pub configuration_age: Option<Duration>,
    /// When it last changed, in the life of this agent.
    pub configuration_changed: Option<DateTime<Utc>>,
    /// The last question that failed.
    pub last_error: Option<CallError>,
    /// What the control plane has not given for three periods or more, with the way out.
    pub missing: Vec<String>,
    /// What is wrong with the source, in plain words.
    pub problems: Vec<String>,
    /// Until when the device's certificate holds.
    pub certificate_expires: Option<DateTime<Utc>>,
    /// Questions asked since the agent started, by kind.
    pub calls: BTreeMap<&'static str, Calls>,
    /// Every actor that has reported a change.
    pub actors: BTreeMap<&'static str, ActorReport>,
    /// The last events, oldest first.
    pub events: Vec<Event>,
}

/// A question that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallError {
    /// When, by the wall clock.
    pub at: DateTime<Utc>,
    /// Why, in plain words.
    pub message: String,
}

/// Questions of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many were answered, well or not, or given up.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
}

/// How one actor does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorReport {
    /// Whether it runs, or waits for its restart.
    pub health: ActorHealth,
    /// Since when, by the wall clock.
    pub since: DateTime<Utc>,
    /// How often it failed since the agent started.
    pub failures: u64,
}

/// The answer to [`GetProfiles`](super::GetProfiles).
#[derive(Clone, Debug, PartialEq, MessageResponse)]
pub struct EvaluatorReport {
    /// Every condition with its verdict.
    pub conditions: Vec<ConditionReport>,
    /// Every metric with its last value.
    pub metrics: Vec<MetricReport>,
    /// Samples taken since the agent started.
    pub samples_taken: u64,
}

/// One condition as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionReport {
    /// The profile's name.
    pub profile: String,
    /// The condition's name.
    pub condition: String,
    /// The expression as written.
    pub expression: String,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, in plain words.
    pub explanation: String,
}

/// One metric as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReport {
    /// The name that it was posted under.
    pub name: String,
    /// Its last value.
    pub value: f64,
    /// The unit that its sender gave.
    pub unit: Option<String>,
    /// Time since it was posted.
    pub age: Duration,
    /// Whether its time to live has passed, so that it counts as nil.
    pub stale: bool,
}

/// Whether a supervised actor works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActorHealth {
    /// It handles messages.
    Up,
    /// It failed and waits for its restart.
    Restarting {
        /// What ended it.
        cause: String,
        /// Failures in a row.
        failures: u32,
    },
}
