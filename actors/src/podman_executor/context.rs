//! What every sequence of calls needs: podman, the time, and the facts of this device.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::info;

use crate::clock::{Clock, Monotonic};
use crate::messages::{Action, CommandError};
use crate::pod_manifest::host_paths::{Writable, mounted};
use crate::pod_manifest::{DEVICE, Trails, VolumeFolder};
use crate::podman_executor::actor::deps::PodmanDeps;
use crate::podman_executor::commands::hook_record::HookRecord;
use crate::podman_executor::commands::repairs::Repairs;
use crate::podman_executor::disk::kept_logs::KeptRun;
use crate::podman_executor::disk::{Ended, PodmanDisk};
use crate::podman_executor::host_writers::HostWriters;
use crate::podman_executor::image_care::ImageCare;
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::error_text::removal_of;
use crate::podman_executor::libpod::events::{Change, PodmanEvent};
use crate::podman_executor::libpod::pacing::paced::Paced;
use crate::podman_executor::libpod::types::{ContainerRow, PodRow};
use crate::podman_executor::pod_state::{is_ours, other_devices};
use crate::podman_executor::pod_table::PodTable;
use crate::podman_executor::probing::attempt::Means;
use crate::podman_executor::probing::volume_watch::VolumeWatch;
use crate::workload::{DeviceId, Workload, WorkloadId};

/// Time for resolving paths of the host on the disk; past it they are unknown.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Commands of hooks at one time. A shutdown runs those of all pods.
const MAX_HOOK_COMMANDS: usize = 16;

/// Most other devices that are logged: one podman has the pods of a few agents.
const MAX_OTHERS: usize = 16;

/// The means of one executor.
pub(in crate::podman_executor) struct PodmanContext {
    /// podman, at its own pace.
    pub(in crate::podman_executor) api: Rc<Paced>,
    /// The time.
    pub(in crate::podman_executor) clock: Clock,
    /// The device's id.
    pub(in crate::podman_executor) device_id: DeviceId,
    /// The kernel's id of this boot.
    pub(in crate::podman_executor) boot_id: String,
    /// The folder below which volumes of ours live.
    pub(in crate::podman_executor) volumes_root: PathBuf,
    disk: Rc<dyn PodmanDisk>,
    /// What is known of volumes that hold too much.
    pub(in crate::podman_executor) volumes: VolumeWatch,
    /// The size at which a container's log is cut.
    pub(in crate::podman_executor) log_max_size: String,
    /// The images that the agent brought to the device.
    pub(in crate::podman_executor) images: ImageCare,
    /// What containers can write on the host.
    pub(in crate::podman_executor) writers: RefCell<HostWriters>,
    /// The hooks of pods.
    pub(in crate::podman_executor) hooks: RefCell<HookRecord>,
    /// The means of hooks: those of probes do not wait for them.
    pub(in crate::podman_executor) means: Means,
    /// The specifications that may run, also the one before.
    pub(in crate::podman_executor) configured: RefCell<BTreeSet<WorkloadId>>,
    /// Devices whose pods were logged.
    others: RefCell<BTreeSet<String>>,
    /// The workloads whose pods do not start for damage in podman's storage.
    pub(in crate::podman_executor) repairs: Repairs,
    /// What podman is known to hold.
    pub(in crate::podman_executor) table: RefCell<PodTable>,
    /// The commands that are under way: for which pod, and what they do to it.
    busy: RefCell<Vec<(WorkloadId, Option<Change>)>>,
    /// Pods whose containers a command began to stop, and which it has not removed.
    pub(in crate::podman_executor) cut_short: RefCell<BTreeSet<WorkloadId>>,
}

/// A command for a pod is under way while this lives.
pub(in crate::podman_executor) struct Busy<'a> {
    context: &'a PodmanContext,
    command: (WorkloadId, Option<Change>),
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut busy = self.context.busy.borrow_mut();
        if let Some(index) = busy.iter().position(|command| *command == self.command) {
            busy.swap_remove(index);
        }
    }
}

impl PodmanContext {
    /// Returns a context that has not spoken to podman yet.
    pub(in crate::podman_executor) fn new(deps: &PodmanDeps, api: Rc<Paced>) -> Self {
        Self {
            clock: deps.clock.clone(),
            device_id: deps.device_id.clone(),
            boot_id: deps.boot_id.clone(),
            volumes_root: deps.volumes_root.clone(),
            disk: Rc::clone(&deps.disk),
            volumes: VolumeWatch::new(Rc::clone(&deps.disk)),
            log_max_size: deps.log_max_size.clone(),
            images: ImageCare::new(Rc::clone(&deps.disk)),
            writers: RefCell::default(),
            hooks: RefCell::default(),
            means: Means::new(Rc::clone(&api), Rc::clone(&deps.network), MAX_HOOK_COMMANDS),
            configured: RefCell::default(),
            others: RefCell::default(),
            repairs: Repairs::default(),
            table: RefCell::default(),
            busy: RefCell::default(),
            cut_short: RefCell::default(),
            api,
        }
    }

