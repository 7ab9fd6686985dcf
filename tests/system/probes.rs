//! Probes: a pod that does not live is started again, and others wait until it is ready.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::fake_podman::ProbeAnswer;
use actors::testing::workloads::workload;
use actors::workload::{RestartPolicy, Workload, WorkloadStatus};
use k8s_openapi::api::core::v1::Probe;
use serde_json::{Value, json};

use crate::rig::{RETRY, Rig, configuration, in_virtual_time};

/// Covers what the agent itself takes.
const SLACK: Duration = Duration::from_secs(2);

fn probed(name: &str, field: &str, probe: Value) -> Arc<Workload> {
    let probe: Probe = serde_json::from_value(probe).unwrap();
    let with = |workload: &mut Workload| {
        let main = &mut workload.pod.containers[0];
        match field {
            "livenessProbe" => main.liveness_probe = Some(probe),
            "readinessProbe" => main.readiness_probe = Some(probe),
            _ => main.startup_probe = Some(probe),
        }
    };
    workload(name).with(with).build()
}

async fn reason(rig: &Rig, workload: &Workload) -> String {
    rig.report(workload).await.and_then(|report| report.reason).unwrap_or_default()
}

#[test]
fn a_container_that_hangs_is_ended_and_started_again() {
    in_virtual_time(async {
        let web = probed(
            "web",
            "livenessProbe",
            json!({"httpGet": {"port": 8080, "path": "/healthz"},
            "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 3}),
        );
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(rig.plays(), 1, "it is well");
        assert!(rig.podman.calls().contains(&"get 10.88.0.2:8080/healthz".to_owned()));

        rig.podman.answer_probes("8080", ProbeAnswer::Silence);
        let hung = rig.now();
        rig.until_reported(&web, WorkloadStatus::Crashed).await;
        let told = reason(&rig, &web).await;
        let expected = "container main is failing: livenessProbe: no answer within 2 s";
        assert!(told.contains(expected), "{told}");
        rig.podman.answer_probes("8080", ProbeAnswer::Code(200));
        rig.until("it is started again", |rig| rig.plays() == 2).await;
        let took = rig.now().saturating_since(hung);
        // Three attempts in a row, of which the last ends after its timeout.
        let longest = Duration::from_secs(5 * 3 + 2) + RETRY + SLACK;
        assert!(took <= longest, "{took:?}");
        rig.until_reported(&web, WorkloadStatus::Running).await;
    });
}

#[test]
fn the_pod_is_stopped_at_once_and_not_only_when_its_retry_is_due() {
    in_virtual_time(async {
        let web = probed(
            "web",
            "livenessProbe",
            json!({"exec": {"command": ["check"]},
            "periodSeconds": 1, "failureThreshold": 1, "terminationGracePeriodSeconds": 3}),
        );
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        rig.podman.answer_probes("check", ProbeAnswer::Code(1));
        let sick = rig.now();
        rig.until("it is stopped", |rig| rig.podman.count("stop_container") == 1).await;
        let took = rig.now().saturating_since(sick);
        assert!(took <= Duration::from_secs(2), "{took:?}");
        rig.podman.answer_probes("check", ProbeAnswer::Code(200));
        let waited = rig.until("it is started again", |rig| rig.plays() == 2).await;
        assert!(waited > RETRY / 2, "{waited:?}: not before its delay");
    });
}

#[test]
fn a_pod_that_shall_not_be_restarted_is_stopped_for_good() {
    in_virtual_time(async {
        let probe = json!({"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 2});
        let probe: Probe = serde_json::from_value(probe).unwrap();
        let web = workload("web").restarts(RestartPolicy::Never);
        let web = web.with(|web| web.pod.containers[0].liveness_probe = Some(probe)).build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        rig.podman.answer_probes("80", ProbeAnswer::Refused);
        rig.until_reported(&web, WorkloadStatus::Stopped).await;
        assert!(reason(&rig, &web).await.contains("livenessProbe: connection refused"));
        tokio::time::sleep(RETRY * 10).await;
        assert_eq!(rig.plays(), 1);
    });
}

#[test]
fn a_workload_waits_until_the_one_before_it_is_ready() {
    in_virtual_time(async {
        let db = probed(
            "db",
            "readinessProbe",
            json!({"tcpSocket": {"port": 5432}, "periodSeconds": 2}),
        );
        let web = workload("web").with(|web| web.after = vec!["db".into()]).build();
        let rig = Rig::start(configuration(&[&db, &web], &[]));
        rig.podman.answer_probes("5432", ProbeAnswer::Refused);
        rig.until_running(&db).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(rig.plays(), 1, "it waits");
        assert_eq!(
            reason(&rig, &web).await,
            "waits until db is ready: container main is not ready: readinessProbe: connection refused"
        );
        assert_eq!(
            reason(&rig, &db).await,
            "container main is not ready: readinessProbe: connection refused"
        );
        rig.podman.answer_probes("5432", ProbeAnswer::Code(200));
        let waited = rig.until("it is started", |rig| rig.plays() == 2).await;
        assert!(waited <= Duration::from_secs(3), "{waited:?}");
        rig.until_running(&web).await;
        assert_eq!(reason(&rig, &db).await, "");
    });
}

#[test]
fn a_slow_starter_has_the_time_that_its_startup_probe_gives_it() {
    in_virtual_time(async {
        let with = |web: &mut Workload| {
            let probe = |probe| serde_json::from_value::<Probe>(probe).ok();
            let main = &mut web.pod.containers[0];
            main.startup_probe = probe(json!({"exec": {"command": ["started"]},
                "periodSeconds": 10, "failureThreshold": 30}));
            main.liveness_probe = probe(json!({"tcpSocket": {"port": 80}, "periodSeconds": 1}));
        };
        let web = workload("web").with(with).build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.podman.answer_probes("started", ProbeAnswer::Code(1));
        rig.podman.answer_probes("80", ProbeAnswer::Refused);
        rig.until_reported(&web, WorkloadStatus::Deploying).await;
        tokio::time::sleep(Duration::from_secs(200)).await;
        assert_eq!((rig.plays(), rig.podman.count("connect")), (1, 0), "liveness waits");
        assert_eq!(
            reason(&rig, &web).await,
            "container main is starting: startupProbe: exit code 1: no"
        );
        rig.podman.answer_probes("80", ProbeAnswer::Code(200));
        rig.podman.answer_probes("started", ProbeAnswer::Code(200));
        rig.until_reported(&web, WorkloadStatus::Running).await;
        assert_eq!(rig.plays(), 1);
        rig.podman.answer_probes("80", ProbeAnswer::Refused);
        rig.until("it is started again", |rig| rig.plays() == 2).await;
    });
}

#[test]
fn an_image_s_healthcheck_counts_where_there_is_no_liveness_probe() {
    in_virtual_time(async {
        let (web, db) = (
            workload("web").build(),
            probed("db", "livenessProbe", json!({"tcpSocket": {"port": 80}})),
        );
        let rig = Rig::start(configuration(&[&web, &db], &[]));
        rig.podman.check_health_with(&["healthy"]);
        rig.until_running(&web).await;
        rig.until_running(&db).await;
        rig.podman.answer_probes("healthy", ProbeAnswer::Code(1));
        // Every 5 s, three times.
        let took = rig.until("it is started again", |rig| rig.plays() == 3).await;
        assert!(took <= Duration::from_secs(20) + RETRY, "{took:?}");
        let told = rig.podman.calls();
        let stopped = told.iter().filter(|call| call.starts_with("stop_container"));
        assert_eq!(stopped.count(), 1, "only the one without a probe of its own");
    });
}

#[test]
fn without_probes_nothing_is_asked() {
    in_virtual_time(async {
        let web = workload("web").build();
        let rig = Rig::start(configuration(&[&web], &[]));
        rig.until_running(&web).await;
        tokio::time::sleep(Duration::from_secs(600)).await;
        for call in ["exec", "get", "connect", "inspect", "healthcheck"] {
            assert_eq!(rig.podman.count(call), 0, "{call}");
        }
    });
}
