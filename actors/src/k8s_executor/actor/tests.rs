//! The executor against a cluster in memory, in virtual time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use serde_json::json;
use tokio::time::{pause, sleep};

use super::*;
use crate::clock::Monotonic;
use crate::k8s_executor::Refusal;
use crate::messages::{ActorHealthChanged, CommandId, Evidence};
use crate::supervisor::Slot;
use crate::testing::fake_cluster::{FakeCluster, Mood};
use crate::workload::CurrentState;

/// Everything that the executor said, in order.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Finished(u64, Result<(), CommandError>),
    Observed(Result<Vec<(WorkloadId, CurrentState)>, String>),
    Event(&'static str),
    Health,
}

impl Said {
    /// Returns the words of an answer that the cluster cannot be used.
    fn unavailable(&self) -> Option<&str> {
        match self {
            Self::Finished(_, Err(CommandError::Unavailable { message })) => Some(message),
            Self::Finished(..) | Self::Observed(_) | Self::Event(_) | Self::Health => None,
        }
    }
}

/// Every peer of the executor.
struct Peer {
    said: Rc<RefCell<Vec<Said>>>,
    is_changed: Rc<Cell<bool>>,
}

impl Actor for Peer {
    type Context = Context<Self>;
}

impl Handler<CommandFinished> for Peer {
    type Result = ();

    fn handle(&mut self, message: CommandFinished, _: &mut Self::Context) {
        let said = Said::Finished(message.id.0, message.result);
        self.said.borrow_mut().push(said);
    }
}

impl Handler<WorkloadsObserved> for Peer {
    type Result = ();

    fn handle(&mut self, message: WorkloadsObserved, _: &mut Self::Context) {
        let changed = message.pods.iter().flatten().any(|pod| pod.is_changed);
        self.is_changed.set(changed);
        let pods = message.pods.map(|pods| {
            let pods = pods.into_iter();
            pods.map(|pod| (pod.id, pod.state)).collect()
        });
        let said = Said::Observed(pods.map_err(|error| error.message));
        self.said.borrow_mut().push(said);
    }
}

impl Handler<EventRecorded> for Peer {
    type Result = ();

    fn handle(&mut self, message: EventRecorded, _: &mut Self::Context) {
        let said = Said::Event(message.event.reason.as_str());
        self.said.borrow_mut().push(said);
    }
}

impl Handler<ActorHealthChanged> for Peer {
    type Result = ();

    fn handle(&mut self, _: ActorHealthChanged, _: &mut Self::Context) {
        self.said.borrow_mut().push(Said::Health);
    }
}

struct Scene {
    cluster: FakeCluster,
    said: Rc<RefCell<Vec<Said>>>,
    is_changed: Rc<Cell<bool>>,
    commands: Recipient<ExecutorCommand>,
    remembered: Recipient<Remembered>,
    clock: Clock,
    _running: tokio::task::JoinHandle<()>,
}

impl Scene {
    /// Starts an executor on `cluster`.
    fn on(cluster: FakeCluster) -> Self {
        pause();
        let clock = Clock::system();
        let said = Rc::<RefCell<Vec<Said>>>::default();
        let is_changed = Rc::<Cell<bool>>::default();
        let (peer_said, peer_changed) = (Rc::clone(&said), Rc::clone(&is_changed));
        let peer = Peer { said: peer_said, is_changed: peer_changed }.start();
        let slot = Slot::<K8sExecutor>::new("k8s", clock.clone());
        let executor = K8sExecutor::new(K8sDeps {
            device_id: "toto".into(),
            command_results: peer.clone().recipient(),
            observations: peer.clone().recipient(),
            events: peer.clone().recipient(),
            clock: clock.clone(),
            vitals: slot.vitals(),
            connect: cluster.connect(),
        });
        let (commands, remembered) = (slot.recipient(), slot.recipient());
        #[allow(clippy::disallowed_methods, reason = "stands for the agent's main task")]
        let running = actix::spawn(slot.supervise(executor, peer.recipient()));
        Self { cluster, said, is_changed, commands, remembered, clock, _running: running }
    }

    fn command(&self, id: u64, deadline: Monotonic, action: Action) {
        let command = ExecutorCommand { id: CommandId(id), deadline, action };
        tell(&self.commands, command);
    }

