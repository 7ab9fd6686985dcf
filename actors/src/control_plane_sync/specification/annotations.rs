//! Annotations that are meant for the agent and not for the pod.
//!
//! Each has two spellings: the usual one, and one without a slash, which fits behind the operators'
//! prefix `podman/`. They are no part of a pod's identity, so that another value restarts nothing; but probes
//! become part of the pod.

mod gates;
mod paired;
mod probe;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use gates::Gates;
use gates::Given;
use paired::{TurnAnnotations, UpdateAnnotations};
pub(crate) use paired::{TurnDraft, UpdateDraft};
use probe::AnnotatedProbe;
pub(super) use probe::apply;

use super::names;
use super::retry::RetryDraft;
use crate::pod_manifest::probes::ProbeKind;
use crate::workload::{RetryPolicy, Turn, UpdateGate, WorkloadName};
use crate::yaml::{self, nearest};

/// An annotation of ours in both spellings, the usual one first.
type Keys = [&'static str; 2];

/// Names the workloads to start before this one, separated by commas.
const AFTER: Keys = ["device-worker-ng/after", "device-worker-ng.after"];
/// Holds a retry as the field of that name has it, as YAML or JSON: operators do not send the field.
const RETRY: Keys = ["device-worker-ng/retry", "device-worker-ng.retry"];

/// Holds the seconds for which a new specification is to prove itself.
const PROVING: Keys = ["device-worker-ng/proving-seconds", "device-worker-ng.proving-seconds"];
/// Hold which goes first where a condition turns several workloads away, and the seconds for which one runs
/// and rests at least.
const PRIORITY: Keys = ["device-worker-ng/priority", "device-worker-ng.priority"];
const MIN_RUN: Keys = ["device-worker-ng/min-run-seconds", "device-worker-ng.min-run-seconds"];
const MIN_PAUSE: Keys =
    ["device-worker-ng/min-pause-seconds", "device-worker-ng.min-pause-seconds"];
/// Say how it may be restrained for an objective of the device.
const PROTECTED: Keys = ["device-worker-ng/protected", "device-worker-ng.protected"];
const YIELD: Keys = ["device-worker-ng/yield", "device-worker-ng.yield"];
/// Hold the profiles that must allow a new specification to come, and the seconds that it waits for them.
const PULL_WHEN: Keys = ["device-worker-ng/pull-when", "device-worker-ng.pull-when"];
const REPLACE_WHEN: Keys = ["device-worker-ng/replace-when", "device-worker-ng.replace-when"];
const DEADLINE: Keys =
    ["device-worker-ng/update-deadline-seconds", "device-worker-ng.update-deadline-seconds"];
/// Hold the profiles as the field of that name has them, as YAML or JSON; a cron expression; and whether
/// the user's podman runs the workload.
const PROFILES: Keys = ["device-worker-ng/profiles", "device-worker-ng.profiles"];
const CRON: Keys = ["device-worker-ng/cron", "device-worker-ng.cron"];
const ROOTLESS: Keys = ["device-worker-ng/rootless", "device-worker-ng.rootless"];
/// What begins so is meant for the agent.
const OURS: [&str; 2] = ["device-worker-ng/", "device-worker-ng."];
/// What may stand before one: operators send no others.
const OPERATORS: &str = "podman/";

/// Hold probes, each as one line of text: operators refuse pods that have some.
const PROBES: [(Keys, ProbeKind); 3] = [
    (["device-worker-ng/startup", "device-worker-ng.startup"], ProbeKind::Startup),
    (["device-worker-ng/liveness", "device-worker-ng.liveness"], ProbeKind::Liveness),
    (["device-worker-ng/readiness", "device-worker-ng.readiness"], ProbeKind::Readiness),
];

/// Most workloads that one may wait for.
const MAX_AFTER: usize = 32;
/// Longest retry, in bytes.
const MAX_RETRY: usize = 1_000;

/// What the annotations of ours say.
pub(super) struct Ours {
    /// The workloads to start before this one.
    pub(super) after: Vec<WorkloadName>,
    /// The retry, where there is one.
    pub(super) retry: Option<RetryPolicy>,
    /// Probes of the pod's containers.
    pub(super) probes: Vec<AnnotatedProbe>,
    /// For how long a new specification is to prove itself.
    pub(super) proving: Duration,
    /// When a new specification may come.
    pub(super) gate: UpdateGate,
    /// How it shares the device with others.
    pub(super) turn: Turn,
    /// What holds the workload back, its fields included.
    pub(super) gates: Gates,
}

/// Returns whether `key` is an annotation for the agent, in either spelling.
fn is_for_agent(key: &str) -> bool {
    known().any(|known| known == key)
}

/// Returns whether there is an annotation with a retry.
pub(crate) fn has_retry(annotations: &BTreeMap<String, String>) -> bool {
    RETRY.into_iter().any(|key| annotations.contains_key(key))
}

/// Returns every annotation for the agent, in both spellings.
pub fn known() -> impl Iterator<Item = &'static str> {
    let probes = PROBES.into_iter().map(|(keys, _)| keys);
    let others =
        [PRIORITY, MIN_RUN, MIN_PAUSE, PULL_WHEN, REPLACE_WHEN, DEADLINE, PROTECTED, YIELD];
    let all = [AFTER, RETRY, PROVING, PROFILES, CRON, ROOTLESS].into_iter().chain(others);
    all.chain(probes).flatten()
}

