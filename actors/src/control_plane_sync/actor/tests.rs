//! The actor between a scripted control plane and its two listeners, in virtual time.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use futures_util::future::{LocalBoxFuture, select};
use futures_util::poll;
use tempfile::TempDir;

use super::*;
use crate::control_plane_sync::server::error::{Call, ControlPlaneError, Message};
use crate::control_plane_sync::{AgentStatus, EnrolmentAnswer, Restored, manifests_in};
use crate::control_plane_sync::{ControlAnswer, advice};
use crate::messages::{ControlPlaneReport, GetControlPlane};
use crate::supervisor::Slot;
use crate::testing::control_plane::FakeControlPlane;
use crate::workload::{
    Configuration, DeviceId, Event, EventReason, ExecutorKind, JobReport, RejectedWorkload,
    Updates, WorkloadName, WorkloadStatus,
};

const MINUTE: Duration = Duration::from_secs(60);

/// Notes what the actor publishes: the names of the workloads.
#[derive(Clone, Default)]
struct Listener(Rc<RefCell<Vec<Vec<String>>>>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<WorkloadsConfigured> for Listener {
    type Result = ();

    fn handle(&mut self, message: WorkloadsConfigured, _ctx: &mut Self::Context) {
        let names = message.rejected.iter().map(|it| it.name.to_string());
        self.0.borrow_mut().push(names.collect());
    }
}

impl Handler<ProfilesConfigured> for Listener {
    type Result = ();

    fn handle(&mut self, _message: ProfilesConfigured, _ctx: &mut Self::Context) {}
}

/// Keeps a configuration in memory, or fails.
#[derive(Clone, Default)]
struct MemoryStore(Rc<RefCell<StoreContents>>);

#[derive(Default)]
struct StoreContents {
    kept: Option<Configuration>,
    stored_at: Option<DateTime<Utc>>,
    saves: usize,
    is_broken: bool,
    hangs: bool,
    /// Seconds until it says what it has kept.
    reads_for: u64,
}

impl ConfigurationStore for MemoryStore {
    fn load(&self) -> LocalBoxFuture<'static, Restored> {
        let contents = self.0.borrow();
        let (configuration, stored_at) = (contents.kept.clone(), contents.stored_at);
        let seconds = contents.reads_for;
        Box::pin(async move {
            after(seconds).await;
            Restored { configuration, stored_at, ..Restored::default() }
        })
    }

    fn save(&self, configuration: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        let mut contents = self.0.borrow_mut();
        if contents.hangs {
            return Box::pin(std::future::pending());
        }
        if contents.is_broken {
            return Box::pin(async { Err("no space left on device".to_owned()) });
        }
        contents.kept = Some(configuration.clone());
        contents.saves += 1;
        Box::pin(async { Ok(()) })
    }
}

struct Harness {
    api: FakeControlPlane,
    listener: Listener,
    store: MemoryStore,
    clock: Clock,
    folder: TempDir,
}

impl Harness {
    /// Lets the control plane answer every call with 401.
    fn refuse_all(&self) {
        self.api.script(|it| {
            it.configuration = Err(failure(Call::Configuration, 401));
            it.heartbeat = Err(failure(Call::Heartbeat, 401));
            it.control = Err(failure(Call::Control, 401));
            it.registration = Err(failure(Call::Registration, 401));
            it.enrolment = Err(failure(Call::Enrolment, 401));
        });
    }

    /// A control plane that approves at once and configures workload `web`; time is virtual.
    fn new() -> Self {
        tokio::time::pause();
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().unwrap());
        let device = DeviceId::from("cam-01");
        Self {
            api: FakeControlPlane::new(device, configuration(&["web"]), clock.clone()),
            listener: Listener::default(),
            store: MemoryStore::default(),
            clock,
            folder: TempDir::new().unwrap(),
        }
    }

    fn start(&self) -> Addr<ControlPlaneSync> {
        let identity = self.api.identity_files(self.folder.path()).unwrap();
        self.start_with(Source::Server { api: Rc::new(self.api.clone()), identity })
    }

    fn start_with(&self, source: Source) -> Addr<ControlPlaneSync> {
        let listener = self.listener.clone().start();
        let vitals = Vitals::unwatched(self.clock.clone());
        ControlPlaneSync::new(self.deps(source, listener, vitals)).start()
    }

    fn deps(&self, source: Source, listener: Addr<Listener>, vitals: Vitals) -> SyncDeps {
        SyncDeps {
            source,
            store: Box::new(self.store.clone()),
            workloads: vec![listener.clone().recipient()],
            evaluator: listener.recipient(),
            objectives: Vec::new(),
            clock: self.clock.clone(),
            vitals,
        }
    }

    /// Runs `story` while the actor, under its supervisor, is there.
    async fn supervised(&self, story: impl AsyncFnOnce(Recipient<EventRecorded>)) {
        let identity = self.api.identity_files(self.folder.path()).unwrap();
        let source = Source::Server { api: Rc::new(self.api.clone()), identity };
        let slot = Slot::<ControlPlaneSync>::new("sync", self.clock.clone());
        let (listener, health) = (self.listener.clone().start(), slot.recipient());
        let sync = ControlPlaneSync::new(self.deps(source, listener, slot.vitals()));
        let story = story(slot.recipient());
        let supervised = slot.supervise(sync, health);
        select(pin!(supervised), pin!(story)).await;
    }

    fn published(&self) -> Vec<Vec<String>> {
        self.listener.0.borrow().clone()
    }

    /// What was published last.
    fn in_force(&self) -> Option<Vec<String>> {
        self.published().pop()
    }

    fn count(&self, call: Call) -> usize {
        self.api.times(call).len()
    }

    fn events(&self) -> Vec<&'static str> {
        let record = self.api.record();
        let events = record.heartbeats.iter().flat_map(|it| &it.events);
        events.map(|event| event.reason.as_str()).collect()
    }
}

