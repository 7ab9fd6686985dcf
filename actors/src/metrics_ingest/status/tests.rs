//! The status of an agent that has everything, and of one whose actors are silent.

use std::time::Duration;

use super::*;
use crate::clock::Monotonic;
use crate::messages::{CallError, ConditionReport, MetricReport};
use crate::testing::status_table::{faults, missing};
use crate::workload::{
    ContainerHealth, Event, EventReason, ExecutorKind, Governed, Health, JobReport, LastFailure,
    Limits, NeededProfile, NextStart, PodHealth, RestraintReport, Rung, RunningContainer,
    RuntimeReport, TargetState, UpdateReport, UpdateState, Verdict, WorkloadReport, WorkloadStatus,
};

pub(in crate::metrics_ingest) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

pub(in crate::metrics_ingest) fn now() -> Moment {
    Moment { monotonic: Monotonic::from_start(Duration::from_secs(90)), wall: at(90) }
}

pub(in crate::metrics_ingest) fn about() -> About {
    About {
        version: "1.2.3",
        device_id: "cam-01".into(),
        source: "server",
        place: "https://edge:8043".to_owned(),
        actors: vec!["control_plane_sync", "profile_evaluator", "scheduler", "podman_rootful"],
    }
}

fn control_plane() -> ControlPlaneReport {
    let restarting = ActorHealth::Restarting { cause: "panicked: boom".to_owned(), failures: 2 };
    ControlPlaneReport {
        stage: Some("registered"),
        connected_since: Some(at(1)),
        last_heartbeat: Some(at(80)),
        is_configured: true,
        configuration_version: Some("7".to_owned()),
        configuration_received: Some(at(85)),
        configuration_changed: Some(at(2)),
        configuration_stored: Some(at(0)),
        configuration_age: Some(Duration::from_secs(5)),
        missing: Vec::new(),
        last_error: Some(CallError { at: at(0), message: "no route".to_owned() }),
        problems: vec!["web.yaml does not parse".to_owned()],
        certificate_expires: Some(at(1_090)),
        calls: BTreeMap::new(),
        actors: [(
            "podman_rootful",
            ActorReport { health: restarting, since: at(89), failures: 3 },
        )]
        .into(),
        events: vec![Event::new(
            EventReason::WorkloadFailed,
            Some("web".into()),
            "it failed".to_owned(),
            at(70),
        )],
    }
}

fn scheduler(state: RuntimeState, is_needed: bool) -> SchedulerReport {
    let job = JobReport {
        workload: "web".into(),
        id: Some("web-0123".to_owned().into()),
        executor: Some(ExecutorKind::PodmanRootful),
        status: WorkloadStatus::Crashed,
        reason: Some("it failed".to_owned()),
        restarts: 3,
        next_start: Some(at(100)),
    };
    SchedulerReport {
        runtimes: vec![RuntimeReport {
            executor: ExecutorKind::PodmanRootful,
            state,
            reason: (state != RuntimeState::Available).then(|| "no socket".to_owned()),
            is_needed,
        }],
        workloads: vec![WorkloadReport {
            job,
            target: Some(TargetState::Running),
            pod: Some("exited"),
            health: PodHealth(vec![ContainerHealth {
                container: "main".to_owned(),
                health: Health::NotReady { reason: Some("readinessProbe: HTTP 503".to_owned()) },
            }]),
            containers: vec![RunningContainer {
                name: "main".to_owned(),
                image: "quay.io/team/web:1".to_owned(),
                digest: Some("sha256:0123".to_owned()),
            }],
            last_failure: Some(LastFailure { at: at(65), message: "it failed".to_owned() }),
            command: None,
            since: at(70),
            started_at: Some(at(60)),
            next_start_by: Some(NextStart::Retry),
            cron: None,
            restraints: vec![RestraintReport {
                step: Rung::Throttle,
                objective: "memory".into(),
                since: at(90),
            }],
            limits: Limits { cpu: Some(50_000), ..Limits::default() },
            waits_for: None,
            profiles: vec![NeededProfile { name: "load".into(), conditions: vec!["calm".into()] }],
            update: Some(UpdateReport {
                state: UpdateState::RolledBack,
                id: "web-2".into(),
                previous: "web-1".into(),
                run: None,
                ready_seconds: None,
                proving_seconds: Some(60),
                until: Some(at(400)),
                reason: Some("container main ended with code 1".to_owned()),
                profiles: vec![NeededProfile {
                    name: "net".into(),
                    conditions: vec!["wifi".into()],
                }],
            }),
        }],
        governed: Governed {
            steps: [(Rung::Throttle, 2)].into(),
            frozen: [("web".into(), Duration::from_secs(30))].into(),
        },
        ..SchedulerReport::default()
    }
}

fn evaluator() -> EvaluatorReport {
    EvaluatorReport {
        conditions: vec![ConditionReport {
            profile: "load".to_owned(),
            condition: "calm".to_owned(),
            expression: "cpu < 50%".to_owned(),
            verdict: Verdict::Failed("units".into()),
            explanation: "units".to_owned(),
        }],
        metrics: vec![MetricReport {
            name: "cpu".to_owned(),
            value: 20.0,
            unit: None,
            age: Duration::from_millis(1_500),
            stale: false,
        }],
        samples_taken: 9,
    }
}

