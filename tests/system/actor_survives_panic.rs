//! One actor's panic costs what it was doing, and nothing of any other actor.

use std::time::Duration;

use actors::control_plane_sync::AgentStatus;
use actors::testing::fake_podman::Fault;
use actors::testing::workloads::workload;
use actors::workload::{ExecutorKind, WorkloadStatus};
use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::rig::{Rig, configuration, in_virtual_time, profile};

#[test]
fn executor_that_panics_in_a_command_is_back_and_runs_it() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.podman.fail_once("play", Fault::Panic);
        rig.until_reported(&web, WorkloadStatus::Running).await;
        assert_eq!(rig.plays(), 2, "{:?}", rig.podman.calls());
    });
}

#[test]
fn pods_that_run_are_left_alone_by_the_panic_of_their_executor() {
    in_virtual_time(async {
        let (web, cam) = (workload("web").build(), workload("cam").build());
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        rig.podman.fail_once("play", Fault::Panic);
        rig.configure(configuration(&[&web, &cam], &[]));
        rig.until_reported(&cam, WorkloadStatus::Running).await;
        assert_eq!(rig.plays(), 3, "one of web, two of cam");
        assert_eq!(rig.podman.count("stop_container"), 0);
    });
}

#[test]
fn all_others_work_while_an_executor_panics_again_and_again() {
    in_virtual_time(async {
        let web = workload("web").build();
        let cluster_web =
            workload("cluster-web").on(ExecutorKind::K8s).profile("load", &["calm"]).build();
        let calm = profile("load", "calm", "cpu < 50%");
        let rig = Rig::start(configuration(&[&web, &cluster_web], &[calm]));
        rig.podman.fail("play", Fault::Panic);
        rig.podman.fail("containers", Fault::Panic);
        rig.until_heartbeat("the heartbeat says so", |heartbeat| {
            heartbeat.status == AgentStatus::Degraded
        })
        .await;
        // Metrics are taken, conditions evaluated, Deployments made.
        rig.post("cpu", 20.0).await;
        rig.until("it is applied", |rig| !rig.cluster.applied().is_empty()).await;
        rig.cluster.set_available(&cluster_web.id, 1);
        rig.until_reported(&cluster_web, WorkloadStatus::Running).await;

        tokio::time::sleep(Duration::from_secs(600)).await;
        rig.podman.mend();
        rig.until_reported(&web, WorkloadStatus::Running).await;
        rig.until_heartbeat("the heartbeat says that all is well", |heartbeat| {
            heartbeat.status == AgentStatus::Up
        })
        .await;
    });
}

#[test]
fn executor_that_hangs_is_given_up_and_the_pod_runs_in_the_end() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.podman.fail_once("play", Fault::Stuck);
        rig.until_reported(&web, WorkloadStatus::Running).await;
        assert_eq!(rig.plays(), 2, "{:?}", rig.podman.calls());
    });
}

#[test]
fn command_of_a_scheduler_that_panics_in_sending_it_is_done_at_once() {
    // The log is where a panic can strike between any two steps of a handler.
    let log = tracing_subscriber::registry()
        .with(PanicOnce { message: "command sent", armed: true.into() });
    tracing::subscriber::with_default(log, || {
        in_virtual_time(async {
            let (web, cam) = (workload("web").build(), workload("cam").build());
            let rig = Rig::start(configuration(&[&web, &cam], &[]));
            let began = rig.now();
            rig.until_running(&web).await;
            rig.until_running(&cam).await;
            let took = rig.now().saturating_since(began);
            assert!(took < Duration::from_secs(5), "it waited for a command never sent: {took:?}");
            assert_eq!(rig.plays(), 2, "{:?}", rig.podman.calls());
        });
    });
}

/// Panics at the first event with this message.
struct PanicOnce {
    message: &'static str,
    armed: std::sync::Mutex<bool>,
}

impl<S: Subscriber> Layer<S> for PanicOnce {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut found = Message(String::new());
        event.record(&mut found);
        let armed = found.0 == self.message && std::mem::take(&mut *self.armed.lock().unwrap());
        assert!(!armed, "ordered by the test");
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