/// Returns whether `key` begins as those for the agent do, be it one that is known or not.
pub(super) fn is_ours(key: &str) -> bool {
    let key = key.strip_prefix(OPERATORS).unwrap_or(key);
    OURS.iter().any(|prefix| key.starts_with(prefix))
}

/// Returns the annotation for the agent that `key` is, with the operators' prefix or without; any other
/// key as it is.
fn without_prefix(key: String) -> String {
    match key.strip_prefix(OPERATORS) {
        Some(rest) if is_for_agent(rest) => rest.to_owned(),
        Some(_) | None => key,
    }
}

/// Puts the annotations of a pod together with those for the agent of `others`, which contain the pod.
///
/// # Errors
/// One for the agent is there twice, and differs: either may be the gate that its author means.
pub(crate) fn merged(
    pod: BTreeMap<String, String>,
    others: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<String, String>, String> {
    let named = |(key, value): (String, String)| (without_prefix(key), value);
    let others = others.into_iter().map(named).filter(|(key, _)| is_for_agent(key));
    let mut merged = BTreeMap::new();
    for (key, value) in pod.into_iter().map(named).chain(others) {
        if is_for_agent(&key) && merged.get(&key).is_some_and(|other| *other != value) {
            return Err(format!(
                "its annotation {key:?} is there twice, of the pod and of what contains it or with and \
                 without {OPERATORS}, and differs; leave one of them out"
            ));
        }
        merged.insert(key, value);
    }
    Ok(merged)
}

/// Returns, for an annotation that seems to be meant for the agent and is none that it knows, which of
/// those is nearest.
pub(super) fn meant(key: &str) -> Option<Option<&'static str>> {
    let key = key.strip_prefix(OPERATORS).unwrap_or(key);
    let known: Vec<&'static str> = known().collect();
    let near = nearest(key, &known);
    (!known.contains(&key) && (is_ours(key) || near.is_some())).then_some(near)
}

/// The fields of a workload that may say the same as some annotations.
pub(super) struct Fields {
    pub(super) update: Option<UpdateDraft>,
    pub(super) turn: TurnDraft,
    pub(super) gates: Gates,
}

