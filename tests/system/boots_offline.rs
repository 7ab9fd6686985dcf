//! A device that boots without a network and without a clock.

use std::time::Duration;

use actors::control_plane_sync::{Call, ControlPlaneError};
use actors::testing::workloads::workload;
use actors::workload::WorkloadStatus;
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};

use crate::rig::{Rig, configuration, in_virtual_time};

fn unreachable<T>(call: Call) -> Result<T, ControlPlaneError> {
    let reason = "network is unreachable".to_owned();
    Err(ControlPlaneError::Unreachable { call, reason })
}

fn cut_network(rig: &Rig) {
    rig.control_plane.script(|script| {
        script.configuration = unreachable(Call::Configuration);
        script.enrolment = unreachable(Call::Enrolment);
        script.registration = unreachable(Call::Registration);
        script.heartbeat = unreachable(Call::Heartbeat);
        script.control = unreachable(Call::Control);
    });
}

#[test]
fn at_1970_the_last_configuration_runs_and_the_right_time_disturbs_no_pod() {
    in_virtual_time(async {
        let web = workload("web").build();
        let report = workload("report").cron("*/5 * * * *").build();
        let wanted = configuration(&[&web, &report], &[]);
        let rig = Rig::start(wanted);
        rig.until_reported(&web, WorkloadStatus::Running).await;
        let good = rig.control_plane.record();
        cut_network(&rig);

        let rig = rig.reboot("1970-01-01T00:00:07Z").await;
        rig.until_running(&web).await;
        tokio::time::sleep(Duration::from_secs(20 * 60)).await;
        assert_eq!(rig.plays(), 1, "cron waits for the clock: {:?}", rig.podman.calls());
        let waits = rig.report(&report).await.expect("it is known");
        assert_eq!(waits.status, WorkloadStatus::Deploying, "{waits:?}");
        assert_eq!(waits.next_start, None, "it is not known when");

        // Clock and network come; the certificate of the former life is as good as before.
        let right: DateTime<Utc> = "2026-11-24T08:02:30Z".parse().expect("a time");
        rig.clock.step(right - rig.clock.now().wall);
        let heard = rig.control_plane.record().heartbeats.len();
        let shown = rig.control_plane.record().shown_own.len();
        rig.control_plane.script(|script| {
            script.configuration = good.configuration.clone();
            script.enrolment = good.enrolment.clone();
            script.registration = good.registration.clone();
            script.heartbeat = good.heartbeat.clone();
            script.control = good.control.clone();
        });
        // Cron knows when from now on, and does not wait for the control plane, which is asked again
        // within some minutes, sooner than the tick or later.
        let tick = async {
            rig.until("the next tick runs", |rig| rig.plays() == 2).await;
            rig.clock.now().wall
        };
        let heartbeats = rig.until("heartbeats come", |rig| {
            rig.control_plane.record().heartbeats.len() > heard + 2
        });
        let (ran_at, _) = tokio::join!(tick, heartbeats);
        let record = rig.control_plane.record();
        assert_eq!(record.requests, good.requests, "no other certificate was asked for");
        assert!(
            record.shown_own[shown..].iter().all(|own| *own),
            "{:?}",
            &record.shown_own[shown..]
        );
        assert_eq!(rig.podman.count("stop_container"), 0);
        assert_eq!(rig.report(&web).await.expect("it is known").restarts, 0);

        let late = ran_at - right;
        assert!(late < TimeDelta::minutes(6), "{late}");
        assert_eq!(ran_at.minute() % 5, 0, "{ran_at}");
        assert_eq!(rig.podman.count("stop_container"), 0);
    });
}