/// A configuration whose workloads differ by name only.
fn configuration(workloads: &[&str]) -> Configuration {
    Configuration {
        version: Some("1".to_owned()),
        heartbeat_period: MINUTE,
        hardware_in_heartbeat: false,
        objectives: Vec::new(),
        profiles: Vec::new(),
        workloads: Vec::new(),
        rejected: workloads
            .iter()
            .map(|name| RejectedWorkload { name: WorkloadName::from(*name), reason: String::new() })
            .collect(),
        updates: Updates::default(),
    }
}

fn jobs(status: WorkloadStatus) -> JobsReported {
    let job = JobReport {
        workload: WorkloadName::from("web"),
        id: None,
        executor: None,
        status,
        reason: None,
        restarts: 0,
        next_start: None,
    };
    JobsReported { jobs: Arc::from([job]), ..JobsReported::default() }
}

fn event(harness: &Harness) -> EventRecorded {
    let at = harness.clock.now().wall;
    let event = Event::new(EventReason::WorkloadFailed, None, String::new(), at);
    EventRecorded { event }
}

fn failure(call: Call, status: u16) -> ControlPlaneError {
    ControlPlaneError::of_status(call, status, b"").unwrap()
}

fn unreachable(call: Call) -> ControlPlaneError {
    ControlPlaneError::Unreachable { call, reason: "connection refused".to_owned() }
}

async fn after(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[actix::test]
async fn a_new_device_enrols_registers_and_publishes_its_configuration() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.api.record().shown_own, [false, true]);
    assert_eq!(harness.count(Call::Heartbeat), 1);
    assert_eq!(harness.count(Call::Control), 1);
}

#[actix::test]
async fn the_stored_configuration_is_published_before_any_answer() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().kept = Some(configuration(&["stored"]));
    harness.api.script(|it| it.enrolment = Err(unreachable(Call::Enrolment)));
    let _actor = harness.start();
    after(1).await;
    assert_eq!(harness.in_force(), Some(vec!["stored".to_owned()]));
    assert_eq!(harness.count(Call::Configuration), 0);
}

#[actix::test]
async fn nothing_is_published_while_nothing_is_known() {
    let harness = Harness::new();
    harness.api.script(|it| it.enrolment = Err(unreachable(Call::Enrolment)));
    let _actor = harness.start();
    after(600).await;
    assert_eq!(harness.published(), Vec::<Vec<String>>::new());
}

#[actix::test]
async fn a_device_that_waits_for_approval_asks_again_ever_more_slowly() {
    let harness = Harness::new();
    harness.api.script(|it| it.enrolment = Ok(EnrolmentAnswer::Pending));
    let _actor = harness.start();
    after(3600).await;
    let asked = harness.count(Call::Enrolment);
    assert!((15..=40).contains(&asked), "{asked}");
    harness.api.script(|it| it.enrolment = Ok(EnrolmentAnswer::Approved));
    after(310).await;
    assert!(harness.count(Call::Configuration) > 0);
}

#[actix::test]
async fn each_period_brings_a_heartbeat_a_configuration_and_a_control_question() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(605).await;
    for call in [Call::Heartbeat, Call::Configuration, Call::Control] {
        let asked = harness.count(call);
        assert!((9..=12).contains(&asked), "{call}: {asked}");
    }
}

