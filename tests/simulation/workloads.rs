//! The workloads, profiles and metrics of the simulated device.

use std::sync::Arc;
use std::time::Duration;

use actors::testing::workloads::workload;
use actors::workload::{
    ExecutorKind, Profile, ProfileCondition, RestartPolicy, RetryPolicy, Workload,
};
use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, Volume, VolumeMount};

pub(crate) const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The metrics that are posted; `ghost` never is.
pub(crate) const METRICS: [&str; 2] = ["load", "temp"];
pub(crate) const CRON: &str = "*/5 * * * *";

/// What the containers of a specification do once they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// They run for ever.
    Steady,
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
                empty_dir: Some(EmptyDirVolumeSource::default()),
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
    let behaviour = match ends {
        true => Behaviour::Ends {
            after: Duration::from_secs(rng.u64(1..60)),
            code: if rng.u8(0..4) == 0 { 1 } else { 0 },
        },
        false => Behaviour::Steady,
    };
    // The behaviour is part of the image's name, so that one specification behaves in one way.
    let image = format!("localhost/app:{}-{behaviour:?}", rng.u8(0..3))
        .replace([' ', '{', '}', ':'], "-")
        .to_lowercase();
    (builder.image(&image).build(), behaviour)
}