pub(in crate::metrics_ingest) fn whole() -> Reports {
    Reports {
        control_plane: Some(control_plane()),
        scheduler: Some(scheduler(RuntimeState::Available, true)),
        evaluator: Some(evaluator()),
    }
}

#[test]
fn an_answer_that_has_everything_is_as_documented_to_the_last_row() {
    let status = status(&about(), &whole(), PostCounts { taken: 7, refused: 1, waiting: 0 }, now());
    assert_eq!(faults(&status), Vec::<String>::new());
    assert_eq!(missing(&status), Vec::<String>::new());
    assert_eq!(status["profiles"][0]["conditions"][0]["verdict"], "failed");
    assert_eq!(status["workloads"][0]["next_start_by"], "retry");
    assert_eq!(status["control_plane"]["certificate"]["expires_in_seconds"], 1_000);
    assert_eq!(status["metrics"][0]["age_seconds"], 1.5);
    assert_eq!(status["posts"]["taken"], 7);
}

#[test]
fn an_actor_that_does_not_answer_is_shown_so_and_the_rest_is_reported() {
    let reports = Reports { scheduler: None, ..whole() };
    let status = status(&about(), &reports, PostCounts::default(), now());
    assert_eq!(faults(&status), Vec::<String>::new());
    let states: Vec<_> =
        status["actors"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["up", "up", "silent", "restarting"]);
    assert_eq!((&status["workloads"], &status["runtimes"]), (&Value::Null, &Value::Null));
    assert_eq!(status["metrics"][0]["name"], "cpu");
    assert_eq!(status["actors"][3]["cause"], "panicked: boom");
}

#[test]
fn without_the_actor_that_keeps_health_that_of_the_others_is_unknown() {
    let reports = Reports { control_plane: None, ..whole() };
    let status = status(&about(), &reports, PostCounts::default(), now());
    let states: Vec<_> =
        status["actors"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["silent", "unknown", "unknown", "unknown"]);
    assert_eq!(faults(&status), Vec::<String>::new());
}

#[test]
fn health_is_down_only_when_nothing_is_decided() {
    let well = || Reports {
        control_plane: Some(ControlPlaneReport { actors: BTreeMap::new(), ..control_plane() }),
        ..whole()
    };
    let with = |change: &dyn Fn(&mut ControlPlaneReport)| {
        let mut reports = well();
        reports.control_plane.iter_mut().for_each(change);
        reports
    };
    let runtime =
        |state, is_needed| Reports { scheduler: Some(scheduler(state, is_needed)), ..well() };
    let mut damaged = well();
    if let Some(scheduler) = &mut damaged.scheduler {
        scheduler.damages = vec!["workload web: a layer is damaged".to_owned()];
    }
    for (reports, state, reason) in [
        (well(), "ok", None),
        (whole(), "degraded", Some("podman_rootful is being restarted: panicked: boom")),
        (runtime(RuntimeState::Unavailable, true), "degraded", Some("no socket")),
        (runtime(RuntimeState::Unavailable, false), "ok", None),
        (
            with(&|it| it.connected_since = None),
            "degraded",
            Some("the desired state cannot be asked for: no route"),
        ),
        (
            with(&|it| it.certificate_expires = Some(at(90))),
            "degraded",
            Some("the device's certificate has expired"),
        ),
        (
            with(&|it| it.missing = vec!["configuration has failed".to_owned()]),
            "degraded",
            Some("configuration has failed"),
        ),
        (
            with(&|it| {
                it.connected_since = None;
                it.missing = vec!["enrolment has failed: no route".to_owned()];
            }),
            "degraded",
            Some("enrolment has failed: no route"),
        ),
        (runtime(RuntimeState::Slow, true), "degraded", Some("no socket")),
        (damaged, "degraded", Some("workload web: a layer is damaged")),
        (Reports { evaluator: None, ..well() }, "down", Some("profile_evaluator does not answer")),
    ] {
        let health = reports.health(at(90));
        let reasons: Vec<&str> = health.reasons.iter().map(String::as_str).collect();
        assert_eq!((health.state, reasons), (state, Vec::from_iter(reason)));
    }
}

#[test]
fn time_alone_changes_nothing_that_is_sent_again() {
    let asked = |reports: &Reports, posts, now| without_time(status(&about(), reports, posts, now));
    let before = asked(&whole(), PostCounts::default(), now());
    let mut later = whole();
    if let Some(control_plane) = &mut later.control_plane {
        control_plane.configuration_age = Some(Duration::from_secs(12));
    }
    for metric in later.evaluator.iter_mut().flat_map(|it| &mut it.metrics) {
        metric.age += Duration::from_secs(7);
    }
    assert_eq!(before, asked(&later, PostCounts::default(), now().after(Duration::from_secs(7))));
    // The same value again is a new sample.
    assert_ne!(before, asked(&whole(), PostCounts { taken: 1, ..PostCounts::default() }, now()));
    for metric in later.evaluator.iter_mut().flat_map(|it| &mut it.metrics) {
        metric.stale = true;
    }
    assert_ne!(before, asked(&later, PostCounts::default(), now()));
    let expired = now().after(Duration::from_secs(1_000));
    assert_ne!(
        before,
        asked(&whole(), PostCounts::default(), expired),
        "the certificate has expired"
    );
}
