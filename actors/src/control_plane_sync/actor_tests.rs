//! The actor between a scripted control plane and its two listeners, in virtual time.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, mpsc};

use futures_util::future::{LocalBoxFuture, select};
use futures_util::poll;
use tempfile::TempDir;

use super::*;
use crate::control_plane_sync::control_plane_error::{Call, ControlPlaneError, Message};
use crate::control_plane_sync::{AgentStatus, EnrolmentAnswer, Restored, manifests_in};
use crate::control_plane_sync::{ControlAnswer, advice};
use crate::messages::{ControlPlaneReport, GetControlPlane};
use crate::supervisor::Slot;
use crate::testing::control_plane::FakeControlPlane;
use crate::workload::{
    Configuration, DeviceId, Event, EventReason, ExecutorKind, JobReport, RejectedWorkload,
    WorkloadName, WorkloadStatus,
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
struct Shelf(Rc<RefCell<ShelfContents>>);

#[derive(Default)]
struct ShelfContents {
    kept: Option<Configuration>,
    stored_at: Option<DateTime<Utc>>,
    saves: usize,
    is_broken: bool,
    hangs: bool,
    /// Seconds until it says what it has kept.
    reads_for: u64,
}

impl ConfigurationStore for Shelf {
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

struct Bench {
    api: FakeControlPlane,
    listener: Listener,
    shelf: Shelf,
    clock: Clock,
    folder: TempDir,
}

impl Bench {
    /// A control plane that approves at once and configures workload `web`; time is virtual.
    fn new() -> Self {
        tokio::time::pause();
        let clock = Clock::simulated("2026-11-23T12:00:00Z".parse().unwrap());
        let device = DeviceId::from("cam-01");
        Self {
            api: FakeControlPlane::new(device, configuration(&["web"]), clock.clone()),
            listener: Listener::default(),
            shelf: Shelf::default(),
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
            store: Box::new(self.shelf.clone()),
            workloads: vec![listener.clone().recipient()],
            evaluator: listener.recipient(),
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

/// A configuration whose workloads are told apart by name only.
fn configuration(workloads: &[&str]) -> Configuration {
    Configuration {
        version: Some("1".to_owned()),
        heartbeat_period: MINUTE,
        hardware_in_heartbeat: false,
        profiles: Vec::new(),
        workloads: Vec::new(),
        rejected: workloads
            .iter()
            .map(|name| RejectedWorkload { name: WorkloadName::from(*name), reason: String::new() })
            .collect(),
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

fn event(bench: &Bench) -> EventRecorded {
    let at = bench.clock.now().wall;
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
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.api.record().shown_own, [false, true]);
    assert_eq!(bench.count(Call::Heartbeat), 1);
    assert_eq!(bench.count(Call::Control), 1);
}

#[actix::test]
async fn the_stored_configuration_is_published_before_any_answer() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().kept = Some(configuration(&["stored"]));
    bench.api.script(|it| it.enrolment = Err(unreachable(Call::Enrolment)));
    let _actor = bench.start();
    after(1).await;
    assert_eq!(bench.in_force(), Some(vec!["stored".to_owned()]));
    assert_eq!(bench.count(Call::Configuration), 0);
}

#[actix::test]
async fn nothing_is_published_while_nothing_is_known() {
    let bench = Bench::new();
    bench.api.script(|it| it.enrolment = Err(unreachable(Call::Enrolment)));
    let _actor = bench.start();
    after(600).await;
    assert_eq!(bench.published(), Vec::<Vec<String>>::new());
}

#[actix::test]
async fn a_device_that_waits_for_approval_asks_again_ever_more_slowly() {
    let bench = Bench::new();
    bench.api.script(|it| it.enrolment = Ok(EnrolmentAnswer::Pending));
    let _actor = bench.start();
    after(3600).await;
    let asked = bench.count(Call::Enrolment);
    assert!((15..=40).contains(&asked), "{asked}");
    bench.api.script(|it| it.enrolment = Ok(EnrolmentAnswer::Approved));
    after(310).await;
    assert!(bench.count(Call::Configuration) > 0);
}

#[actix::test]
async fn each_period_brings_a_heartbeat_a_configuration_and_a_control_question() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(605).await;
    for call in [Call::Heartbeat, Call::Configuration, Call::Control] {
        let asked = bench.count(call);
        assert!((9..=12).contains(&asked), "{call}: {asked}");
    }
}

#[actix::test]
async fn the_configuration_in_force_is_published_again_each_minute_whatever_the_period() {
    let bench = Bench::new();
    bench.api.script(|it| {
        it.configuration =
            Ok(Configuration { heartbeat_period: 60 * MINUTE, ..configuration(&["web"]) });
    });
    let _actor = bench.start();
    after(5).await;
    let before = bench.published().len();
    bench.api.script(|it| it.configuration = Err(unreachable(Call::Configuration)));
    after(600).await;
    let again = bench.published().len() - before;
    assert!((9..=11).contains(&again), "{again}");
}

#[actix::test]
async fn an_unchanged_configuration_with_a_new_version_is_not_written() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    bench.api.script(|it| {
        it.configuration =
            Ok(Configuration { version: Some("2".to_owned()), ..configuration(&["web"]) });
    });
    after(200).await;
    assert_eq!(bench.shelf.0.borrow().saves, 1);
    let last = bench.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.configuration_version.as_deref(), Some("2"));
}

#[actix::test]
async fn an_undecodable_configuration_changes_nothing_and_is_one_event() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    let (call, reason) = (Call::Configuration, "no JSON".to_owned());
    let senseless = ControlPlaneError::Undecodable { call, reason };
    bench.api.script(|it| it.configuration = Err(senseless));
    after(1800).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.events(), ["ConfigurationRefused"]);
}

