//! podman's rows as the states that the scheduler knows.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;

use crate::pod_manifest::{BOOT_ID, CONTAINERS, DEVICE, ID, WORKLOAD, device_label};
use crate::podman_executor::libpod::error_text::is_device;
use crate::podman_executor::libpod::types::{ContainerRow, PodRow, container_name};
use crate::workload::{
    ContainerEnd, CurrentState, DeviceId, ObservedPod, PodHealth, WorkloadId, WorkloadName,
};

/// The longest name that Kubernetes allows.
const MAX_NAME: usize = 253;

/// One end of one container: its id and when it ended.
pub(in crate::podman_executor) type EndKey = (String, i64);

/// What is known beyond the rows of one listing.
#[derive(Clone, Copy, Debug)]
pub(in crate::podman_executor) struct Knowledge<'a> {
    /// The kernel's id of this boot.
    pub boot_id: &'a str,
    /// Ends that were looked into.
    pub ends: &'a BTreeMap<EndKey, ContainerEnd>,
    /// Containers, by id, whose process is gone although podman says that they run.
    pub vanished: &'a BTreeSet<String>,
}

static NO_ENDS: BTreeMap<EndKey, ContainerEnd> = BTreeMap::new();
static NONE_VANISHED: BTreeSet<String> = BTreeSet::new();

impl<'a> Knowledge<'a> {
    /// Returns what is known where the rows are all that there is.
    pub(in crate::podman_executor) fn of_rows_alone(boot_id: &'a str) -> Self {
        Self { boot_id, ends: &NO_ENDS, vanished: &NONE_VANISHED }
    }
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Phase {
    /// It never ran.
    Created,
    /// It runs.
    Running,
    /// Its processes are halted, by a command of ours or by hand.
    Paused,
    /// It ended.
    Ended,
    /// It is between two states.
    Unclear,
}

/// Returns what the container of `row` is doing by podman's word.
pub(in crate::podman_executor) fn phase(row: &ContainerRow) -> Phase {
    match row.state.as_str() {
        "created" | "configured" | "initialized" => Phase::Created,
        "running" => Phase::Running,
        "paused" => Phase::Paused,
        "exited" | "stopped" => Phase::Ended,
        _ => Phase::Unclear,
    }
}

/// Returns whether a container may run, so that it is to be stopped before its pod is removed.
pub(in crate::podman_executor) fn may_run(row: &ContainerRow) -> bool {
    match phase(row) {
        Phase::Running | Phase::Paused | Phase::Unclear => true,
        Phase::Created | Phase::Ended => false,
    }
}

/// Returns whether a container has processes, be they halted.
pub(in crate::podman_executor) fn has_processes(row: &ContainerRow) -> bool {
    match phase(row) {
        Phase::Running | Phase::Paused => true,
        Phase::Created | Phase::Ended | Phase::Unclear => false,
    }
}

/// Returns whether a pod called `pod` is this device's by its `labels`. Anybody can write labels:
/// the id must be the pod's own name, as it becomes a path and the name of what is removed.
pub(in crate::podman_executor) fn is_ours(
    labels: &BTreeMap<String, String>,
    pod: &str,
    device: &DeviceId,
) -> bool {
    let of_this_device = labels.get(DEVICE).is_none_or(|of| of == device_label(device));
    of_this_device && is_pod_name(pod) && labels.get(ID).is_some_and(|id| id == pod)
}

/// Returns the other devices that pods of `rows` belong to, by their labels.
pub(in crate::podman_executor) fn other_devices<'a>(
    rows: &'a [ContainerRow],
    own: &DeviceId,
) -> BTreeSet<&'a str> {
    let owners = rows.iter().filter_map(|row| row.labels.get(DEVICE));
    owners.map(String::as_str).filter(|it| *it != device_label(own) && is_device(it)).collect()
}

/// Returns whether `name` can be the name of a pod of ours.
fn is_pod_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && !name.contains("..")
}