#[actix::test]
async fn the_configuration_in_force_is_published_again_each_minute_whatever_the_period() {
    let harness = Harness::new();
    harness.api.script(|it| {
        it.configuration =
            Ok(Configuration { heartbeat_period: 60 * MINUTE, ..configuration(&["web"]) });
    });
    let _actor = harness.start();
    after(5).await;
    let before = harness.published().len();
    harness.api.script(|it| it.configuration = Err(unreachable(Call::Configuration)));
    after(600).await;
    let again = harness.published().len() - before;
    assert!((9..=11).contains(&again), "{again}");
}

#[actix::test]
async fn an_unchanged_configuration_with_a_new_version_is_not_written() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    harness.api.script(|it| {
        it.configuration =
            Ok(Configuration { version: Some("2".to_owned()), ..configuration(&["web"]) });
    });
    after(200).await;
    assert_eq!(harness.store.0.borrow().saves, 1);
    let last = harness.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.configuration_version.as_deref(), Some("2"));
}

#[actix::test]
async fn an_undecodable_configuration_changes_nothing_and_is_one_event() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    let (call, reason) = (Call::Configuration, "no JSON".to_owned());
    let senseless = ControlPlaneError::Undecodable { call, reason };
    harness.api.script(|it| it.configuration = Err(senseless));
    after(1800).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), ["ConfigurationRefused"]);
}

#[actix::test]
async fn what_the_author_of_a_configuration_should_know_is_one_event_each_while_it_is_in_force() {
    let harness = Harness::new();
    let unknown = Diagnostic::new(EventReason::FieldUnknown, "w.yaml", "spec.profle").about("web");
    let ignored = Diagnostic::new(EventReason::ManifestIgnored, "w.yaml", "Service \"s\"");
    harness.api.script(|it| it.diagnostics = vec![unknown.clone(), ignored]);
    let _actor = harness.start();
    after(600).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), ["FieldUnknown", "ManifestIgnored"]);
    harness.api.script(|it| it.diagnostics.clear());
    after(600).await;
    harness.api.script(|it| it.diagnostics.push(unknown));
    after(600).await;
    assert_eq!(harness.events(), ["FieldUnknown", "ManifestIgnored", "FieldUnknown"]);
}

#[actix::test]
async fn a_store_that_fails_is_an_event_and_not_a_stop() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().is_broken = true;
    let _actor = harness.start();
    after(90).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), ["ConfigurationNotStored"]);
}

#[actix::test]
async fn a_configuration_that_the_disk_refused_is_kept_once_the_disk_is_well() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().is_broken = true;
    let _actor = harness.start();
    after(200).await;
    assert_eq!(harness.store.0.borrow().saves, 0);
    harness.store.0.borrow_mut().is_broken = false;
    after(300).await;
    assert_eq!(harness.store.0.borrow().saves, 1);
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn a_restart_of_the_actor_does_not_fall_back_to_an_older_configuration_on_the_disk() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().kept = Some(configuration(&["old"]));
    harness.store.0.borrow_mut().is_broken = true;
    let story = async {
        after(200).await;
        assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
        let told_before = harness.published().len();
        // An answer that never comes: the supervisor restarts the actor.
        harness.api.script(|script| script.delay = 100 * MINUTE);
        after(600).await;
        assert!(harness.published().len() > told_before);
        assert!(!harness.published()[told_before..].contains(&vec!["old".to_owned()]));
    };
    harness.supervised(async |_| story.await).await;
}

#[actix::test]
async fn events_of_a_heartbeat_under_way_outlive_a_restart_of_the_actor() {
    let harness = Harness::new();
    harness
        .supervised(async |actor| {
            after(5).await;
            actor.send(event(&harness)).await.unwrap();
            // An answer that never comes: the supervisor restarts the actor.
            harness.api.script(|script| script.delay = 100 * MINUTE);
            after(600).await;
            assert_eq!(harness.events(), Vec::<&str>::new());
            harness.api.script(|script| script.delay = Duration::from_millis(10));
            after(600).await;
            assert_eq!(harness.events(), ["WorkloadFailed"]);
        })
        .await;
}

#[actix::test]
async fn a_disk_that_hangs_delays_a_configuration_by_seconds_only() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().hangs = true;
    let _actor = harness.start();
    after(15).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn a_stored_configuration_that_is_long_in_coming_holds_up_nothing_but_the_questions() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().kept = Some(configuration(&["stored"]));
    harness.store.0.borrow_mut().reads_for = 20;
    let actor = harness.start();
    after(10).await;
    actor.send(event(&harness)).await.unwrap();
    actor.send(ConfigurationWanted).await.unwrap();
    after(5).await;
    assert_eq!((harness.in_force(), harness.api.record().asked), (None, Vec::new()));
    // What was kept comes into force first, and then what the control plane wants.
    harness.api.script(|it| it.configuration = Err(unreachable(Call::Configuration)));
    after(10).await;
    assert_eq!(harness.in_force(), Some(vec!["stored".to_owned()]));
    harness.api.script(|it| it.configuration = Ok(configuration(&["web"])));
    after(120).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn events_of_a_failed_heartbeat_go_with_the_next() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    harness.api.script(|it| it.heartbeat = Err(failure(Call::Heartbeat, 503)));
    actor.send(event(&harness)).await.unwrap();
    after(120).await;
    assert_eq!(harness.events(), Vec::<&str>::new());
    harness.api.script(|it| it.heartbeat = Ok(()));
    after(600).await;
    assert_eq!(harness.events(), ["WorkloadFailed"]);
}

