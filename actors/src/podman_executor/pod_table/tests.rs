//! What the table answers, in the order in which listings and commands may come.

use std::time::Duration;

use chrono::DateTime;
use proptest::prelude::*;

use super::*;
use crate::workload::{CurrentState, PodHealth, WorkloadName};

/// Both clocks, `second` seconds after the start.
fn at(second: u64) -> Moment {
    let start = Moment { monotonic: Monotonic::default(), wall: DateTime::UNIX_EPOCH };
    start.after(Duration::from_secs(second))
}

/// A running pod. `version` tells one pod of this name from the next.
fn pod(id: &str, version: u32) -> ObservedPod {
    ObservedPod {
        id: WorkloadId::from(id),
        workload: WorkloadName::from(id),
        state: CurrentState::Running,
        started_at: None,
        restarts: version,
        is_changed: false,
        health: PodHealth::default(),
        containers: Vec::new(),
    }
}

/// The container of `pod(id, version)`.
fn container(id: &str, version: u32) -> ContainerRow {
    ContainerRow {
        id: version.to_string(),
        state: "running".to_owned(),
        pod_name: id.to_owned(),
        ..ContainerRow::default()
    }
}

/// A table, fed in short.
#[derive(Default)]
struct Fixture(PodTable);

impl Fixture {
    fn listed(&mut self, begun: u64, pods: &[(&str, u32)]) -> Option<Vec<(String, u32)>> {
        let rows: Vec<_> = pods.iter().map(|(id, version)| container(id, *version)).collect();
        let pods = pods.iter().map(|(id, version)| pod(id, *version)).collect();
        versions(self.0.listed(at(begun), pods, &rows), begun)
    }

    fn made(&mut self, ended: u64, id: &str, version: u32) -> Option<Vec<(String, u32)>> {
        versions(self.0.made(at(ended), pod(id, version), &[container(id, version)]), ended)
    }

    fn removed(&mut self, ended: u64, id: &str) -> Option<Vec<(String, u32)>> {
        versions(self.0.removed(at(ended), &WorkloadId::from(id)), ended)
    }

    fn left_unclear(&mut self, ended: u64, id: &str) {
        self.0.left_unclear(at(ended).monotonic, &WorkloadId::from(id));
    }

    fn is_absent(&self, id: &str) -> bool {
        self.0.is_absent(&WorkloadId::from(id))
    }

    /// The version of the pod whose containers may run.
    fn live(&self, id: &str) -> Option<u32> {
        let live = self.0.live_containers(&WorkloadId::from(id))?;
        live.first().and_then(|row| row.id.parse().ok())
    }
}

/// Returns the pods of a snapshot that is of the second `of`.
fn versions(snapshot: Option<Snapshot>, of: u64) -> Option<Vec<(String, u32)>> {
    let snapshot = snapshot?;
    assert_eq!(snapshot.observed_at, at(of));
    Some(snapshot.pods.iter().map(|pod| (pod.id.to_string(), pod.restarts)).collect())
}

fn shows(pods: &[(&str, u32)]) -> Option<Vec<(String, u32)>> {
    Some(pods.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect())
}

#[test]
fn before_the_first_listing_nothing_is_known() {
    let mut table = Fixture::default();
    assert!(!table.0.is_complete() && !table.is_absent("web"));
    assert_eq!(table.made(1, "web", 1), None, "the other pods are not known");
    assert_eq!(table.live("web"), None);
    assert_eq!(table.listed(2, &[("web", 1)]), shows(&[("web", 1)]));
    assert!(table.0.is_complete() && table.is_absent("db") && !table.is_absent("web"));
    assert_eq!(table.live("web"), Some(1));
}