/// Returns the pods of ours that `rows` make up.
pub(in crate::podman_executor) fn observed_pods(
    rows: &[ContainerRow],
    known: Knowledge<'_>,
) -> Vec<ObservedPod> {
    let mut pods = BTreeMap::<&str, Vec<&ContainerRow>>::new();
    for row in rows {
        if let Some(id) = row.labels.get(ID) {
            pods.entry(id).or_default().push(row);
        }
    }
    let observed = pods.iter().map(|(id, rows)| ObservedPod {
        id: WorkloadId::from(*id),
        workload: rows
            .first()
            .map_or_else(|| WorkloadName::from(*id), |row| workload_name(&row.labels, id)),
        state: pod_state(rows, known),
        started_at: started_at(rows),
        restarts: 0,
        is_changed: false,
        health: PodHealth::default(),
        containers: Vec::new(),
    });
    observed.collect()
}

/// Returns the pod that `rows`, all its containers, make up, if it runs as it should or is frozen.
pub(in crate::podman_executor) fn living_pod(
    rows: &[ContainerRow],
    boot_id: &str,
) -> Option<ObservedPod> {
    let pod = observed_pods(rows, Knowledge::of_rows_alone(boot_id)).pop();
    pod.filter(|pod| matches!(pod.state, CurrentState::Running | CurrentState::Frozen))
}

/// Returns the pod of `row` as one that has no containers.
pub(in crate::podman_executor) fn empty_pod(row: &PodRow) -> ObservedPod {
    ObservedPod {
        id: WorkloadId::from(row.name.as_str()),
        workload: workload_name(&row.labels, &row.name),
        state: incomplete("the pod has no containers".to_owned()),
        started_at: None,
        restarts: 0,
        is_changed: false,
        health: PodHealth::default(),
        containers: Vec::new(),
    }
}

/// Returns `pod` as one of which it is not known whether its `postStart` hooks have run: if it runs, its
/// start is to be brought to its end.
pub(in crate::podman_executor) fn without_post_start(pod: ObservedPod) -> ObservedPod {
    let message = || "its lifecycle.postStart was not seen to end".to_owned();
    match pod.state {
        CurrentState::Running | CurrentState::Frozen | CurrentState::Degraded { .. } => {
            ObservedPod { state: incomplete(message()), ..pod }
        }
        CurrentState::Starting
        | CurrentState::Exited { .. }
        | CurrentState::Incomplete { .. }
        | CurrentState::Suspended
        | CurrentState::Crashing { .. }
        | CurrentState::Unknown => pod,
    }
}

/// Returns `pod` as one that a command began to stop and did not remove: what has ended of it says nothing
/// about its run.
pub(in crate::podman_executor) fn cut_short(pod: ObservedPod) -> ObservedPod {
    let message = || "the agent stopped it, and it could not be removed".to_owned();
    match pod.state {
        CurrentState::Exited { .. } | CurrentState::Degraded { .. } => {
            ObservedPod { state: incomplete(message()), ..pod }
        }
        CurrentState::Starting
        | CurrentState::Running
        | CurrentState::Frozen
        | CurrentState::Incomplete { .. }
        | CurrentState::Suspended
        | CurrentState::Crashing { .. }
        | CurrentState::Unknown => pod,
    }
}

/// Returns the state of the pod that `rows` make up.
pub(in crate::podman_executor) fn pod_state(
    rows: &[&ContainerRow],
    known: Knowledge<'_>,
) -> CurrentState {
    let phases: Vec<_> = rows.iter().map(|row| actual_phase(row, known)).collect();
    let any = |wanted| phases.contains(&wanted);
    let labels = rows.first().map(|row| &row.labels);
    let label = |key| labels.and_then(|labels| labels.get(key));
    let expected = label(CONTAINERS).and_then(|count| count.parse::<usize>().ok());
    let of_this_boot = label(BOOT_ID).is_none_or(|boot| boot == known.boot_id);

    if any(Phase::Unclear) {
        return CurrentState::Unknown;
    }
    if any(Phase::Paused) {
        return CurrentState::Frozen;
    }
    if !of_this_boot && !any(Phase::Running) {
        return incomplete("the pod is from before the last boot".to_owned());
    }
    if any(Phase::Created) {
        return incomplete("some containers never started".to_owned());
    }
    if let Some(expected) = expected.filter(|expected| rows.len() < *expected) {
        return incomplete(format!("{} of {expected} containers exist", rows.len()));
    }
    let ended = rows.iter().zip(&phases);
    let ended = ended.filter(|(_, phase)| **phase == Phase::Ended);
    let ended: Vec<_> = ended.map(|(row, _)| end_of(row, known)).collect();
    if ended.is_empty() {
        CurrentState::Running
    } else if any(Phase::Running) {
        CurrentState::Degraded { ended }
    } else {
        CurrentState::Exited { ended }
    }
}

