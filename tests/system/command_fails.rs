//! A command that fails is warned of once, whichever executor it was.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actors::k8s_executor::Refusal;
use actors::testing::fake_cluster::Mood;
use actors::testing::fake_podman::Fault;
use actors::testing::workloads::workload;
use actors::workload::{ExecutorKind, Workload};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::rig::{Rig, configuration, in_virtual_time};

/// Long enough for several tries.
const SEVERAL_TRIES: Duration = Duration::from_secs(180);

/// One line of the log.
#[derive(Clone, Debug, Default, PartialEq)]
struct Line {
    level: String,
    target: String,
    message: String,
    fields: BTreeSet<String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.fields.insert(field.name().to_owned());
        }
    }
}

/// Keeps what the agent logs from debug on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let (level, target) = (event.metadata().level(), event.metadata().target());
        if *level <= Level::DEBUG && target.starts_with("actors") {
            let (level, target) = (level.to_string(), target.to_owned());
            let mut line = Line { level, target, ..Line::default() };
            event.record(&mut line);
            self.0.lock().unwrap().push(line);
        }
    }
}

/// Returns what an agent logs whose executor refuses to start `web`, again and again.
fn log_of_refusals(web: &Arc<Workload>, mood: Mood) -> Vec<Line> {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    tracing::subscriber::with_default(subscriber, || {
        in_virtual_time(async {
            let rig = Rig::start(configuration(&[web], &[]));
            rig.podman.fail("play", Fault::Refused("no such network"));
            rig.cluster.become_(mood);
            tokio::time::sleep(SEVERAL_TRIES).await;
        });
    });
    let lines = log.0.lock().unwrap();
    lines.clone()
}

#[test]
fn a_failed_command_is_warned_of_once_by_the_scheduler_with_the_fields_of_every_executor() {
    let forbidden = || Mood::Refusing(Refusal::Forbidden("cannot patch".into()));
    let [podman, cluster] = [ExecutorKind::PodmanRootful, ExecutorKind::K8s].map(|executor| {
        let lines = log_of_refusals(&workload("web").on(executor).build(), forbidden());
        let warned: Vec<_> = lines.iter().filter(|line| line.level == "WARN").cloned().collect();
        let [warning] = &warned[..] else { panic!("{executor}: {warned:#?}") };
        assert!(warning.target.starts_with("actors::scheduler"), "{executor}: {warning:?}");
        let failed = lines.iter().filter(|line| line.message == "command failed");
        let failed: Vec<_> = failed.cloned().collect();
        assert!(failed.len() > 2, "{executor}: it was tried again: {failed:?}");
        assert!(failed.iter().all(|line| line.level == "DEBUG"), "{executor}: {failed:?}");
        (warning.clone(), failed[0].fields.clone())
    });
    assert_eq!(podman, cluster);
}

#[test]
fn a_command_that_is_done_is_logged_alike_by_every_executor() {
    let [podman, cluster] = [ExecutorKind::PodmanRootful, ExecutorKind::K8s].map(|executor| {
        let (web, log) = (workload("web").on(executor).build(), Log::default());
        let subscriber = tracing_subscriber::registry().with(log.clone());
        tracing::subscriber::with_default(subscriber, || {
            in_virtual_time(async {
                let rig = Rig::start(configuration(&[&web], &[]));
                rig.until("it is started", |rig| rig.plays() + rig.cluster.applied().len() == 1)
                    .await;
                tokio::time::sleep(SEVERAL_TRIES).await;
            });
        });
        let lines = log.0.lock().unwrap();
        let done = lines.iter().find(|line| line.message == "command finished").cloned();
        done.map(|line| (line.level, line.fields))
    });
    assert!(podman.is_some());
    assert_eq!(podman, cluster);
}