#[actix::test]
async fn a_changed_status_is_reported_within_a_second_but_not_more_often() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    let before = harness.count(Call::Heartbeat);
    actor.send(jobs(WorkloadStatus::Deploying)).await.unwrap();
    after(1).await;
    assert_eq!(harness.count(Call::Heartbeat), before + 1);
    for _ in 0..10 {
        actor.send(jobs(WorkloadStatus::Running)).await.unwrap();
        actor.send(jobs(WorkloadStatus::Crashed)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let burst = harness.count(Call::Heartbeat) - before - 1;
    assert!((1..=2).contains(&burst), "{burst}");
    after(2).await;
    let last = harness.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.jobs.first().unwrap().status, WorkloadStatus::Crashed);
}

#[actix::test]
async fn the_status_is_degraded_while_a_runtime_that_is_needed_is_silent() {
    let harness = Harness::new();
    let actor = harness.start();
    let report = |silent: &[ExecutorKind]| JobsReported {
        silent_runtimes: silent.iter().copied().collect(),
        ..jobs(WorkloadStatus::Running)
    };
    actor.send(report(&[])).await.unwrap();
    after(5).await;
    for silent in [&[ExecutorKind::K8s][..], &[]] {
        actor.send(report(silent)).await.unwrap();
        // Sent early, not with the heartbeat of the next minute.
        after(5).await;
    }
    let statuses: Vec<_> = harness.api.record().heartbeats.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [AgentStatus::Up, AgentStatus::Degraded, AgentStatus::Up]);
}

#[actix::test]
async fn the_status_is_degraded_while_an_actor_is_down() {
    let harness = Harness::new();
    let actor = harness.start();
    let health = |health| ActorHealthChanged { actor: "podman_rootful", health };
    let cause = "panicked".to_owned();
    let down = ActorHealth::Restarting { cause, failures: 1 };
    actor.send(health(down)).await.unwrap();
    after(5).await;
    actor.send(health(ActorHealth::Up)).await.unwrap();
    after(70).await;
    let statuses: Vec<_> = harness.api.record().heartbeats.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [AgentStatus::Degraded, AgentStatus::Up]);
}

#[actix::test]
async fn an_actor_that_is_up_again_is_sent_the_configuration_at_once() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    let health = |health| ActorHealthChanged { actor: "scheduler", health };
    let before = harness.published().len();
    let cause = "panicked".to_owned();
    actor.send(health(ActorHealth::Restarting { cause, failures: 1 })).await.unwrap();
    after(1).await;
    assert_eq!(harness.published().len(), before);
    actor.send(health(ActorHealth::Up)).await.unwrap();
    after(1).await;
    assert_eq!(harness.published().len(), before + 1);
}

#[actix::test]
async fn only_the_first_heartbeat_carries_the_hardware() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(190).await;
    let record = harness.api.record();
    let hardware: Vec<_> = record.heartbeats.iter().map(|it| it.with_hardware).collect();
    assert!(hardware.len() >= 3);
    assert!(hardware.first().unwrap());
    assert!(!hardware.iter().skip(1).any(|with| *with));
}

#[actix::test]
async fn a_heartbeat_that_fails_hinders_no_configuration() {
    let harness = Harness::new();
    harness.api.script(|it| it.heartbeat = Err(failure(Call::Heartbeat, 403)));
    let _actor = harness.start();
    after(605).await;
    assert!(harness.count(Call::Configuration) >= 9);
}

#[actix::test]
async fn one_disconnect_or_404_is_not_believed() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    harness.api.script(|it| {
        it.control = Ok(ControlAnswer::Disconnect);
        it.configuration = Err(failure(Call::Configuration, 404));
    });
    after(62).await;
    harness.api.script(|it| {
        it.control = Ok(ControlAnswer::Nothing);
        it.configuration = Ok(configuration(&["web"]));
    });
    after(300).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.count(Call::Enrolment), 1);
}

