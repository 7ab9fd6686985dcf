//! The workloads, profiles and metrics of the simulated device.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::workloads::workload;
use actors::workload::{
    ConditionRef, ExecutorKind, Objective, Profile, ProfileCondition, ProfileRef, RestartPolicy,
    RetryPolicy, Rung, Rungs, Turn, UpdateGate, Workload,
};
use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, ExecAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe,
    TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(crate) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The metrics that are posted; `ghost` never is.
pub(crate) const METRICS: [&str; 2] = ["load", "temp"];
/// What the pods that work make together; it is what the device's objective is about.
pub(crate) const STRAIN: &str = "strain";
/// The command of hooks.
pub(crate) const HOOK: &str = "hook";
pub(crate) const CRON: &str = "*/5 * * * *";

/// Longest time that an update waits, where it has a deadline.
pub(crate) const MAX_DEADLINE: Duration = Duration::from_secs(1200);

/// What the containers of a specification do once they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// They run for ever.
    Steady,
    /// They run for ever, but their probes fail once they have run for so long.
    FallsIll { after: Duration, hangs: bool },
    /// They end by themselves.
    Ends { after: Duration, code: i32 },
}

/// Conditions as written, and what they mean.
pub(crate) const CONDITIONS: [(&str, &str); 4] = [
    ("low", "load < 50"),
    ("high", "load >= 50"),
    ("both", "temp > 20 && load < 90"),
    ("never", "ghost > 1"),
];

/// Returns the truth of a condition by metrics that may not have been posted.
pub(crate) fn holds(condition: &str, load: Option<f64>, temp: Option<f64>) -> bool {
    match condition {
        "low" => load.is_some_and(|load| load < 50.0),
        "high" => load.is_some_and(|load| load >= 50.0),
        "both" => load.is_some_and(|load| load < 90.0) && temp.is_some_and(|temp| temp > 20.0),
        _ => false,
    }
}

pub(crate) fn profiles() -> Vec<Profile> {
    let condition = |(name, expression): &(&str, &str)| ProfileCondition {
        name: (*name).into(),
        expression: (*expression).to_owned(),
    };
    vec![Profile { name: "p".into(), conditions: CONDITIONS.iter().map(condition).collect() }]
}

/// Returns a probe that succeeds while its container is well.
fn any_probe(kind: ExecutorKind, rng: &mut fastrand::Rng) -> Probe {
    let port = IntOrString::Int(8080);
    let mut probe = Probe { period_seconds: Some(rng.i32(1..10)), ..Probe::default() };
    // The network of a rootless pod is out of reach.
    let kinds = if kind == ExecutorKind::PodmanRootless { 1 } else { 3 };
    match rng.u8(0..kinds) {
        1 => probe.http_get = Some(HTTPGetAction { port, ..HTTPGetAction::default() }),
        2 => probe.tcp_socket = Some(TCPSocketAction { port, ..TCPSocketAction::default() }),
        _ => probe.exec = Some(ExecAction { command: Some(vec!["check".to_owned()]) }),
    }
    probe
}

/// Returns a hook that succeeds while its container is well.
fn hook() -> LifecycleHandler {
    let exec = ExecAction { command: Some(vec![HOOK.to_owned()]) };
    LifecycleHandler { exec: Some(exec), ..LifecycleHandler::default() }
}

fn any_turn(dice: &mut fastrand::Rng) -> Turn {
    let mut seconds = || Duration::from_secs(if dice.u8(0..4) == 0 { dice.u64(1..120) } else { 0 });
    let (min_run, min_pause) = (seconds(), seconds());
    let rungs = match dice.u8(0..4) {
        0 => Some(Rungs::NONE),
        1 => None,
        _ => Some(Rung::ALL.into_iter().filter(|_| dice.bool()).collect()),
    };
    Turn { priority: [0, 0, -1, 1, 7][dice.usize(..5)], min_run, min_pause, rungs }
}

/// What every pod that works makes of [`STRAIN`].
pub(crate) const SHARE_OF_STRAIN: f64 = 20.0;
/// From here on the objective is broken.
pub(crate) const TOO_MUCH_STRAIN: f64 = 45.0;

/// Returns what the device keeps.
pub(crate) fn objective() -> Objective {
    Objective {
        name: "strain".into(),
        keep: format!("{STRAIN} < {TOO_MUCH_STRAIN}"),
        settling: Duration::from_secs(10),
        calm: Duration::from_secs(20),
    }
}

