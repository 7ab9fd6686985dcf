//! Annotations that are meant for the agent and not for the pod.
//!
//! Each has two spellings: the usual one, and one without a slash, which fits behind the operators'
//! prefix `podman/`. They are no part of a pod's identity: another value restarts nothing.

use std::collections::BTreeMap;

use super::names;
use super::retry::RetryDraft;
use crate::workload::{RetryPolicy, WorkloadName};
use crate::yaml;

/// An annotation of ours in both spellings, the usual one first.
type Keys = [&'static str; 2];

/// Names the workloads to start before this one, separated by commas.
const AFTER: Keys = ["device-worker-ng/after", "device-worker-ng.after"];
/// Holds a retry as the field of that name has it, as YAML or JSON: operators do not send the field.
const RETRY: Keys = ["device-worker-ng/retry", "device-worker-ng.retry"];

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
}

/// Returns whether `key` is an annotation for the agent, in either spelling.
pub(crate) fn is_for_agent(key: &str) -> bool {
    [AFTER, RETRY].iter().flatten().any(|ours| *ours == key)
}

/// Takes what is meant for the agent out of `annotations`.
///
/// # Errors
/// Says which annotation cannot be used, and why.
pub(super) fn take(annotations: &mut BTreeMap<String, String>) -> Result<Ours, String> {
    let after = take_each(annotations, AFTER);
    let retry = take_each(annotations, RETRY);
    Ok(Ours { after: read_after(&after)?, retry: read_retry(retry)? })
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

fn read_retry(mut texts: Vec<String>) -> Result<Option<RetryPolicy>, String> {
    texts.dedup();
    let text = match texts.as_slice() {
        [] => return Ok(None),
        [text] => text,
        _ => {
            let [one, other] = RETRY;
            return Err(format!(
                "its annotations {one:?} and {other:?} differ; leave one of them out"
            ));
        }
    };
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
    let draft = yaml::from_str::<RetryDraft>(text)
        .map_err(|error| wrong(&format!("is no retry: {}", super::yaml_reason(&error))))?;
    match draft.policy() {
        Ok(Some(policy)) => Ok(Some(policy)),
        // Nobody writes an annotation to say nothing.
        Ok(None) => Err(wrong("says nothing")),
        Err(reason) => Err(wrong(&format!("is no retry: {reason}"))),
    }
}
