//! What an executor is made with.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::Recipient;

use crate::clock::Clock;
use crate::messages::{CommandFinished, EventRecorded, UsageObserved, WorkloadsObserved};
use crate::podman_executor::disk::PodmanDisk;
use crate::podman_executor::libpod::api::PodmanApi;
use crate::podman_executor::probing::network::ProbeNetwork;
use crate::supervisor::Vitals;
use crate::workload::{DeviceId, ExecutorKind};

/// What a podman executor needs.
#[derive(Clone)]
pub struct PodmanDeps {
    /// Rootful or rootless.
    pub kind: ExecutorKind,
    /// podman.
    pub api: Rc<dyn PodmanApi>,
    /// The network in which its pods are reached.
    pub network: Rc<dyn ProbeNetwork>,
    /// The device's id, given to each container.
    pub device_id: DeviceId,
    /// The kernel's id of this boot; see [`crate::podman_executor::boot_id`].
    pub boot_id: String,
    /// The folder below which volumes of pods live. Rootless podman's user must reach it, and must
    /// not be able to write to it or to anything above it, unless the agent is that user.
    pub volumes_root: PathBuf,
    /// Holds those volumes, and the list of images that the agent brought; see
    /// [`crate::podman_executor::on_disk`].
    pub disk: Rc<dyn PodmanDisk>,
    /// How long an image that only removed workloads used is kept; `None` is for ever.
    pub image_prune_after: Option<Duration>,
    /// The size at which a container's log is cut, as podman reads it: `10mb`.
    pub log_max_size: String,
    /// Takes the answers to commands.
    pub command_results: Recipient<CommandFinished>,
    /// Takes observations.
    pub observations: Recipient<WorkloadsObserved>,
    /// Takes what pods use, when it was asked for.
    pub usage: Recipient<UsageObserved>,
    /// Takes events.
    pub events: Recipient<EventRecorded>,
    /// The time.
    pub clock: Clock,
    /// Announces deadlines to the supervisor.
    pub vitals: Vitals,
}