    fn within(&self, seconds: u64) -> Monotonic {
        self.clock.now().monotonic + Duration::from_secs(seconds)
    }

    fn start(&self, id: u64) {
        let workload = Arc::new(workload("Always"));
        let limits = Limits::default();
        self.command(id, self.within(60), Action::Start { workload, limits });
    }

    fn suspend(&self, id: u64) {
        let suspend = Action::Suspend {
            id: "web-1".into(),
            workload: "web".into(),
            grace: Duration::from_secs(10),
        };
        self.command(id, self.within(60), suspend);
    }

    /// Returns whether the last observation had a workload that was modified outside the agent.
    fn is_changed(&self) -> bool {
        self.is_changed.get()
    }

    fn stop(&self, id: u64) {
        let stop = Action::Stop {
            id: "web-1".into(),
            workload: "web".into(),
            grace: Duration::from_secs(10),
            evidence: Evidence::default(),
        };
        self.command(id, self.within(60), stop);
    }

    /// Returns what was said during the next `seconds`.
    async fn hear(&self, seconds: u64) -> Vec<Said> {
        sleep(Duration::from_secs(seconds)).await;
        self.said.take()
    }
}

fn workload(policy: &str) -> Workload {
    let workload = json!({
        "id": "web-1", "name": "web", "namespace": "default", "executor": ExecutorKind::K8s,
        "pod": {"containers": [{"name": "c", "image": "i"}]}, "restart_policy": policy,
    });
    serde_json::from_value(workload).unwrap()
}

fn holds(state: CurrentState) -> Said {
    Said::Observed(Ok(vec![("web-1".into(), state)]))
}

fn holds_nothing() -> Said {
    Said::Observed(Ok(Vec::new()))
}

fn is_outage(said: &Said) -> bool {
    matches!(said, Said::Observed(Err(_)))
}

#[actix::test]
async fn what_the_cluster_holds_is_reported_at_start_and_every_period() {
    let scene = Scene::on(FakeCluster::default());
    assert_eq!(scene.hear(1).await, [holds_nothing()]);
    assert_eq!(scene.hear(60).await, [holds_nothing(), holds_nothing()]);
}

#[actix::test]
async fn a_start_applies_and_is_observed_before_it_is_answered() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    let said = scene.hear(1).await;
    assert_eq!(said[0], holds(CurrentState::Starting));
    assert!(said.contains(&Said::Finished(1, Ok(()))), "{said:?}");
    assert_eq!(scene.cluster.applied()[0].id.as_str(), "web-1");
    scene.cluster.set_available(&"web-1".into(), 1);
    assert_eq!(scene.hear(1).await, [holds(CurrentState::Running)]);
}

#[actix::test]
async fn a_start_is_answered_when_a_watch_that_lags_shows_it() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.cluster.lag(true);
    scene.start(1);
    // It is there, but a report would lack it.
    assert_eq!(scene.hear(20).await, []);
    assert_eq!(scene.cluster.applied().len(), 1);
    scene.cluster.lag(false);
    let said = scene.hear(1).await;
    assert_eq!(said[0], holds(CurrentState::Starting));
    assert!(said.contains(&Said::Finished(1, Ok(()))), "{said:?}");
}

#[actix::test]
async fn a_start_that_was_undone_before_a_watch_showed_it_is_answered() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.cluster.lag(true);
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.delete_by_hand(&"web-1".into());
    assert_eq!(scene.hear(10).await, [holds_nothing(), Said::Finished(1, Ok(()))]);
}

#[actix::test]
async fn a_burst_of_changes_makes_one_report() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(5).await;
    for replicas in [1, 0, 1, 0, 1] {
        scene.cluster.set_available(&"web-1".into(), replicas);
    }
    assert_eq!(scene.hear(1).await, [holds(CurrentState::Running)]);
}

#[actix::test]
async fn a_stop_is_answered_when_the_deployment_is_gone() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.keep_deleting(true);
    scene.stop(2);
    let said = scene.hear(5).await;
    assert!(matches!(
        &said[..],
        [Said::Observed(Ok(pods))] if matches!(pods[0].1, CurrentState::Incomplete { .. })
    ));
    scene.cluster.keep_deleting(false);
    let said = scene.hear(2).await;
    let finished = Said::Finished(2, Ok(()));
    let answer = said.iter().position(|said| *said == finished).unwrap();
    assert_eq!(said[answer - 1], holds_nothing());
}