#[actix::test]
async fn a_deletion_said_for_half_a_minute_empties_the_device_and_enrols_again() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    harness.api.script(|it| {
        it.control = Ok(ControlAnswer::Disconnect);
        it.configuration = Err(failure(Call::Configuration, 404));
        it.enrolment = Ok(EnrolmentAnswer::Pending);
    });
    after(130).await;
    assert_eq!(harness.in_force(), Some(Vec::new()));
    assert!(harness.count(Call::Enrolment) > 1);
    assert!(!harness.folder.path().join("identity/device.crt").exists());
    let kept = harness.store.0.borrow().kept.clone().unwrap();
    assert!(kept.rejected.is_empty());
    harness.api.script(|it| {
        it.control = Ok(ControlAnswer::Nothing);
        it.configuration = Ok(configuration(&["again"]));
        it.enrolment = Ok(EnrolmentAnswer::Approved);
    });
    after(310).await;
    assert_eq!(harness.in_force(), Some(vec!["again".to_owned()]));
    assert!(harness.events().contains(&"DeviceDeleted"));
}

#[actix::test]
async fn an_empty_configuration_is_believed_after_half_a_minute_and_keeps_the_membership() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    harness.api.script(|it| it.configuration = Ok(configuration(&[])));
    let started = harness.count(Call::Configuration);
    while harness.count(Call::Configuration) < started + 2 {
        after(1).await;
    }
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    after(60).await;
    assert_eq!(harness.in_force(), Some(Vec::new()));
    assert_eq!(harness.count(Call::Enrolment), 1);
}

#[actix::test]
async fn a_401_for_the_configuration_renews_the_certificate_at_once() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    let refusal = failure(Call::Configuration, 401);
    harness.api.script(|it| it.configuration = Err(refusal));
    while harness.count(Call::Registration) < 2 {
        after(1).await;
    }
    harness.api.script(|it| it.configuration = Ok(configuration(&["renewed"])));
    after(10).await;
    assert_eq!(harness.in_force(), Some(vec!["renewed".to_owned()]));
    assert_eq!(harness.count(Call::Enrolment), 1);
    let requests = harness.api.record().requests;
    assert_ne!(requests.first(), requests.get(1));
}

#[actix::test]
async fn a_certificate_that_is_always_refused_is_not_renewed_in_a_hurry() {
    let harness = Harness::new();
    let refusal = failure(Call::Configuration, 401);
    harness.api.script(|it| it.configuration = Err(refusal));
    let _actor = harness.start();
    after(3600).await;
    let renewals = harness.count(Call::Registration);
    assert!(renewals < 50, "{renewals}");
}

#[actix::test]
async fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
    let harness = Harness::new();
    harness.api.script(|it| {
        it.configuration =
            Ok(Configuration { heartbeat_period: 60 * MINUTE, ..configuration(&["web"]) });
    });
    let _actor = harness.start();
    after(60 * 60 * 24 * 17).await;
    assert_eq!(harness.count(Call::Registration), 1);
    after(60 * 60 * 24 * 4).await;
    assert_eq!(harness.count(Call::Registration), 2);
}

#[actix::test]
async fn a_lost_registration_is_repeated_with_the_same_key_and_a_500_is_explained() {
    let harness = Harness::new();
    harness.api.script(|it| it.registration = Err(unreachable(Call::Registration)));
    let actor = harness.start();
    after(1).await;
    let key = std::fs::read(harness.folder.path().join("identity/next.key")).unwrap();
    harness.api.script(|it| it.registration = Err(failure(Call::Registration, 500)));
    after(900).await;
    assert_eq!(std::fs::read(harness.folder.path().join("identity/next.key")).unwrap(), key);
    let asked = harness.count(Call::Registration);
    assert!((4..=10).contains(&asked), "{asked}");
    harness.api.script(|it| it.registration = Ok(()));
    after(310).await;
    assert_eq!(harness.events(), ["RegistrationForbidden"]);
    drop(actor);
}

#[actix::test]
async fn registrations_never_overlap() {
    let harness = Harness::new();
    harness.api.script(|it| it.delay = Duration::from_secs(59));
    let _actor = harness.start();
    after(3600).await;
    let times = harness.api.times(Call::Registration);
    assert_eq!(times.len(), 1);
}

#[actix::test]
async fn a_device_with_an_identity_asks_at_once_after_a_restart() {
    let harness = Harness::new();
    let first = harness.start();
    after(5).await;
    drop(first);
    let enrolments = harness.count(Call::Enrolment);
    let identity = IdentityFilesOf(&harness).files();
    let _second =
        harness.start_with(Source::Server { api: Rc::new(harness.api.clone()), identity });
    after(5).await;
    assert_eq!(harness.count(Call::Enrolment), enrolments);
    assert_eq!(harness.api.record().shown_own.last(), Some(&true));
}

/// The files as they are, without a new registration pair.
struct IdentityFilesOf<'a>(&'a Harness);