#[actix::test]
async fn a_store_that_fails_is_an_event_and_not_a_stop() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().is_broken = true;
    let _actor = bench.start();
    after(90).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.events(), ["ConfigurationNotStored"]);
}

#[actix::test]
async fn a_configuration_that_the_disk_refused_is_kept_once_the_disk_is_well() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().is_broken = true;
    let _actor = bench.start();
    after(200).await;
    assert_eq!(bench.shelf.0.borrow().saves, 0);
    bench.shelf.0.borrow_mut().is_broken = false;
    after(300).await;
    assert_eq!(bench.shelf.0.borrow().saves, 1);
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn a_restart_of_the_actor_does_not_fall_back_to_an_older_configuration_on_the_disk() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().kept = Some(configuration(&["old"]));
    bench.shelf.0.borrow_mut().is_broken = true;
    let story = async {
        after(200).await;
        assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
        let told_before = bench.published().len();
        // An answer that never comes: the supervisor restarts the actor.
        bench.api.script(|script| script.delay = 100 * MINUTE);
        after(600).await;
        assert!(bench.published().len() > told_before);
        assert!(!bench.published()[told_before..].contains(&vec!["old".to_owned()]));
    };
    bench.supervised(async |_| story.await).await;
}

#[actix::test]
async fn events_of_a_heartbeat_under_way_outlive_a_restart_of_the_actor() {
    let bench = Bench::new();
    bench
        .supervised(async |actor| {
            after(5).await;
            actor.send(event(&bench)).await.unwrap();
            // An answer that never comes: the supervisor restarts the actor.
            bench.api.script(|script| script.delay = 100 * MINUTE);
            after(600).await;
            assert_eq!(bench.events(), Vec::<&str>::new());
            bench.api.script(|script| script.delay = Duration::from_millis(10));
            after(600).await;
            assert_eq!(bench.events(), ["WorkloadFailed"]);
        })
        .await;
}

#[actix::test]
async fn a_disk_that_hangs_delays_a_configuration_by_seconds_only() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().hangs = true;
    let _actor = bench.start();
    after(15).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn a_stored_configuration_that_is_long_in_coming_holds_up_nothing_but_the_questions() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().kept = Some(configuration(&["stored"]));
    bench.shelf.0.borrow_mut().reads_for = 20;
    let actor = bench.start();
    after(10).await;
    actor.send(event(&bench)).await.unwrap();
    actor.send(ConfigurationWanted).await.unwrap();
    after(5).await;
    assert_eq!((bench.in_force(), bench.api.record().asked), (None, Vec::new()));
    // What was kept comes into force first, and then what the control plane wants.
    bench.api.script(|it| it.configuration = Err(unreachable(Call::Configuration)));
    after(10).await;
    assert_eq!(bench.in_force(), Some(vec!["stored".to_owned()]));
    bench.api.script(|it| it.configuration = Ok(configuration(&["web"])));
    after(120).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
}