fn actual_phase(row: &ContainerRow, known: Knowledge<'_>) -> Phase {
    match phase(row) {
        Phase::Running | Phase::Paused if known.vanished.contains(&row.id) => Phase::Ended,
        phase @ (Phase::Created
        | Phase::Running
        | Phase::Paused
        | Phase::Ended
        | Phase::Unclear) => phase,
    }
}

fn end_of(row: &ContainerRow, known: Knowledge<'_>) -> ContainerEnd {
    let container = container_name(row).to_owned();
    if known.vanished.contains(&row.id) {
        return ContainerEnd {
            container,
            exit_code: -1,
            oom_killed: false,
            message: Some("its process is gone, and podman did not notice".to_owned()),
        };
    }
    let looked_into = known.ends.get(&(row.id.clone(), row.exited_at));
    looked_into.cloned().unwrap_or(ContainerEnd {
        container,
        exit_code: row.exit_code,
        oom_killed: false,
        message: None,
    })
}

fn incomplete(message: String) -> CurrentState {
    CurrentState::Incomplete { message }
}

/// Returns the workload that a pod called `id` is of by its `labels`.
pub(in crate::podman_executor) fn workload_name(
    labels: &BTreeMap<String, String>,
    id: &str,
) -> WorkloadName {
    // Anybody can write labels: what can be no name is none.
    let name = labels.get(WORKLOAD).filter(|name| is_pod_name(name));
    WorkloadName::from(name.map_or(id, String::as_str))
}