impl IdentityFilesOf<'_> {
    fn files(&self) -> crate::control_plane_sync::IdentityFiles {
        let folder = self.0.folder.path();
        crate::control_plane_sync::IdentityFiles::new(
            folder.join("cert.pem"),
            folder.join("key.pem"),
            folder,
            DeviceId::from("cam-01"),
        )
    }
}

#[actix::test]
async fn a_missing_registration_pair_is_explained_and_found_when_it_appears() {
    let harness = Harness::new();
    let identity = IdentityFilesOf(&harness).files();
    let _actor = harness.start_with(Source::Server { api: Rc::new(harness.api.clone()), identity });
    after(60).await;
    assert_eq!(harness.count(Call::Enrolment), 0);
    harness.api.identity_files(harness.folder.path()).unwrap();
    after(310).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), ["IdentityUnusable"]);
}

#[actix::test]
async fn a_disk_that_hangs_holds_up_the_identity_and_nothing_else() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().kept = Some(configuration(&["stored"]));
    let identity = harness.api.identity_files(harness.folder.path()).unwrap();
    let (gate, opened) = mpsc::channel::<()>();
    let mut hung = pin!(identity.run_blocking(move |_| Ok(opened.recv().is_ok())));
    assert!(poll!(&mut hung).is_pending());

    let api = Rc::new(harness.api.clone());
    let actor = harness.start_with(Source::Server { api, identity: identity.clone() });
    // Time does not pass by itself while a thread is at work.
    for _ in 0..30 {
        tokio::time::advance(Duration::from_secs(1)).await;
        actor.send(jobs(WorkloadStatus::Running)).await.unwrap();
    }
    assert_eq!(harness.in_force(), Some(vec!["stored".to_owned()]));
    assert_eq!(harness.count(Call::Enrolment), 0);

    gate.send(()).unwrap();
    after(30).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), ["IdentityUnusable"]);
}

#[actix::test]
async fn identity_files_are_read_again_on_request_and_while_one_side_distrusts_the_other() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    let shown = || harness.api.record().shown_own.len();
    let at_first = shown();
    after(300).await;
    assert_eq!(shown(), at_first);
    actor.send(ConfigurationWanted).await.unwrap();
    after(2).await;
    assert_eq!(shown(), at_first + 1);
    let distrust = ControlPlaneError::ServerNotTrusted { reason: "unknown issuer".to_owned() };
    harness.api.script(|it| it.configuration = Err(distrust));
    after(600).await;
    assert!(shown() >= at_first + 3, "{}", shown());
}

#[actix::test]
async fn a_wish_during_a_question_is_followed_by_another_question_right_after_it() {
    let harness = Harness::new();
    harness.api.script(|it| it.delay = Duration::from_secs(10));
    let actor = harness.start_with(Source::Folder(Rc::new(harness.api.clone())));
    after(5).await;
    actor.send(ConfigurationWanted).await.unwrap();
    after(4).await;
    assert_eq!(harness.count(Call::Configuration), 1);
    after(3).await;
    assert_eq!(harness.count(Call::Configuration), 2);
    after(20).await;
    assert_eq!(harness.count(Call::Configuration), 2);
}

#[actix::test]
async fn a_folder_is_published_without_enrolment_or_heartbeat() {
    let harness = Harness::new();
    let _actor = harness.start_with(Source::Folder(Rc::new(harness.api.clone())));
    after(200).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert!(harness.count(Call::Configuration) >= 3);
    for call in [Call::Enrolment, Call::Registration, Call::Heartbeat, Call::Control] {
        assert_eq!(harness.count(call), 0);
    }
}

#[actix::test]
async fn a_manifest_broken_before_the_agent_starts_takes_no_workload_away() {
    let harness = Harness::new();
    let running = crate::testing::workloads::workload("web").build();
    let stored = Configuration { workloads: vec![running], ..configuration(&[]) };
    harness.store.0.borrow_mut().kept = Some(stored.clone());
    std::fs::write(harness.folder.path().join("web.yaml"), "kind: [").unwrap();
    let folder = manifests_in(harness.folder.path(), DeviceId::from("cam-01"));
    let _actor = harness.start_with(Source::Folder(folder));
    after(300).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    let kept = harness.store.0.borrow().kept.clone().unwrap();
    assert_eq!(kept.workloads, stored.workloads);
}

#[actix::test]
async fn a_folder_without_any_manifest_is_believed_after_half_a_minute() {
    let harness = Harness::new();
    harness.store.0.borrow_mut().kept = Some(configuration(&["web"]));
    let folder = manifests_in(harness.folder.path(), DeviceId::from("cam-01"));
    let _actor = harness.start_with(Source::Folder(folder));
    after(20).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    after(60).await;
    assert_eq!(harness.in_force(), Some(Vec::new()));
}