    /// Notes that `action` is under way.
    pub(in crate::podman_executor) fn busy(&self, action: &Action) -> Busy<'_> {
        let command = (action.workload_id().clone(), Change::of(action));
        self.busy.borrow_mut().push(command.clone());
        Busy { context: self, command }
    }

    /// Returns whether a command for the pod `id` is under way.
    pub(in crate::podman_executor) fn is_busy_with(&self, id: &WorkloadId) -> bool {
        self.busy.borrow().iter().any(|(of, _)| of == id)
    }

    /// Notes that a command is about to end containers of the pod `id`: however they end, it is not the end
    /// of their run.
    pub(in crate::podman_executor) fn cuts_short(&self, id: &WorkloadId) {
        self.cut_short.borrow_mut().insert(id.clone());
    }

    /// Notes that the pod `id` was removed, or runs.
    pub(in crate::podman_executor) fn begins_anew(&self, id: &WorkloadId) {
        self.cut_short.borrow_mut().remove(id);
    }

    /// Returns whether a command that is over has ended containers of the pod `id`, and left it.
    pub(in crate::podman_executor) fn is_cut_short(&self, id: &WorkloadId) -> bool {
        self.cut_short.borrow().contains(id) && !self.is_busy_with(id)
    }

    /// Returns whether a pod is being started, frozen, thawed or stopped.
    pub(in crate::podman_executor) fn is_changing_pods(&self) -> bool {
        self.busy.borrow().iter().any(|(_, change)| change.is_some())
    }

    /// Returns whether `event` follows from a command that is under way, whose end says more.
    pub(in crate::podman_executor) fn is_expected(&self, event: &PodmanEvent) -> bool {
        let busy = self.busy.borrow();
        let mut changing = busy.iter().filter_map(|(id, change)| Some((id, (*change)?)));
        changing.any(|(id, change)| event.is_of(id.as_str()) && event.follows_from(change))
    }

    /// Returns the time since `earlier`.
    pub(in crate::podman_executor) fn since(&self, earlier: Monotonic) -> Duration {
        self.clock.now().monotonic.saturating_since(earlier)
    }

    /// Returns the time left until `deadline`.
    pub(in crate::podman_executor) fn left(&self, deadline: Monotonic) -> Duration {
        deadline.saturating_since(self.clock.now().monotonic)
    }

    /// Returns the folder below which volumes of ours live that are in memory, if there is one.
    pub(in crate::podman_executor) fn memory_root(&self) -> Option<&Path> {
        self.disk.memory_root()
    }

    /// Waits until podman has done with the pod `id` what an earlier command gave up: what it made may
    /// run, and what is made beside it may be removed by it. Returns whether there was nothing.
    pub(in crate::podman_executor) async fn settle(
        &self,
        id: &WorkloadId,
        within: Duration,
    ) -> Result<bool, PodmanError> {
        let settled = timeout(within, self.api.settled(id.as_str())).await;
        let timed_out =
            |_| PodmanError::Timeout { call: "finish an earlier command", after: within };
        Ok(!settled.map_err(timed_out)?)
    }

    /// Returns the containers of this device's pods.
    pub(in crate::podman_executor) async fn containers(
        &self,
    ) -> Result<Vec<ContainerRow>, PodmanError> {
        let mut rows = self.api.containers().await?;
        self.log_other_devices(&rows);
        rows.retain(|row| is_ours(&row.labels, &row.pod_name, &self.device_id));
        Ok(rows)
    }

    /// Logs once each other device whose pods are on this podman. Beside another agent that is as it
    /// should be; after a change of `DEVICE_ID` no agent manages them any more.
    fn log_other_devices(&self, rows: &[ContainerRow]) {
        let mut logged = self.others.borrow_mut();
        for owner in other_devices(rows, &self.device_id) {
            if logged.len() < MAX_OTHERS && logged.insert(owner.to_owned()) {
                let command = removal_of(owner);
                info!(device_id = owner, command, "pods of another device were found");
            }
        }
    }

    /// Returns the containers of the pod `id`.
    pub(in crate::podman_executor) async fn containers_of(
        &self,
        id: &WorkloadId,
    ) -> Result<Vec<ContainerRow>, PodmanError> {
        let mut rows = self.api.containers_of(id.as_str()).await?;
        let is_ours = |row: &ContainerRow| is_ours(&row.labels, &row.pod_name, &self.device_id);
        // podman was asked for those of this pod; what else it lists is no business of the command's.
        rows.retain(|row| row.pod_name == id.as_str() && is_ours(row));
        Ok(rows)
    }

    /// Returns this device's pods. Blocks while any of them is being stopped.
    pub(in crate::podman_executor) async fn pods(&self) -> Result<Vec<PodRow>, PodmanError> {
        let mut pods = self.api.pods().await?;
        pods.retain(|pod| self.is_ours(pod));
        Ok(pods)
    }

    /// Returns the pod `id`, unless it is not this device's.
    pub(in crate::podman_executor) async fn pod(
        &self,
        id: &WorkloadId,
    ) -> Result<Option<PodRow>, PodmanError> {
        let pod = self.api.pod(id.as_str()).await?;
        Ok(pod.filter(|pod| self.is_ours(pod)))
    }

    /// Returns the device that the pod `id` says it belongs to; nothing where it is no agent's at all.
    pub(in crate::podman_executor) async fn owner_of(
        &self,
        id: &WorkloadId,
    ) -> Result<Option<String>, PodmanError> {
        let pod = self.api.pod(id.as_str()).await?;
        Ok(pod.and_then(|mut pod| pod.labels.remove(DEVICE)))
    }

    fn is_ours(&self, pod: &PodRow) -> bool {
        is_ours(&pod.labels, &pod.name, &self.device_id)
    }

    /// Returns what others can write on the host while `workload` starts, and how those paths and
    /// its own run; nothing if it mounts none.
    pub(in crate::podman_executor) async fn look_at_host(
        &self,
        workload: &Workload,
    ) -> Result<(Vec<Writable>, Trails), PodmanError> {
        let mut paths = mounted(workload);
        if paths.is_empty() {
            return Ok(Default::default());
        }
        if self.writers.borrow().has_former() {
            let rows = self.api.containers().await?;
            let there = rows.into_iter().map(|row| WorkloadId::from(row.pod_name)).collect();
            self.writers.borrow_mut().gone(&there);
        }
        let writable = self.writers.borrow().beside(workload);
        paths.extend(writable.iter().map(|it| it.path.clone()));
        let looked = timeout(LOOK_LIMIT, self.disk.look_at(paths)).await;
        Ok((writable, looked.ok().and_then(Result::ok).unwrap_or_default()))
    }

    /// Tries again to remove volumes that could not be removed.
    pub(in crate::podman_executor) fn remove_volumes_again(&self) {
        self.disk.remove_again();
    }

    /// Writes the volumes of the pod `id`.
    pub(in crate::podman_executor) async fn write_volumes(
        &self,
        id: &WorkloadId,
        folders: Vec<VolumeFolder>,
    ) -> Result<(), String> {
        // One specification has volumes always or never: none are left from before.
        if folders.is_empty() {
            return Ok(());
        }
        self.disk.volumes_removed(id.clone()).await?;
        let turn = self.disk.turns().next().await;
        self.disk.write_volumes(turn, id.clone(), folders, self.api.owner()).await
    }

    /// Removes the volumes of the pod `id`; what containers wrote stays for the next pod while its
    /// specification is configured, or may come back.
    pub(in crate::podman_executor) async fn remove_volumes(
        &self,
        id: &WorkloadId,
    ) -> Result<(), String> {
        let turn = self.disk.turns().next().await;
        let is_configured = self.configured.borrow().contains(id);
        // What held too much begins empty, as after an eviction by Kubernetes.
        let is_kept = is_configured && !self.volumes.take_overfull(id);
        let ended = if is_kept { Ended::Pod } else { Ended::Specification };
        self.disk.remove_volumes(turn, id.clone(), ended).await
    }

    /// Returns whether there is a place for the logs of failed runs.
    pub(in crate::podman_executor) fn keeps_logs(&self) -> bool {
        self.disk.keeps_logs()
    }

    /// Keeps the logs of a failed run.
    pub(in crate::podman_executor) async fn keep_logs(&self, run: KeptRun) -> Result<(), String> {
        self.disk.keep_logs(run).await
    }

    /// Removes the volumes of pods that are neither `configured` nor there nor being made, so that
    /// no secret outlives its pod.
    pub(in crate::podman_executor) async fn sweep_volumes(
        &self,
        configured: &BTreeSet<WorkloadId>,
    ) -> Result<(), String> {
        // Writers from here on wait for their turn; one that wrote before is busy, was given up
        // while podman makes its pod, or has a pod that is listed.
        let turn = self.disk.turns().next().await;
        let busy = self.busy.borrow().iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>();
        let made = self.api.being_made();
        // Not only those of ours: pods from before the device's id changed still use theirs.
        let rows = self.api.containers().await.map_err(|error| error.chain())?;
        let there = rows.into_iter().map(|row| row.pod_name);
        let configured = configured.iter().map(ToString::to_string);
        let kept: BTreeSet<_> = configured.chain(there).chain(busy).chain(made).collect();
        self.disk.sweep_volumes(turn, kept).await
    }
}

/// Turns a podman that does not answer into its command error.
pub(in crate::podman_executor) fn unavailable(error: &PodmanError) -> CommandError {
    let message = error.chain();
    CommandError::Unavailable { message }
}