#[test]
fn a_listing_begun_before_a_command_ended_does_not_undo_it() {
    let mut table = Fixture::default();
    table.listed(1, &[("db", 1), ("web", 1)]);
    assert_eq!(table.removed(3, "web"), shows(&[("db", 1)]));
    assert_eq!(table.made(3, "new", 1), shows(&[("db", 1), ("new", 1)]));
    // It still has the news of the other pod.
    assert_eq!(table.listed(2, &[("db", 2), ("web", 1)]), shows(&[("db", 2), ("new", 1)]));
    assert!(table.is_absent("web"));
    assert_eq!(table.live("new"), Some(1));
    // One that was begun afterwards is believed in everything.
    assert_eq!(table.listed(4, &[("web", 2)]), shows(&[("web", 2)]));
    assert!(table.is_absent("new") && !table.is_absent("web"));
}

#[test]
fn a_listing_begun_in_the_instant_in_which_a_command_ended_shows_its_outcome() {
    let mut table = Fixture::default();
    table.listed(1, &[("web", 1)]);
    table.left_unclear(2, "web");
    assert_eq!(table.listed(2, &[("web", 2)]), shows(&[("web", 2)]));
}

#[test]
fn a_listing_that_a_younger_one_overtook_says_nothing() {
    let mut table = Fixture::default();
    assert_eq!(table.listed(2, &[("web", 2)]), shows(&[("web", 2)]));
    assert_eq!(table.listed(1, &[("web", 1), ("db", 1)]), None);
    assert_eq!((table.live("web"), table.is_absent("db")), (Some(2), true));
}

#[test]
fn after_a_listing_that_failed_podman_is_asked_again() {
    let mut table = Fixture::default();
    table.listed(1, &[("web", 1)]);
    table.0.listing_failed();
    assert!(!table.0.is_complete() && !table.is_absent("db"));
    assert_eq!(table.live("web"), None);
    assert_eq!(table.removed(2, "web"), None, "what the others do is not known");
    assert_eq!(table.listed(1, &[("web", 1), ("db", 1)]), shows(&[("db", 1)]));
}

#[test]
fn a_pod_that_a_command_left_unclear_is_neither_absent_nor_known_to_run_until_it_is_listed() {
    let mut table = Fixture::default();
    table.listed(1, &[("web", 1)]);
    for id in ["web", "new"] {
        table.left_unclear(3, id);
        assert!(!table.is_absent(id));
        assert_eq!(table.live(id), None);
    }
    assert_eq!(table.made(4, "db", 1), None, "it would be sent as of now");
    assert_eq!(table.listed(2, &[("web", 1)]), shows(&[("db", 1), ("web", 1)]));
    assert!(!table.0.is_complete() && !table.is_absent("new"));
    assert_eq!(table.listed(5, &[("new", 1)]), shows(&[("new", 1)]));
    assert!(table.0.is_complete() && table.is_absent("web"));
}

#[test]
fn only_containers_that_may_run_count_as_live() {
    let mut table = PodTable::default();
    let rows =
        [("main", "running"), ("side", "exited"), ("other", "stopping")].map(|(id, state)| {
            ContainerRow { id: id.to_owned(), state: state.to_owned(), ..container("web", 1) }
        });
    table.listed(at(1), vec![pod("web", 1)], &rows);
    let live = table.live_containers(&WorkloadId::from("web")).unwrap();
    let ids = live.iter().map(|row| row.id.as_str());
    assert_eq!(ids.collect::<Vec<_>>(), ["main", "other"]);
    assert_eq!(table.all_live_containers(), live);
    table.listed(at(2), vec![pod("web", 1)], &rows[1..2]);
    assert_eq!(table.live_containers(&WorkloadId::from("web")), None);
}

#[test]
fn a_pod_without_containers_shows_with_the_next_listing_until_it_has_some() {
    let mut table = Fixture::default();
    table.listed(1, &[("web", 1)]);
    table.0.pods_listed(at(2).monotonic, vec![pod("half", 0), pod("web", 0)]);
    assert_eq!(table.listed(3, &[("web", 1)]), shows(&[("half", 0), ("web", 1)]));
    assert_eq!(table.live("half"), None);
    assert_eq!(table.listed(4, &[]), shows(&[("half", 0)]), "web was removed as a whole");
    assert_eq!(table.removed(5, "half"), shows(&[]));
    assert_eq!(table.listed(6, &[]), shows(&[]));
}