#[actix::test]
async fn a_stop_of_a_missing_deployment_is_a_success() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.stop(1);
    assert_eq!(scene.hear(1).await, [holds_nothing(), Said::Finished(1, Ok(()))]);
}

#[actix::test]
async fn a_start_waits_for_the_end_of_its_predecessor() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.keep_deleting(true);
    scene.stop(2);
    scene.hear(1).await;
    scene.start(3);
    scene.hear(5).await;
    assert_eq!(scene.cluster.applied().len(), 1);
    scene.cluster.keep_deleting(false);
    let said = scene.hear(3).await;
    assert!(said.contains(&Said::Finished(3, Ok(()))), "{said:?}");
    assert_eq!(scene.cluster.applied().len(), 2);
}

#[actix::test]
async fn a_pull_is_done_at_once_and_a_late_command_not_at_all() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    let workload = Arc::new(workload("Always"));
    let pull = Action::Pull { workload: Arc::clone(&workload) };
    scene.command(1, scene.within(5), pull);
    let limits = Limits::default();
    let late = scene.clock.now().monotonic;
    scene.command(2, late, Action::Start { workload, limits });
    assert_eq!(
        scene.hear(1).await,
        [Said::Finished(1, Ok(())), Said::Finished(2, Err(CommandError::Expired))]
    );
    assert!(scene.cluster.applied().is_empty());
}

#[actix::test]
async fn a_refusal_reaches_the_scheduler_in_the_clusters_words() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    let words = "deployments.apps is forbidden: User \"x\" cannot patch";
    scene.cluster.become_(Mood::Refusing(Refusal::Forbidden(words.into())));
    scene.start(1);
    let said = scene.hear(1).await;
    let Some(Said::Finished(1, Err(CommandError::Start { message }))) = said.last() else {
        panic!("{said:?}");
    };
    assert!(message.contains(words) && message.contains("403"), "{message}");
}

#[actix::test]
async fn a_silent_cluster_costs_a_command_its_time_and_the_executor_nothing() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.cluster.become_(Mood::Silent);
    scene.start(1);
    let said = scene.hear(70).await;
    let unavailable =
        |said: &Said| matches!(said, Said::Finished(1, Err(CommandError::Unavailable { .. })));
    assert!(said.iter().any(unavailable), "{said:?}");
    assert!(!said.contains(&Said::Health), "{said:?}");
}

#[actix::test]
async fn an_outage_is_reported_at_once_once_and_its_end_too() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.become_(Mood::Unreachable);
    let said = scene.hear(0).await;
    assert_eq!(said[0], Said::Event("ClusterUnreachable"));
    assert!(is_outage(&said[1]), "{said:?}");
    // The watch and the reconnection fail with different words.
    let said = scene.hear(600).await;
    let events = said.iter().filter(|said| matches!(said, Said::Event(_)));
    assert_eq!(events.count(), 1);
    assert!(scene.cluster.connections() > 15);
    scene.stop(2);
    let said = scene.hear(1).await;
    let message = said.iter().find_map(Said::unavailable).unwrap_or_else(|| panic!("{said:?}"));
    assert!(message.contains("connection refused"), "{message}");
    scene.cluster.become_(Mood::Well);
    let said = scene.hear(40).await;
    assert!(said.contains(&Said::Event("ClusterReachable")));
    assert_eq!(said.last(), Some(&holds(CurrentState::Starting)));
}

#[actix::test]
async fn a_cluster_that_is_unreachable_at_start_is_connected_when_it_appears() {
    let cluster = FakeCluster::default();
    cluster.become_(Mood::Unreachable);
    let scene = Scene::on(cluster);
    let said = scene.hear(10).await;
    assert!(said.iter().any(is_outage), "{said:?}");
    scene.cluster.become_(Mood::Well);
    assert_eq!(scene.hear(40).await.last(), Some(&holds_nothing()));
}

#[actix::test]
async fn a_restart_policy_that_a_deployment_lacks_is_reported_once() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    for id in [1, 2] {
        let workload = Arc::new(workload("Never"));
        let limits = Limits::default();
        scene.command(id, scene.within(60), Action::Start { workload, limits });
    }
    let said = scene.hear(1).await;
    let reported = said.iter().filter(|said| **said == Said::Event("RestartPolicyIgnored"));
    assert_eq!(reported.count(), 1);
}