#[actix::test]
async fn events_of_a_failed_heartbeat_go_with_the_next() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    bench.api.script(|it| it.heartbeat = Err(failure(Call::Heartbeat, 503)));
    actor.send(event(&bench)).await.unwrap();
    after(120).await;
    assert_eq!(bench.events(), Vec::<&str>::new());
    bench.api.script(|it| it.heartbeat = Ok(()));
    after(600).await;
    assert_eq!(bench.events(), ["WorkloadFailed"]);
}

#[actix::test]
async fn a_changed_status_is_told_within_a_second_but_not_more_often() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    let before = bench.count(Call::Heartbeat);
    actor.send(jobs(WorkloadStatus::Deploying)).await.unwrap();
    after(1).await;
    assert_eq!(bench.count(Call::Heartbeat), before + 1);
    for _ in 0..10 {
        actor.send(jobs(WorkloadStatus::Running)).await.unwrap();
        actor.send(jobs(WorkloadStatus::Crashed)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let burst = bench.count(Call::Heartbeat) - before - 1;
    assert!((1..=2).contains(&burst), "{burst}");
    after(2).await;
    let last = bench.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.jobs.first().unwrap().status, WorkloadStatus::Crashed);
}

#[actix::test]
async fn the_status_is_degraded_while_a_runtime_that_is_needed_is_silent() {
    let bench = Bench::new();
    let actor = bench.start();
    let report = |silent: &[ExecutorKind]| JobsReported {
        silent_runtimes: silent.iter().copied().collect(),
        ..jobs(WorkloadStatus::Running)
    };
    actor.send(report(&[])).await.unwrap();
    after(5).await;
    for silent in [&[ExecutorKind::K8s][..], &[]] {
        actor.send(report(silent)).await.unwrap();
        // Told early, not with the heartbeat of the next minute.
        after(5).await;
    }
    let statuses: Vec<_> = bench.api.record().heartbeats.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [AgentStatus::Up, AgentStatus::Degraded, AgentStatus::Up]);
}

#[actix::test]
async fn the_status_is_degraded_while_an_actor_is_down() {
    let bench = Bench::new();
    let actor = bench.start();
    let health = |health| ActorHealthChanged { actor: "podman_rootful", health };
    let cause = "panicked".to_owned();
    let down = ActorHealth::Restarting { cause, failures: 1 };
    actor.send(health(down)).await.unwrap();
    after(5).await;
    actor.send(health(ActorHealth::Up)).await.unwrap();
    after(70).await;
    let statuses: Vec<_> = bench.api.record().heartbeats.iter().map(|it| it.status).collect();
    assert_eq!(statuses, [AgentStatus::Degraded, AgentStatus::Up]);
}

#[actix::test]
async fn an_actor_that_is_up_again_is_told_the_configuration_at_once() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    let health = |health| ActorHealthChanged { actor: "scheduler", health };
    let before = bench.published().len();
    let cause = "panicked".to_owned();
    actor.send(health(ActorHealth::Restarting { cause, failures: 1 })).await.unwrap();
    after(1).await;
    assert_eq!(bench.published().len(), before);
    actor.send(health(ActorHealth::Up)).await.unwrap();
    after(1).await;
    assert_eq!(bench.published().len(), before + 1);
}

#[actix::test]
async fn only_the_first_heartbeat_carries_the_hardware() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(190).await;
    let record = bench.api.record();
    let hardware: Vec<_> = record.heartbeats.iter().map(|it| it.with_hardware).collect();
    assert!(hardware.len() >= 3);
    assert!(hardware.first().unwrap());
    assert!(!hardware.iter().skip(1).any(|with| *with));
}