#[test]
fn a_listing_of_pods_begun_before_a_command_ended_does_not_undo_it() {
    let mut table = Fixture::default();
    table.listed(1, &[("web", 1)]);
    table.removed(3, "web");
    table.0.pods_listed(at(2).monotonic, vec![pod("web", 0)]);
    assert_eq!(table.listed(4, &[]), shows(&[]));
}

// ---- random interleavings, beside a model that knows the truth -----------------------------------

const PODS: [&str; 3] = ["a", "b", "c"];

/// The versions of the pods that exist.
type Truth = BTreeMap<&'static str, u32>;

#[derive(Clone, Debug)]
enum Step {
    /// A listing is begun.
    List,
    /// The oldest listing that is under way, or the youngest, arrives. podman looked at each pod at some
    /// moment since it was begun: at the beginning where `early` says so, else now.
    Arrives { oldest: bool, early: [bool; 3] },
    /// It fails.
    Fails { oldest: bool },
    /// A command makes a pod, over one that exists, if there is one.
    Make(usize),
    /// A command removes a pod.
    Remove(usize),
    /// A command ends without its outcome being known: it removed the pod, made it, or did nothing.
    Fail(usize, Option<bool>),
    /// Another program removes a pod, or makes it.
    Meddle(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let which = || 0..PODS.len();
    let step = prop_oneof![
        3 => Just(Step::List),
        3 => (any::<bool>(), any::<[bool; 3]>())
            .prop_map(|(oldest, early)| Step::Arrives { oldest, early }),
        1 => any::<bool>().prop_map(|oldest| Step::Fails { oldest }),
        2 => which().prop_map(Step::Make),
        2 => which().prop_map(Step::Remove),
        1 => (which(), any::<Option<bool>>()).prop_map(|(pod, made)| Step::Fail(pod, made)),
        1 => (which(), any::<bool>()).prop_map(|(pod, made)| Step::Meddle(pod, made)),
    ];
    prop::collection::vec(step, 1..60)
}

/// What is true, and what was true when.
#[derive(Default)]
struct Model {
    table: PodTable,
    /// The truth after each second.
    history: Vec<Truth>,
    /// Second in which the last command for each pod ended.
    commanded: BTreeMap<&'static str, usize>,
    /// Second of the last change.
    changed: usize,
    /// Seconds in which the listings that are under way were begun.
    under_way: Vec<usize>,
}

impl Model {
    fn now(&self) -> usize {
        self.history.len()
    }

    fn set(&mut self, id: &'static str, exists: bool, by_command: bool) {
        let mut truth = self.history.last().cloned().unwrap_or_default();
        let version = u32::try_from(self.now()).unwrap();
        if exists {
            truth.insert(id, version)
        } else {
            truth.remove(id)
        };
        self.changed = self.now();
        if by_command {
            self.commanded.insert(id, self.now());
        }
        self.history.push(truth);
    }