#[actix::test]
async fn limits_of_a_running_workload_are_written_to_its_deployment() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.set_available(&"web-1".into(), 1);
    scene.hear(1).await;
    let limits = Limits { cpu: Some(50_000), ..Limits::default() };
    let workload = Arc::new(workload("Always"));
    scene.command(2, scene.within(60), Action::Limit { workload, limits });
    let said = scene.hear(1).await;
    assert!(said.contains(&Said::Finished(2, Ok(()))), "{said:?}");
    // Its pod is another one.
    assert_eq!(said.last(), Some(&holds(CurrentState::Starting)));
    let spec = scene.cluster.applied()[1].deployment.spec.clone().unwrap();
    let container = &spec.template.spec.unwrap().containers[0];
    let limits = container.resources.as_ref().unwrap().limits.as_ref().unwrap();
    assert_eq!(limits["cpu"].0, "500m");
}

#[actix::test]
async fn what_a_cluster_offers_no_way_to_do_is_refused_and_changes_no_deployment() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    let limits = Limits { squeezed: true, ..Limits::default() };
    let web = Arc::new(workload("Always"));
    let (id, name) = (web.id.clone(), web.name.clone());
    for (command, action, refused) in [
        (2, Action::Freeze { id: id.clone(), workload: name.clone() }, Some("freeze a pod")),
        (3, Action::Thaw { id, workload: name }, None),
        (4, Action::Limit { workload: web, limits }, Some("take memory back from a pod")),
    ] {
        scene.command(command, scene.within(60), action);
        let said = scene.hear(1).await;
        let message =
            |what| format!("a cluster offers no way to {what}; run the workload on podman");
        let result = match refused {
            Some(what) => Err(CommandError::Unsupported { message: message(what) }),
            None => Ok(()),
        };
        assert!(said.contains(&Said::Finished(command, result)), "{said:?}");
    }
    let deployments: Vec<_> =
        scene.cluster.applied().iter().map(|it| it.deployment.spec.clone()).collect();
    assert!(deployments.iter().all(|it| *it == deployments[0]), "squeezed or not");
}

#[actix::test]
async fn a_suspended_workload_is_kept_and_starts_again() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.suspend(2);
    let said = scene.hear(1).await;
    let finished = Said::Finished(2, Ok(()));
    let answer = said.iter().position(|said| *said == finished).unwrap();
    assert_eq!(said[answer - 1], holds(CurrentState::Suspended));
    scene.start(3);
    let said = scene.hear(1).await;
    let finished = Said::Finished(3, Ok(()));
    let answer = said.iter().position(|said| *said == finished).unwrap();
    assert_eq!(said[answer - 1], holds(CurrentState::Starting), "the mirror has seen it");
}

#[actix::test]
async fn a_suspension_of_a_missing_deployment_is_a_success() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.suspend(1);
    assert_eq!(scene.hear(1).await, [holds_nothing(), Said::Finished(1, Ok(()))]);
}

#[actix::test]
async fn a_change_from_outside_is_observed_until_it_is_reverted() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    assert!(!scene.is_changed());
    scene.cluster.change_by_hand(&"web-1".into(), |spec| spec.replicas = Some(3));
    scene.hear(1).await;
    assert!(scene.is_changed());
    scene.start(2);
    scene.hear(1).await;
    assert!(!scene.is_changed());
}

#[actix::test]
async fn a_cluster_that_is_asked_too_much_is_left_alone_for_as_long_as_it_says() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    let span = FakeCluster::RETRY_AFTER.as_secs();
    scene.cluster.become_(Mood::Refusing(Refusal::TooManyRequests("slow down".into())));
    scene.start(1);
    let said = scene.hear(1).await;
    let first = said.iter().find_map(Said::unavailable).unwrap();
    assert!(first.contains("slow down") && first.contains("429"), "{first}");
    scene.cluster.become_(Mood::Well);
    scene.start(2);
    let said = scene.hear(span - 2).await;
    let second = said.iter().find_map(Said::unavailable).unwrap();
    assert!(second.contains("wants no requests"), "{second}");
    assert!(scene.cluster.applied().is_empty());
    scene.hear(2).await;
    scene.start(3);
    let said = scene.hear(1).await;
    assert!(said.contains(&Said::Finished(3, Ok(()))), "{said:?}");
}