#[actix::test]
async fn a_heartbeat_that_fails_hinders_no_configuration() {
    let bench = Bench::new();
    bench.api.script(|it| it.heartbeat = Err(failure(Call::Heartbeat, 403)));
    let _actor = bench.start();
    after(605).await;
    assert!(bench.count(Call::Configuration) >= 9);
}

#[actix::test]
async fn one_disconnect_or_404_is_not_believed() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    bench.api.script(|it| {
        it.control = Ok(ControlAnswer::Disconnect);
        it.configuration = Err(failure(Call::Configuration, 404));
    });
    after(62).await;
    bench.api.script(|it| {
        it.control = Ok(ControlAnswer::Nothing);
        it.configuration = Ok(configuration(&["web"]));
    });
    after(300).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.count(Call::Enrolment), 1);
}

#[actix::test]
async fn a_deletion_said_for_half_a_minute_empties_the_device_and_enrols_again() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    bench.api.script(|it| {
        it.control = Ok(ControlAnswer::Disconnect);
        it.configuration = Err(failure(Call::Configuration, 404));
        it.enrolment = Ok(EnrolmentAnswer::Pending);
    });
    after(130).await;
    assert_eq!(bench.in_force(), Some(Vec::new()));
    assert!(bench.count(Call::Enrolment) > 1);
    assert!(!bench.folder.path().join("identity/device.crt").exists());
    let kept = bench.shelf.0.borrow().kept.clone().unwrap();
    assert!(kept.rejected.is_empty());
    bench.api.script(|it| {
        it.control = Ok(ControlAnswer::Nothing);
        it.configuration = Ok(configuration(&["again"]));
        it.enrolment = Ok(EnrolmentAnswer::Approved);
    });
    after(310).await;
    assert_eq!(bench.in_force(), Some(vec!["again".to_owned()]));
    assert!(bench.events().contains(&"DeviceDeleted"));
}

#[actix::test]
async fn an_empty_configuration_is_believed_after_half_a_minute_and_keeps_the_membership() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    bench.api.script(|it| it.configuration = Ok(configuration(&[])));
    let started = bench.count(Call::Configuration);
    while bench.count(Call::Configuration) < started + 2 {
        after(1).await;
    }
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    after(60).await;
    assert_eq!(bench.in_force(), Some(Vec::new()));
    assert_eq!(bench.count(Call::Enrolment), 1);
}

#[actix::test]
async fn a_401_for_the_configuration_renews_the_certificate_at_once() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    let refusal = failure(Call::Configuration, 401);
    bench.api.script(|it| it.configuration = Err(refusal));
    while bench.count(Call::Registration) < 2 {
        after(1).await;
    }
    bench.api.script(|it| it.configuration = Ok(configuration(&["renewed"])));
    after(10).await;
    assert_eq!(bench.in_force(), Some(vec!["renewed".to_owned()]));
    assert_eq!(bench.count(Call::Enrolment), 1);
    let requests = bench.api.record().requests;
    assert_ne!(requests.first(), requests.get(1));
}

#[actix::test]
async fn a_certificate_that_is_always_refused_is_not_renewed_in_a_hurry() {
    let bench = Bench::new();
    let refusal = failure(Call::Configuration, 401);
    bench.api.script(|it| it.configuration = Err(refusal));
    let _actor = bench.start();
    after(3600).await;
    let renewals = bench.count(Call::Registration);
    assert!(renewals < 50, "{renewals}");
}

#[actix::test]
async fn a_certificate_is_renewed_after_two_thirds_of_its_life() {
    let bench = Bench::new();
    bench.api.script(|it| {
        it.configuration =
            Ok(Configuration { heartbeat_period: 60 * MINUTE, ..configuration(&["web"]) });
    });
    let _actor = bench.start();
    after(60 * 60 * 24 * 17).await;
    assert_eq!(bench.count(Call::Registration), 1);
    after(60 * 60 * 24 * 4).await;
    assert_eq!(bench.count(Call::Registration), 2);
}