/// Takes what is meant for the agent out of `annotations`, and puts it together with the fields.
///
/// # Errors
/// Says which annotation cannot be used, and why.
pub(super) fn take(
    annotations: &mut BTreeMap<String, String>,
    fields: Fields,
) -> Result<Ours, String> {
    let after = take_each(annotations, AFTER);
    let retry = take_each(annotations, RETRY);
    let probes = read_probes(annotations)?;
    let mut given = |keys: Keys| {
        let text = only(take_each(annotations, keys), keys)?;
        Ok::<_, String>(Given { key: keys[0], text })
    };
    let of_update = UpdateAnnotations {
        proving: given(PROVING)?,
        pull_when: given(PULL_WHEN)?,
        replace_when: given(REPLACE_WHEN)?,
        deadline: given(DEADLINE)?,
    };
    let of_turn = TurnAnnotations {
        priority: given(PRIORITY)?,
        min_run: given(MIN_RUN)?,
        min_pause: given(MIN_PAUSE)?,
        protected: given(PROTECTED)?,
        yields: given(YIELD)?,
    };
    let gates = fields.gates.add(given(PROFILES)?, given(CRON)?, given(ROOTLESS)?)?;
    let (proving, gate) = paired::update(fields.update, of_update)?;
    let turn = paired::turn(fields.turn, of_turn)?;
    let (after, retry) = (read_after(&after)?, read_retry(retry)?);
    Ok(Ours { after, retry, probes, proving, gate, turn, gates })
}

/// Returns the one value of an annotation in both of its spellings.
fn only(mut texts: Vec<String>, [one, other]: Keys) -> Result<Option<String>, String> {
    texts.dedup();
    match texts.len() {
        0 | 1 => Ok(texts.pop()),
        _ => Err(format!("its annotations {one:?} and {other:?} differ; leave one of them out")),
    }
}

fn read_probes(annotations: &mut BTreeMap<String, String>) -> Result<Vec<AnnotatedProbe>, String> {
    let mut probes = Vec::new();
    for (keys, kind) in PROBES {
        for text in take_each(annotations, keys) {
            let probe = probe::read(kind, &text);
            probes.push(probe.map_err(|reason| format!("its annotation {:?} {reason}", keys[0]))?);
        }
    }
    Ok(probes)
}

/// Takes the annotation out in both of its spellings.
fn take_each(annotations: &mut BTreeMap<String, String>, keys: Keys) -> Vec<String> {
    keys.into_iter().filter_map(|key| annotations.remove(key)).collect()
}

fn read_after(texts: &[String]) -> Result<Vec<WorkloadName>, String> {
    let names = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).take(MAX_AFTER + 1).collect();
    if names.len() > MAX_AFTER || names.iter().any(|name| name.len() > names::MAX_SUBDOMAIN) {
        return Err(format!(
            "its annotation {:?} names more than {MAX_AFTER} workloads, or one by more than {} bytes",
            AFTER[0],
            names::MAX_SUBDOMAIN
        ));
    }
    Ok(names.into_iter().map(WorkloadName::from).collect())
}

fn read_retry(texts: Vec<String>) -> Result<Option<RetryPolicy>, String> {
    let Some(text) = only(texts, RETRY)? else { return Ok(None) };
    let wrong = |reason: &str| {
        format!(
            "its annotation {:?} {reason}; write it as the field retry, such as \
             {{backoff: exponential, initialIntervalSeconds: 1}} or {{periodSeconds: 30}}",
            RETRY[0]
        )
    };
    if text.len() > MAX_RETRY {
        return Err(wrong(&format!("is longer than {MAX_RETRY} bytes")));
    }
    let draft = yaml::from_str::<RetryDraft>(&text)
        .map_err(|error| wrong(&format!("is no retry: {error}")))?;
    match draft.policy() {
        Ok(Some(policy)) => Ok(Some(policy)),
        // Nobody writes an annotation to say nothing.
        Ok(None) => Err(wrong("says nothing")),
        Err(reason) => Err(wrong(&format!("is no retry: {reason}"))),
    }
}