#[actix::test]
async fn a_start_that_waits_for_its_predecessor_survives_a_reconnection() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.keep_deleting(true);
    scene.stop(2);
    scene.hear(1).await;
    scene.start(3);
    scene.hear(1).await;
    scene.cluster.become_(Mood::Unreachable);
    scene.hear(1).await;
    // No watch sees the predecessor go.
    scene.cluster.keep_deleting(false);
    assert_eq!(scene.cluster.applied().len(), 1);
    scene.cluster.become_(Mood::Well);
    let said = scene.hear(20).await;
    assert!(said.contains(&Said::Finished(3, Ok(()))), "{said:?}");
    assert_eq!(scene.cluster.applied().len(), 2);
}

#[actix::test]
async fn a_replaced_access_is_used_without_a_break_once_it_can_be() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start(1);
    scene.hear(1).await;
    scene.cluster.become_(Mood::Closed);
    scene.cluster.replace_access();
    let here = holds(CurrentState::Starting);
    assert_eq!(scene.hear(60).await, [here.clone(), here.clone()]);
    assert_eq!(scene.cluster.connections(), 3, "two of them in vain");
    scene.cluster.become_(Mood::Well);
    let said = scene.hear(60).await;
    assert!(said.iter().all(|said| *said == here), "{said:?}");
    assert_eq!(scene.cluster.connections(), 4);
    // One watches.
    assert_eq!(scene.cluster.watchers(), 1);
    scene.cluster.set_available(&"web-1".into(), 1);
    assert_eq!(scene.hear(1).await, [holds(CurrentState::Running)]);
}

/// Asks how much the executor keeps of specifications beside what the cluster holds.
#[derive(actix::Message)]
#[rtype(usize)]
struct Remembered;

impl Handler<Remembered> for K8sExecutor {
    type Result = usize;

    fn handle(&mut self, _: Remembered, _: &mut Self::Context) -> usize {
        self.reported_policies.len()
    }
}

impl Scene {
    async fn remembered(&self) -> usize {
        self.remembered.send(Remembered).await.unwrap()
    }

    /// Starts a specification whose restart policy a Deployment lacks.
    fn start_once(&self, id: u64, specification: &str) {
        let workload = Workload { id: specification.into(), ..workload("Never") };
        let (workload, limits) = (Arc::new(workload), Limits::default());
        self.command(id, self.within(60), Action::Start { workload, limits });
    }
}

#[actix::test]
async fn what_is_remembered_of_specifications_goes_with_their_deployments() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    let forbidden = Mood::Refusing(Refusal::Forbidden("cannot patch".into()));
    let (mut reported, mut most) = (0, 0);
    for version in 0..1_000_u64 {
        let id = format!("web-{version}");
        // Every other one never comes to be.
        let is_refused = version % 2 == 1;
        scene.cluster.become_(if is_refused { forbidden.clone() } else { Mood::Well });
        scene.start_once(2 * version, &id);
        let said = scene.hear(1).await;
        reported +=
            said.iter().filter(|said| **said == Said::Event("RestartPolicyIgnored")).count();
        most = most.max(scene.remembered().await);
        let (id, workload) = (id.as_str().into(), "web".into());
        let stop =
            Action::Stop { id, workload, grace: Duration::ZERO, evidence: Evidence::default() };
        scene.command(2 * version + 1, scene.within(60), stop);
        scene.hear(1).await;
    }
    assert_eq!((reported, most, scene.remembered().await), (500, 1, 0));
}

#[actix::test]
async fn a_restart_policy_is_not_reported_again_after_an_outage_or_a_suspension() {
    let scene = Scene::on(FakeCluster::default());
    scene.hear(1).await;
    scene.start_once(1, "web-1");
    assert!(scene.hear(1).await.contains(&Said::Event("RestartPolicyIgnored")));
    scene.cluster.become_(Mood::Unreachable);
    scene.hear(60).await;
    scene.cluster.become_(Mood::Well);
    scene.hear(60).await;
    scene.suspend(2);
    scene.hear(60).await;
    scene.start_once(3, "web-1");
    let said = scene.hear(60).await;
    assert!(said.contains(&Said::Finished(3, Ok(()))), "{said:?}");
    assert!(!said.contains(&Said::Event("RestartPolicyIgnored")), "{said:?}");
}