#[actix::test]
async fn devices_do_not_come_back_together_after_an_outage() {
    let harness = Harness::new();
    let _actor = harness.start();
    after(5).await;
    harness.api.script(|it| {
        it.heartbeat = Err(ControlPlaneError::ServerFailed {
            call: Call::Heartbeat,
            status: 503,
            message: Message::default(),
        });
    });
    after(6 * 3600).await;
    let times = harness.api.times(Call::Heartbeat);
    let gaps: Vec<Duration> = times
        .windows(2)
        .rev()
        .take(10)
        .filter_map(|pair| Some(pair.get(1)?.saturating_since(*pair.first()?)))
        .collect();
    let longest = gaps.iter().max().unwrap();
    let shortest = gaps.iter().min().unwrap();
    assert!(*longest <= Duration::from_secs(301));
    assert!(*shortest >= Duration::from_secs(150));
    assert!(*longest - *shortest > Duration::from_secs(5));
}

async fn reported(actor: &Addr<ControlPlaneSync>) -> ControlPlaneReport {
    actor.send(GetControlPlane).await.unwrap()
}

async fn missing(actor: &Addr<ControlPlaneSync>) -> Vec<String> {
    reported(actor).await.missing
}

#[actix::test]
async fn a_device_whose_edgedevice_was_made_by_hand_asks_ever_more_slowly_and_says_the_way_out() {
    let harness = Harness::new();
    harness.api.script(|it| it.registration = Err(failure(Call::Registration, 404)));
    let actor = harness.start();
    after(3600).await;
    let asked = harness.count(Call::Enrolment) + harness.count(Call::Registration);
    assert!((20..=70).contains(&asked), "{asked} questions in an hour");
    let texts = missing(&actor).await;
    assert!(texts.len() == 1 && texts[0].ends_with(advice::MADE_BY_HAND), "{texts:?}");
    harness.api.script(|it| it.registration = Ok(()));
    after(310).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), ["DeviceNotEnrolled"]);
    assert_eq!(missing(&actor).await, [""; 0]);
}

#[actix::test]
async fn a_device_that_is_approved_a_moment_after_its_enrolment_is_no_trouble() {
    let harness = Harness::new();
    harness.api.script(|it| it.registration = Err(failure(Call::Registration, 404)));
    let _actor = harness.start();
    after(1).await;
    harness.api.script(|it| it.registration = Ok(()));
    after(10).await;
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(harness.events(), [""; 0]);
}

#[actix::test]
async fn a_configuration_that_does_not_come_for_three_periods_degrades_the_health() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    harness.api.script(|it| it.configuration = Err(failure(Call::Configuration, 500)));
    after(180).await;
    assert_eq!(missing(&actor).await, [""; 0]);
    after(600).await;
    let texts = missing(&actor).await;
    assert!(texts.len() == 1 && texts[0].ends_with(advice::MISSING_OBJECT), "{texts:?}");
    let age = reported(&actor).await.configuration_age.unwrap();
    assert!(age > MINUTE * 11, "{age:?}");
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]), "what is known stays in force");
    assert_eq!(harness.events(), ["ControlPlaneWithholds"]);
    let last = harness.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.status, AgentStatus::Degraded);
    harness.api.script(|it| it.configuration = Ok(configuration(&["web"])));
    after(400).await;
    assert_eq!(missing(&actor).await, [""; 0]);
    let last = harness.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.status, AgentStatus::Up);
}

/// What is answered so for half an hour is reported once, with `expected` as the way out.
async fn told_as(
    enrolment: Result<EnrolmentAnswer, ControlPlaneError>,
    registration: Result<(), ControlPlaneError>,
    expected: &str,
) {
    let harness = Harness::new();
    harness.api.script(|it| {
        it.enrolment = enrolment;
        it.registration = registration;
    });
    let actor = harness.start();
    after(150).await;
    assert_eq!(missing(&actor).await, [""; 0], "{expected}");
    after(1800).await;
    let texts = missing(&actor).await;
    assert!(texts.len() == 1 && texts[0].ends_with(expected), "{expected}: {texts:?}");
    harness.api.script(|it| {
        it.enrolment = Ok(EnrolmentAnswer::Approved);
        it.registration = Ok(());
    });
    after(310).await;
    assert_eq!(missing(&actor).await, [""; 0], "{expected}");
    assert_eq!(harness.events(), ["ControlPlaneWithholds"], "{expected}");
}

#[actix::test]
async fn a_device_that_nobody_approves_says_so() {
    told_as(Ok(EnrolmentAnswer::Pending), Ok(()), advice::NOT_APPROVED).await;
}

#[actix::test]
async fn a_registration_pair_of_another_authority_says_so() {
    let refused = Err(failure(Call::Enrolment, 401));
    told_as(refused, Ok(()), advice::OTHER_AUTHORITY).await;
}