#[actix::test]
async fn a_lost_registration_is_repeated_with_the_same_key_and_a_500_is_explained() {
    let bench = Bench::new();
    bench.api.script(|it| it.registration = Err(unreachable(Call::Registration)));
    let actor = bench.start();
    after(1).await;
    let key = std::fs::read(bench.folder.path().join("identity/next.key")).unwrap();
    bench.api.script(|it| it.registration = Err(failure(Call::Registration, 500)));
    after(900).await;
    assert_eq!(std::fs::read(bench.folder.path().join("identity/next.key")).unwrap(), key);
    let asked = bench.count(Call::Registration);
    assert!((4..=10).contains(&asked), "{asked}");
    bench.api.script(|it| it.registration = Ok(()));
    after(310).await;
    assert_eq!(bench.events(), ["RegistrationForbidden"]);
    drop(actor);
}

#[actix::test]
async fn registrations_never_overlap() {
    let bench = Bench::new();
    bench.api.script(|it| it.delay = Duration::from_secs(59));
    let _actor = bench.start();
    after(3600).await;
    let times = bench.api.times(Call::Registration);
    assert_eq!(times.len(), 1);
}

#[actix::test]
async fn a_device_with_an_identity_asks_at_once_after_a_restart() {
    let bench = Bench::new();
    let first = bench.start();
    after(5).await;
    drop(first);
    let enrolments = bench.count(Call::Enrolment);
    let identity = IdentityFilesOf(&bench).files();
    let _second = bench.start_with(Source::Server { api: Rc::new(bench.api.clone()), identity });
    after(5).await;
    assert_eq!(bench.count(Call::Enrolment), enrolments);
    assert_eq!(bench.api.record().shown_own.last(), Some(&true));
}

/// The files as they are, without a new registration pair.
struct IdentityFilesOf<'a>(&'a Bench);

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
    let bench = Bench::new();
    let identity = IdentityFilesOf(&bench).files();
    let _actor = bench.start_with(Source::Server { api: Rc::new(bench.api.clone()), identity });
    after(60).await;
    assert_eq!(bench.count(Call::Enrolment), 0);
    bench.api.identity_files(bench.folder.path()).unwrap();
    after(310).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.events(), ["IdentityUnusable"]);
}

#[actix::test]
async fn a_disk_that_hangs_holds_up_the_identity_and_nothing_else() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().kept = Some(configuration(&["stored"]));
    let identity = bench.api.identity_files(bench.folder.path()).unwrap();
    let (gate, opened) = mpsc::channel::<()>();
    let mut hung = pin!(identity.beside(move |_| Ok(opened.recv().is_ok())));
    assert!(poll!(&mut hung).is_pending());

    let api = Rc::new(bench.api.clone());
    let actor = bench.start_with(Source::Server { api, identity: identity.clone() });
    // Time does not pass by itself while a thread is at work.
    for _ in 0..30 {
        tokio::time::advance(Duration::from_secs(1)).await;
        actor.send(jobs(WorkloadStatus::Running)).await.unwrap();
    }
    assert_eq!(bench.in_force(), Some(vec!["stored".to_owned()]));
    assert_eq!(bench.count(Call::Enrolment), 0);

    gate.send(()).unwrap();
    after(30).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.events(), ["IdentityUnusable"]);
}

#[actix::test]
async fn identity_files_are_read_again_on_request_and_while_one_side_distrusts_the_other() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    let shown = || bench.api.record().shown_own.len();
    let at_first = shown();
    after(300).await;
    assert_eq!(shown(), at_first);
    actor.send(ConfigurationWanted).await.unwrap();
    after(2).await;
    assert_eq!(shown(), at_first + 1);
    let distrust = ControlPlaneError::ServerNotTrusted { reason: "unknown issuer".to_owned() };
    bench.api.script(|it| it.configuration = Err(distrust));
    after(600).await;
    assert!(shown() >= at_first + 3, "{}", shown());
}

