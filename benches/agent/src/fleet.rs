//! A whole fleet against one control plane, in virtual time: what comes upon it after an outage.

use std::future::ready;
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler, System};
use actors::clock::Clock;
use actors::control_plane_sync::{
    Call, ConfigurationStore, ControlPlaneError, ControlPlaneSync, Restored, Source, SyncDeps,
};
use actors::messages::{ProfilesConfigured, WorkloadsConfigured};
use actors::supervisor::Vitals;
use actors::testing::control_plane::{FakeControlPlane, Script};
use actors::workload::{Configuration, DeviceId};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use tokio::time::sleep;

use crate::plan::Plan;
use crate::report::{Outcome, Row};

const MINUTE: Duration = Duration::from_secs(60);
/// The devices run so long before anything happens; the second half is the steady rate.
const STEADY_MINUTES: u32 = 20;
const OUTAGE_MINUTES: u32 = 10;
const AFTERWARDS_MINUTES: u32 = 20;
/// After the outage at most so many times the steady rate.
const MAX_PEAK: f64 = 2.0;

/// Measures the requests of a fleet that comes back.
pub(crate) fn outage(plan: &Plan) -> Vec<Row> {
    let devices = plan.of(10_000, 100);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    };
    let seconds = System::with_tokio_rt(runtime).block_on(requests_by_second(devices));
    let of = |minutes: std::ops::Range<u32>| {
        let [from, to] = [minutes.start, minutes.end].map(|minute| minute as usize * 60);
        &seconds[from..to]
    };
    let steady = of(STEADY_MINUTES / 2..STEADY_MINUTES);
    let rate = steady.iter().sum::<u32>() as f64 / steady.len() as f64;
    let back = STEADY_MINUTES + OUTAGE_MINUTES;
    let peak = of(back..back + AFTERWARDS_MINUTES).iter().max().copied().unwrap_or_default();
    let most = steady.iter().max().copied().unwrap_or_default();
    let ratio = f64::from(peak) / rate;
    vec![Row {
        what: "10,000 devices, one control plane, after an outage of 10 minutes: peak rate",
        target: "at most 2 times the steady rate",
        measured: format!("{ratio:.2} times"),
        outcome: match plan.is_full {
            true => Outcome::of(ratio <= MAX_PEAK),
            false => Outcome::Open,
        },
        notes: vec![format!(
            "{devices} of the actors that speak with the control plane, in virtual time, with a period of 60 s: \
             {rate:.0} requests a second when all is well, {most} in the busiest second; {peak} in \
             the busiest second of the {AFTERWARDS_MINUTES} minutes after the outage.",
        )],
    }]
}

async fn requests_by_second(devices: usize) -> Vec<u32> {
    let clock = Clock::simulated("2026-01-01T00:00:00Z".parse().expect("a time"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut planes = Vec::with_capacity(devices);
    for number in 0..devices {
        let device = DeviceId::from(format!("device-{number}").as_str());
        let plane = FakeControlPlane::new(device, configuration(), clock.clone());
        let home = folder.path().join(number.to_string());
        std::fs::create_dir(&home).expect("a folder");
        let identity = plane.identity_files(&home).expect("files");
        let source = Source::Server { api: std::rc::Rc::new(plane.clone()), identity };
        planes.push(plane);
        let clock = clock.clone();
        // Devices are not switched on at one instant.
        let wait = MINUTE.mul_f64(fastrand::f64());
        actix::spawn(async move {
            sleep(wait).await;
            let sink = Sink.start();
            ControlPlaneSync::new(SyncDeps {
                source,
                store: Box::new(Nowhere),
                workloads: vec![sink.clone().recipient()],
                evaluator: sink.recipient(),
                objectives: Vec::new(),
                vitals: Vitals::unwatched(clock.clone()),
                clock,
            })
            .start();
        });
    }
    let mut seconds = Vec::new();
    for minute in 0..STEADY_MINUTES + OUTAGE_MINUTES + AFTERWARDS_MINUTES {
        if minute == STEADY_MINUTES {
            planes.iter().for_each(|plane| plane.script(go_down));
        } else if minute == STEADY_MINUTES + OUTAGE_MINUTES {
            planes.iter().for_each(|plane| plane.script(come_back));
        }
        sleep(MINUTE).await;
        let first = seconds.len();
        seconds.resize(first + 60, 0_u32);
        for plane in &planes {
            plane.script(|script| {
                for (_, at) in script.asked.drain(..) {
                    let second = usize::try_from(at.since_start().as_secs()).expect("small");
                    seconds[second.min(first + 59)] += 1;
                }
                script.heartbeats.clear();
            });
        }
    }
    seconds
}

fn configuration() -> Configuration {
    Configuration {
        version: None,
        heartbeat_period: MINUTE,
        hardware_in_heartbeat: false,
        objectives: Vec::new(),
        profiles: Vec::new(),
        workloads: Vec::new(),
        rejected: Vec::new(),
        updates: actors::workload::Updates::default(),
    }
}

fn go_down(script: &mut Script) {
    let unreachable =
        |call| ControlPlaneError::Unreachable { call, reason: "connection refused".to_owned() };
    script.configuration = Err(unreachable(Call::Configuration));
    script.heartbeat = Err(unreachable(Call::Heartbeat));
    script.control = Err(unreachable(Call::Control));
}

fn come_back(script: &mut Script) {
    script.configuration = Ok(configuration());
    script.heartbeat = Ok(());
    script.control = Ok(actors::control_plane_sync::ControlAnswer::Nothing);
}

/// Hears what shall run.
struct Sink;

impl Actor for Sink {
    type Context = Context<Self>;
}

impl Handler<WorkloadsConfigured> for Sink {
    type Result = ();

    fn handle(&mut self, _: WorkloadsConfigured, _: &mut Context<Self>) {}
}

impl Handler<ProfilesConfigured> for Sink {
    type Result = ();

    fn handle(&mut self, _: ProfilesConfigured, _: &mut Context<Self>) {}
}

/// Keeps no configuration.
struct Nowhere;

impl ConfigurationStore for Nowhere {
    fn load(&self) -> LocalBoxFuture<'static, Restored> {
        ready(Restored::default()).boxed_local()
    }

    fn save(&self, _: &Configuration) -> LocalBoxFuture<'static, Result<(), String>> {
        ready(Ok(())).boxed_local()
    }
}