/// Returns when an update may come; not later than within the time that a device has to recover. Some have
/// no deadline, and open by what is posted when all is well again.
fn any_gate(dice: &mut fastrand::Rng) -> UpdateGate {
    let mut when = || {
        let (name, _) = CONDITIONS[dice.usize(..CONDITIONS.len())];
        let condition = ConditionRef { name: name.into(), cpu: None, memory: None };
        let profile = ProfileRef { name: "p".into(), conditions: vec![condition] };
        if dice.u8(0..5) == 0 { vec![profile] } else { Vec::new() }
    };
    let (pull_when, replace_when) = (when(), when());
    let is_gated = !pull_when.is_empty() || !replace_when.is_empty();
    let opens =
        |profile: &ProfileRef| ["low", "both"].contains(&profile.conditions[0].name.as_str());
    let may_wait = pull_when.is_empty() && replace_when.iter().all(opens) && dice.bool();
    let deadline =
        (is_gated && !may_wait).then(|| Duration::from_secs(dice.u64(30..=MAX_DEADLINE.as_secs())));
    UpdateGate { pull_when, replace_when, deadline }
}

/// Returns a workload and what its containers do.
pub(crate) fn any_workload(
    name: &str,
    kinds: &[ExecutorKind],
    rng: &mut fastrand::Rng,
) -> (Arc<Workload>, Behaviour) {
    let kind = kinds[rng.usize(..kinds.len())];
    let mut builder = workload(name).image(&format!("localhost/app:{}", rng.u8(0..4))).on(kind);
    let policy = match rng.u8(0..6) {
        0 => RestartPolicy::Never,
        1 => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    builder = builder.restarts(policy);
    if rng.u8(0..3) == 0 {
        let (condition, _) = CONDITIONS[rng.usize(..CONDITIONS.len())];
        builder = builder.profile(if rng.u8(0..12) == 0 { "undefined" } else { "p" }, &[condition]);
    }
    if rng.u8(0..4) == 0 {
        builder = builder.retries(RetryPolicy::Exponential {
            initial: Duration::from_secs(2),
            multiplier: 2.0,
            randomization: 0.3,
        });
    }
    let is_cron = kind != ExecutorKind::K8s && rng.u8(0..6) == 0;
    if is_cron {
        builder = builder.cron(CRON);
    }
    if rng.u8(0..3) == 0 {
        let second = Container {
            name: "second".to_owned(),
            image: Some("quay.io/team/second:1".to_owned()),
            ..Container::default()
        };
        builder = builder.with(|workload| workload.pod.containers.push(second));
    }
    let ends = is_cron || (policy != RestartPolicy::Always && rng.bool());
    if rng.u8(0..3) == 0 {
        builder = builder.with(|workload| {
            let cache = Volume {
                name: "cache".to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    size_limit: Some(Quantity("1Mi".to_owned())),
                    ..EmptyDirVolumeSource::default()
                }),
                ..Volume::default()
            };
            let mount = VolumeMount {
                name: "cache".to_owned(),
                mount_path: "/cache".to_owned(),
                ..VolumeMount::default()
            };
            workload.pod.volumes = Some(vec![cache]);
            workload.pod.containers[0].volume_mounts = Some(vec![mount]);
        });
    }
    let is_podman = kind != ExecutorKind::K8s;
    let falls_ill = !ends && is_podman && policy == RestartPolicy::Always && rng.u8(0..4) == 0;
    if falls_ill {
        builder = builder.with(|workload| {
            workload.pod.containers[0].liveness_probe = Some(any_probe(kind, rng));
        });
    } else if is_podman && rng.u8(0..6) == 0 {
        // Those that are well are probed, too.
        builder = builder.with(|workload| {
            let main = &mut workload.pod.containers[0];
            main.readiness_probe = Some(any_probe(kind, rng));
            main.startup_probe = rng.bool().then(|| any_probe(kind, rng));
        });
    }
    let behaviour = match ends {
        false if falls_ill => {
            Behaviour::FallsIll { after: Duration::from_secs(rng.u64(1..60)), hangs: rng.bool() }
        }
        true => Behaviour::Ends {
            after: Duration::from_secs(rng.u64(1..60)),
            code: if rng.u8(0..4) == 0 { 1 } else { 0 },
        },
        false => Behaviour::Steady,
    };
    // Dice of their own, so that what else a story tells stays as it was.
    let mut dice = fastrand::Rng::with_seed(rng.get_seed());
    if is_podman && dice.u8(0..5) == 0 {
        builder = builder.with(|workload| {
            // One that falls ill fails its hook before the stop, or hangs in it.
            let post_start = (behaviour == Behaviour::Steady).then(hook);
            let lifecycle = Lifecycle { post_start, pre_stop: Some(hook()), stop_signal: None };
            workload.pod.containers[0].lifecycle = Some(lifecycle);
        });
    }
    builder = builder.with(|workload| {
        workload.turn = any_turn(&mut dice);
        workload.gate = any_gate(&mut dice);
    });
    // The behaviour is part of the image's name, so that one specification behaves in one way.
    let image = format!("localhost/app:{}-{behaviour:?}", rng.u8(0..3))
        .replace([' ', '{', '}', ':'], "-")
        .to_lowercase();
    (builder.image(&image).build(), behaviour)
}