#[actix::test]
async fn a_wish_during_a_question_is_followed_by_another_question_right_after_it() {
    let bench = Bench::new();
    bench.api.script(|it| it.delay = Duration::from_secs(10));
    let actor = bench.start_with(Source::Folder(Rc::new(bench.api.clone())));
    after(5).await;
    actor.send(ConfigurationWanted).await.unwrap();
    after(4).await;
    assert_eq!(bench.count(Call::Configuration), 1);
    after(3).await;
    assert_eq!(bench.count(Call::Configuration), 2);
    after(20).await;
    assert_eq!(bench.count(Call::Configuration), 2);
}

#[actix::test]
async fn a_folder_is_published_without_enrolment_or_heartbeat() {
    let bench = Bench::new();
    let _actor = bench.start_with(Source::Folder(Rc::new(bench.api.clone())));
    after(200).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert!(bench.count(Call::Configuration) >= 3);
    for call in [Call::Enrolment, Call::Registration, Call::Heartbeat, Call::Control] {
        assert_eq!(bench.count(call), 0);
    }
}

#[actix::test]
async fn a_manifest_broken_before_the_agent_starts_takes_no_workload_away() {
    let bench = Bench::new();
    let running = crate::testing::workloads::workload("web").build();
    let stored = Configuration { workloads: vec![running], ..configuration(&[]) };
    bench.shelf.0.borrow_mut().kept = Some(stored.clone());
    std::fs::write(bench.folder.path().join("web.yaml"), "kind: [").unwrap();
    let folder = manifests_in(bench.folder.path(), DeviceId::from("cam-01"));
    let _actor = bench.start_with(Source::Folder(folder));
    after(300).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    let kept = bench.shelf.0.borrow().kept.clone().unwrap();
    assert_eq!(kept.workloads, stored.workloads);
}

#[actix::test]
async fn a_folder_without_any_manifest_is_believed_after_half_a_minute() {
    let bench = Bench::new();
    bench.shelf.0.borrow_mut().kept = Some(configuration(&["web"]));
    let folder = manifests_in(bench.folder.path(), DeviceId::from("cam-01"));
    let _actor = bench.start_with(Source::Folder(folder));
    after(20).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    after(60).await;
    assert_eq!(bench.in_force(), Some(Vec::new()));
}

#[actix::test]
async fn devices_do_not_come_back_together_after_an_outage() {
    let bench = Bench::new();
    let _actor = bench.start();
    after(5).await;
    bench.api.script(|it| {
        it.heartbeat = Err(ControlPlaneError::ServerFailed {
            call: Call::Heartbeat,
            status: 503,
            message: Message::default(),
        });
    });
    after(6 * 3600).await;
    let times = bench.api.times(Call::Heartbeat);
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
    let bench = Bench::new();
    bench.api.script(|it| it.registration = Err(failure(Call::Registration, 404)));
    let actor = bench.start();
    after(3600).await;
    let asked = bench.count(Call::Enrolment) + bench.count(Call::Registration);
    assert!((20..=70).contains(&asked), "{asked} questions in an hour");
    let told = missing(&actor).await;
    assert!(told.len() == 1 && told[0].ends_with(advice::MADE_BY_HAND), "{told:?}");
    bench.api.script(|it| it.registration = Ok(()));
    after(310).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.events(), ["DeviceNotEnrolled"]);
    assert_eq!(missing(&actor).await, [""; 0]);
}

#[actix::test]
async fn a_device_that_is_approved_a_moment_after_its_enrolment_is_no_trouble() {
    let bench = Bench::new();
    bench.api.script(|it| it.registration = Err(failure(Call::Registration, 404)));
    let _actor = bench.start();
    after(1).await;
    bench.api.script(|it| it.registration = Ok(()));
    after(10).await;
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]));
    assert_eq!(bench.events(), [""; 0]);
}