    /// Takes one step, one second after the last. Returns what is to be sent.
    fn step(&mut self, step: &Step) -> Option<Snapshot> {
        let now = at(self.now() as u64);
        match *step {
            Step::List => {
                self.under_way.push(self.now());
                self.rest();
                None
            }
            Step::Arrives { oldest, early } => {
                self.rest();
                let begun = self.ended_listing(oldest)?;
                let seen = PODS.iter().zip(early).filter_map(|(id, early)| {
                    let truth = &self.history[if early { begun } else { self.now() - 1 }];
                    Some((*id, *truth.get(id)?))
                });
                let seen: Vec<_> = seen.collect();
                let rows: Vec<_> = seen.iter().map(|(id, it)| container(id, *it)).collect();
                let pods = seen.iter().map(|(id, it)| pod(id, *it)).collect();
                self.table.listed(at(begun as u64), pods, &rows)
            }
            Step::Fails { oldest } => {
                self.rest();
                self.ended_listing(oldest)?;
                self.table.listing_failed();
                None
            }
            Step::Make(it) => {
                let version = u32::try_from(self.now()).unwrap();
                self.set(PODS[it], true, true);
                let rows = [container(PODS[it], version)];
                self.table.made(now, pod(PODS[it], version), &rows)
            }
            Step::Remove(it) => {
                self.set(PODS[it], false, true);
                self.table.removed(now, &WorkloadId::from(PODS[it]))
            }
            Step::Fail(it, outcome) => {
                match outcome {
                    Some(made) => self.set(PODS[it], made, true),
                    None => {
                        self.changed = self.now();
                        self.commanded.insert(PODS[it], self.now());
                        self.rest();
                    }
                }
                self.table.left_unclear(now.monotonic, &WorkloadId::from(PODS[it]));
                None
            }
            Step::Meddle(it, made) => {
                self.set(PODS[it], made, false);
                None
            }
        }
    }

    /// A second in which no pod changes.
    fn rest(&mut self) {
        self.history.push(self.history.last().cloned().unwrap_or_default());
    }

    fn ended_listing(&mut self, oldest: bool) -> Option<usize> {
        match oldest {
            true if !self.under_way.is_empty() => Some(self.under_way.remove(0)),
            true | false => self.under_way.pop(),
        }
    }

    /// Whether the pod `id` was like this at some time since the last command for it.
    fn was(&self, id: &str, version: Option<u32>) -> bool {
        let since = self.commanded.get(id).copied().unwrap_or_default();
        let mut history = self.history.iter().skip(since);
        history.any(|truth| truth.get(id).copied() == version)
    }
}

proptest! {
    /// No answer is older than the last command for its pod, and after a listing that was begun after the
    /// last change all of them are true.
    #[test]
    fn answers_are_never_older_than_the_last_command_and_become_true(steps in steps()) {
        let mut model = Model::default();
        let mut listed = None;
        for step in &steps {
            let sent = model.step(step);
            if let Some(sent) = &sent {
                let of = sent.observed_at.monotonic.since_start().as_secs();
                let of = usize::try_from(of).unwrap();
                for id in PODS {
                    // The scheduler ignores what is older than its last command.
                    if model.commanded.get(id).is_some_and(|ended| *ended > of) {
                        continue;
                    }
                    let version = sent.pods.iter().find(|pod| pod.id.as_str() == id);
                    let version = version.map(|pod| pod.restarts);
                    prop_assert!(model.was(id, version), "{id} is sent as {version:?}: {step:?}");
                }
                if let Step::Arrives { .. } = step {
                    listed = Some(of);
                }
            }
            for id in PODS {
                let table = &model.table;
                let live = table.live_containers(&WorkloadId::from(id));
                let live = live.and_then(|rows| rows.first()?.id.parse().ok());
                prop_assert!(live.is_none() || model.was(id, live), "{id} runs as {live:?}");
                let is_absent = table.is_absent(&WorkloadId::from(id));
                prop_assert!(!is_absent || model.was(id, None), "{id} is absent");
                // Nothing has changed since podman was asked.
                if listed.is_some_and(|begun| begun > model.changed) && table.is_complete() {
                    let truth = model.history.last().and_then(|truth| truth.get(id)).copied();
                    prop_assert_eq!((live, is_absent), (truth, truth.is_none()), "{}", id);
                }
            }
            let is_true = listed.is_some_and(|begun| begun > model.changed);
            if let Some(sent) = sent.filter(|_| is_true) {
                let pods = sent.pods.iter().map(|pod| (pod.id.to_string(), pod.restarts));
                let truth = model.history.last().cloned().unwrap_or_default();
                let truth = truth.into_iter().map(|(id, version)| (id.to_owned(), version));
                prop_assert_eq!(pods.collect::<BTreeMap<_, _>>(), truth.collect());
            }
        }
    }
}