fn started_at(rows: &[&ContainerRow]) -> Option<DateTime<chrono::Utc>> {
    let youngest = rows.iter().map(|row| row.started_at).max()?;
    let started = DateTime::from_timestamp(youngest, 0);
    started.filter(|started| started.timestamp() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "boot-2";

    fn row(name: &str, state: &str, exit_code: i32) -> ContainerRow {
        let labels = [(ID, "web-1"), (WORKLOAD, "web"), (BOOT_ID, BOOT), (CONTAINERS, "2")];
        ContainerRow {
            id: format!("id-{name}"),
            names: vec![format!("web-1-{name}")],
            state: state.to_owned(),
            exit_code,
            pod_name: "web-1".to_owned(),
            labels: labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..ContainerRow::default()
        }
    }

    fn state(rows: &[ContainerRow], vanished: &[&str]) -> CurrentState {
        let known = Knowledge {
            boot_id: BOOT,
            ends: &BTreeMap::new(),
            vanished: &vanished.iter().map(|id| (*id).to_owned()).collect(),
        };
        pod_state(&rows.iter().collect::<Vec<_>>(), known)
    }

    fn word(state: &CurrentState) -> String {
        let text = format!("{state:?}");
        text.chars().take_while(char::is_ascii_alphanumeric).collect()
    }

    #[test]
    fn only_a_pod_whose_labels_tell_the_truth_is_ours() {
        let device = DeviceId::from("device-1");
        for (pod, id, of, expected) in [
            ("web-1", Some("web-1"), Some("device-1"), true),
            ("web-1", Some("web-1"), None, true),
            ("web-1", Some("web-1"), Some("device-2"), false),
            ("web-1", None, Some("device-1"), false),
            ("web-1", Some("db-2"), None, false),
            ("web-1", Some("../../etc"), None, false),
            ("../etc", Some("../etc"), None, false),
            ("a/b", Some("a/b"), None, false),
            ("a..b", Some("a..b"), None, false),
            (".left-0-web", Some(".left-0-web"), None, false),
            ("", Some(""), None, false),
            (&"n".repeat(253), Some(&"n".repeat(253)), None, true),
            (&"n".repeat(254), Some(&"n".repeat(254)), None, false),
        ] {
            let labels = [(ID, id), (DEVICE, of)].into_iter();
            let labels = labels.filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned())));
            assert_eq!(is_ours(&labels.collect(), pod, &device), expected, "{pod} {id:?} {of:?}");
        }
    }

    #[test]
    fn other_devices_are_known_by_labels_that_can_be_shown() {
        let of = |device: &str| {
            let labels = [(DEVICE.to_owned(), device.to_owned())].into();
            ContainerRow { labels, ..ContainerRow::default() }
        };
        let rows = ["titi", "own", "titi", "$(reboot)", "", "tata"].map(of);
        let rows = [&rows[..], &[ContainerRow::default()]].concat();
        assert_eq!(other_devices(&rows, &DeviceId::from("own")), ["tata", "titi"].into());
    }

    #[test]
    fn states_of_containers_make_the_state_of_their_pod() {
        let table = [
            ("running", "running", "Running"),
            ("running", "exited", "Degraded"),
            ("exited", "exited", "Exited"),
            ("stopped", "exited", "Exited"),
            ("running", "created", "Incomplete"),
            ("initialized", "exited", "Incomplete"),
            ("running", "stopping", "Unknown"),
            ("removing", "exited", "Unknown"),
            ("paused", "paused", "Frozen"),
            ("paused", "running", "Frozen"),
            ("paused", "exited", "Frozen"),
            ("paused", "created", "Frozen"),
            ("paused", "stopping", "Unknown"),
            ("a word of podman 6", "running", "Unknown"),
        ];
        for (a, b, expected) in table {
            let state = state(&[row("a", a, 0), row("b", b, 0)], &[]);
            assert_eq!(word(&state), expected, "{a} and {b}");
        }
    }

    #[test]
    fn exit_codes_come_with_the_names_of_the_specification() {
        let CurrentState::Degraded { ended } =
            state(&[row("a", "running", 0), row("b", "exited", 3)], &[])
        else {
            panic!("not degraded");
        };
        assert_eq!((ended[0].container.as_str(), ended[0].exit_code), ("b", 3));
    }

    #[test]
    fn a_pod_that_lacks_a_container_is_incomplete() {
        assert_eq!(word(&state(&[row("a", "running", 0)], &[])), "Incomplete");
    }

    #[test]
    fn a_container_whose_process_vanished_has_ended_with_an_unknown_code() {
        let rows = [row("a", "running", 0), row("b", "running", 0)];
        let CurrentState::Degraded { ended } = state(&rows, &["id-b"]) else {
            panic!("not degraded");
        };
        assert_eq!(ended[0].exit_code, -1);
    }

    #[test]
    fn an_end_from_before_the_last_boot_completes_nothing() {
        let old = |state| {
            let mut row = row("a", state, 0);
            row.labels.insert(BOOT_ID.to_owned(), "boot-1".to_owned());
            row.labels.insert(CONTAINERS.to_owned(), "1".to_owned());
            row
        };
        assert_eq!(word(&state(&[old("exited")], &[])), "Incomplete");
        assert_eq!(word(&state(&[old("created")], &[])), "Incomplete");
        assert_eq!(word(&state(&[old("running")], &[])), "Running");
    }

    #[test]
    fn a_label_that_is_not_a_valid_name_names_no_workload() {
        for (label, expected) in [
            ("web", "web"),
            ("\u{1b}[2J\u{202e}", "web-1"),
            ("a/b", "web-1"),
            (&"n".repeat(254), "web-1"),
            ("", "web-1"),
        ] {
            let labels = [(WORKLOAD.to_owned(), label.to_owned())].into();
            assert_eq!(workload_name(&labels, "web-1"), WorkloadName::from(expected), "{label:?}");
        }
    }

    #[test]
    fn containers_without_our_labels_make_up_no_pod() {
        let unlabelled = ContainerRow::default();
        assert_eq!(observed_pods(&[unlabelled], Knowledge::of_rows_alone(BOOT)), []);
    }

    #[test]
    fn a_pod_without_containers_is_incomplete() {
        let labels = [(ID.to_owned(), "web-2".to_owned()), (WORKLOAD.to_owned(), "web".to_owned())];
        let row = PodRow { name: "web-2".to_owned(), labels: labels.into(), ..PodRow::default() };
        let pod = empty_pod(&row);
        assert_eq!((pod.id, pod.workload), (WorkloadId::from("web-2"), WorkloadName::from("web")));
        assert_eq!(word(&pod.state), "Incomplete");
    }
}