#[actix::test]
async fn a_configuration_that_does_not_come_for_three_periods_degrades_the_health() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    bench.api.script(|it| it.configuration = Err(failure(Call::Configuration, 500)));
    after(180).await;
    assert_eq!(missing(&actor).await, [""; 0]);
    after(600).await;
    let told = missing(&actor).await;
    assert!(told.len() == 1 && told[0].ends_with(advice::MISSING_OBJECT), "{told:?}");
    let age = reported(&actor).await.configuration_age.unwrap();
    assert!(age > MINUTE * 11, "{age:?}");
    assert_eq!(bench.in_force(), Some(vec!["web".to_owned()]), "what is known stays in force");
    assert_eq!(bench.events(), ["ControlPlaneWithholds"]);
    let last = bench.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.status, AgentStatus::Degraded);
    bench.api.script(|it| it.configuration = Ok(configuration(&["web"])));
    after(400).await;
    assert_eq!(missing(&actor).await, [""; 0]);
    let last = bench.api.record().heartbeats.pop().unwrap();
    assert_eq!(last.status, AgentStatus::Up);
}

/// What is answered so for half an hour is reported once, with `expected` as the way out.
async fn told_as(
    enrolment: Result<EnrolmentAnswer, ControlPlaneError>,
    registration: Result<(), ControlPlaneError>,
    expected: &str,
) {
    let bench = Bench::new();
    bench.api.script(|it| {
        it.enrolment = enrolment;
        it.registration = registration;
    });
    let actor = bench.start();
    after(150).await;
    assert_eq!(missing(&actor).await, [""; 0], "{expected}");
    after(1800).await;
    let told = missing(&actor).await;
    assert!(told.len() == 1 && told[0].ends_with(expected), "{expected}: {told:?}");
    bench.api.script(|it| {
        it.enrolment = Ok(EnrolmentAnswer::Approved);
        it.registration = Ok(());
    });
    after(310).await;
    assert_eq!(missing(&actor).await, [""; 0], "{expected}");
    assert_eq!(bench.events(), ["ControlPlaneWithholds"], "{expected}");
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
async fn an_authority_that_was_rebuilt_is_told_although_the_device_was_registered() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    bench.api.script(|it| {
        it.configuration = Err(failure(Call::Configuration, 401));
        it.heartbeat = Err(failure(Call::Heartbeat, 401));
        it.control = Err(failure(Call::Control, 401));
        it.registration = Err(failure(Call::Registration, 401));
        it.enrolment = Err(failure(Call::Enrolment, 401));
    });
    after(1800).await;
    let told = missing(&actor).await;
    assert!(told.iter().any(|text| text.ends_with(advice::OTHER_AUTHORITY)), "{told:?}");
    let asked = bench.api.record().asked.len();
    assert!(asked < 150, "{asked} questions in half an hour");
}

#[actix::test]
async fn an_identity_that_cannot_be_shown_is_told_once_whatever_asks() {
    let bench = Bench::new();
    let actor = bench.start();
    after(5).await;
    let key = bench.folder.path().join("identity/device.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    actor.send(ConfigurationWanted).await.unwrap();
    after(1200).await;
    let told = missing(&actor).await;
    assert!(!told.is_empty(), "nothing is asked any more");
    crate::private_file::write_new(&key, &kept).unwrap();
    after(400).await;
    assert_eq!(missing(&actor).await, [""; 0]);
    let told = bench.events().into_iter().filter(|reason| *reason == "IdentityUnusable").count();
    assert_eq!(told, 1, "{:?}", bench.events());
}

#[actix::test]
async fn the_age_of_a_configuration_of_the_disk_is_known_from_the_disk() {
    let bench = Bench::new();
    {
        let mut shelf = bench.shelf.0.borrow_mut();
        shelf.kept = Some(configuration(&["stored"]));
        shelf.stored_at = Some("2026-11-21T12:00:00Z".parse().unwrap());
    }
    bench.api.script(|it| it.enrolment = Err(unreachable(Call::Enrolment)));
    let actor = bench.start();
    after(60).await;
    let report = reported(&actor).await;
    assert_eq!(report.configuration_received, None);
    assert_eq!(report.configuration_stored, Some("2026-11-21T12:00:00Z".parse().unwrap()));
    let age = report.configuration_age.map(|age| age.as_secs());
    assert_eq!(age, Some((2 * 24 * 60 + 1) * 60));
    // To a clock that was never set it is of the future.
    bench.clock.step(chrono::TimeDelta::days(-365 * 50));
    assert_eq!(reported(&actor).await.configuration_age, None);
}