#[actix::test]
async fn a_device_that_lost_its_certificate_says_so() {
    let refused = Err(failure(Call::Registration, 500));
    told_as(Ok(EnrolmentAnswer::Approved), refused, advice::REGISTERED_BEFORE).await;
}

#[actix::test]
async fn a_certificate_of_another_device_says_so() {
    let refused = Err(failure(Call::Registration, 403));
    told_as(Ok(EnrolmentAnswer::Approved), refused, advice::OTHER_DEVICE).await;
}

#[actix::test]
async fn an_authority_that_was_rebuilt_is_reported_although_the_device_was_registered() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    harness.refuse_all();
    after(1800).await;
    let texts = missing(&actor).await;
    assert!(texts.iter().any(|text| text.ends_with(advice::OTHER_AUTHORITY)), "{texts:?}");
    let asked = harness.api.record().asked.len();
    assert!(asked < 150, "{asked} questions in half an hour");
}

#[actix::test]
async fn a_device_that_was_refused_for_a_while_asks_for_all_again_whatever_it_was_about() {
    for seconds in (30..1800).step_by(90) {
        let harness = Harness::new();
        let _actor = harness.start();
        after(5).await;
        harness.refuse_all();
        after(seconds).await;
        harness.api.script(|it| {
            it.configuration = Ok(configuration(&["web", "door"]));
            it.heartbeat = Ok(());
            it.control = Ok(ControlAnswer::Nothing);
            it.registration = Ok(());
            it.enrolment = Ok(EnrolmentAnswer::Approved);
        });
        let calls = [Call::Configuration, Call::Heartbeat, Call::Control];
        let before = calls.map(|call| harness.count(call));
        after(900).await;
        for (call, before) in calls.into_iter().zip(before) {
            assert!(harness.count(call) > before, "after {seconds} s {call} is not asked any more");
        }
        assert_eq!(harness.in_force(), Some(vec!["web".to_owned(), "door".to_owned()]));
        // The next harness stops it anew.
        tokio::time::resume();
    }
}

#[actix::test]
async fn a_certificate_that_comes_while_the_disk_hangs_is_written_once_it_answers() {
    let harness = Harness::new();
    harness.api.script(|it| it.delay = Duration::from_secs(5));
    let identity = harness.api.identity_files(harness.folder.path()).unwrap();
    let api = Rc::new(harness.api.clone());
    let _actor = harness.start_with(Source::Server { api, identity: identity.clone() });
    after(7).await;
    assert_eq!(harness.count(Call::Registration), 1, "it is under way");
    let (gate, opened) = mpsc::channel::<()>();
    let mut hung = pin!(identity.run_blocking(move |_| Ok(opened.recv().is_ok())));
    assert!(poll!(&mut hung).is_pending());
    // Time does not pass by itself while a thread is at work.
    for _ in 0..40 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    gate.send(()).unwrap();
    after(60).await;
    assert_eq!(harness.count(Call::Registration), 1, "a control plane gives it once");
    assert_eq!(harness.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn an_identity_that_cannot_be_shown_is_reported_once_whatever_asks() {
    let harness = Harness::new();
    let actor = harness.start();
    after(5).await;
    let key = harness.folder.path().join("identity/device.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    actor.send(ConfigurationWanted).await.unwrap();
    after(1200).await;
    let texts = missing(&actor).await;
    assert!(!texts.is_empty(), "nothing is asked any more");
    crate::private_file::write_new(&key, &kept).unwrap();
    after(400).await;
    assert_eq!(missing(&actor).await, [""; 0]);
    let count = harness.events().into_iter().filter(|reason| *reason == "IdentityUnusable").count();
    assert_eq!(count, 1, "{:?}", harness.events());
}

#[actix::test]
async fn the_age_of_a_configuration_of_the_disk_is_known_from_the_disk() {
    let harness = Harness::new();
    {
        let mut shelf = harness.store.0.borrow_mut();
        shelf.kept = Some(configuration(&["stored"]));
        shelf.stored_at = Some("2026-11-21T12:00:00Z".parse().unwrap());
    }
    harness.api.script(|it| it.enrolment = Err(unreachable(Call::Enrolment)));
    let actor = harness.start();
    after(60).await;
    let report = reported(&actor).await;
    assert_eq!(report.configuration_received, None);
    assert_eq!(report.configuration_stored, Some("2026-11-21T12:00:00Z".parse().unwrap()));
    let age = report.configuration_age.map(|age| age.as_secs());
    assert_eq!(age, Some((2 * 24 * 60 + 1) * 60));
    // To a clock that was never set it is of the future.
    harness.clock.step(chrono::TimeDelta::days(-365 * 50));
    assert_eq!(reported(&actor).await.configuration_age, None);
}
