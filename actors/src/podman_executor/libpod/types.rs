//! The shapes of libpod's JSON, as far as the agent reads or writes them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::podman_executor::libpod::bounds::{
    MAX_ROWS, MAX_ROWS_OF_ONE, Rows, labels, path, several_words, text, texts, words,
};

/// The answer to `containers/stats`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct StatsReport {
    pub(in crate::podman_executor) stats: Option<Rows<UsageRow, MAX_ROWS>>,
}

/// What one running container uses of the device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UsageRow {
    /// The container's id.
    #[serde(rename = "ContainerID", deserialize_with = "text")]
    pub id: String,
    /// CPU time since it started, in nanoseconds.
    #[serde(rename = "CPUNano")]
    pub cpu_nanos: u64,
    /// Bytes of memory.
    #[serde(rename = "MemUsage")]
    pub memory: u64,
}

/// One row of `containers/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerRow {
    /// The container's id.
    #[serde(deserialize_with = "text")]
    pub id: String,
    /// Its names; podman gives one.
    #[serde(deserialize_with = "texts")]
    pub names: Vec<String>,
    /// `running`, `exited`, `created` and so on.
    #[serde(deserialize_with = "text")]
    pub state: String,
    /// Its exit code, once it ended.
    pub exit_code: i32,
    /// When it ended, Unix seconds.
    pub exited_at: i64,
    /// When it started, Unix seconds; far below zero when it never did.
    pub started_at: i64,
    /// Its process as the podman service sees it; zero when there is none.
    pub pid: i64,
    /// The id of its image.
    #[serde(rename = "ImageID", deserialize_with = "text")]
    pub image_id: String,
    /// The name of that.
    #[serde(deserialize_with = "text")]
    pub image: String,
    /// The name of its pod.
    #[serde(deserialize_with = "text")]
    pub pod_name: String,
    /// The pod's labels.
    #[serde(deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
}

/// One row of `pods/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PodRow {
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// `Running`, `Degraded`, `Created` and so on.
    #[serde(deserialize_with = "text")]
    pub status: String,
    /// Its labels.
    #[serde(deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
}

/// What `containers/{id}/json` says beyond the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerDetail {
    /// The state.
    pub state: DetailState,
    /// The settings at creation.
    pub host_config: DetailHostConfig,
    /// Where it is reached.
    pub network_settings: DetailNetwork,
}

impl ContainerDetail {
    /// Returns the address that its pod has in podman's network, if it has one.
    pub(in crate::podman_executor) fn address(&self) -> Option<IpAddr> {
        self.network_settings.ip_address.parse().ok()
    }
}

/// The network within [`ContainerDetail`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DetailNetwork {
    /// The address that its pod has in podman's network; empty when it has none.
    #[serde(rename = "IPAddress", deserialize_with = "text")]
    pub ip_address: String,
}

/// The state within [`ContainerDetail`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DetailState {
    /// The exit code.
    pub exit_code: i32,
    /// Killed for want of memory; podman 4.3 never says so.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// What podman has to say about the end.
    #[serde(deserialize_with = "words")]
    pub error: String,
    /// Its control group, relative to where a controller is mounted.
    #[serde(deserialize_with = "path")]
    pub cgroup_path: String,
}

/// The settings within [`ContainerDetail`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DetailHostConfig {
    /// Memory limit in bytes, zero for none.
    pub memory: i64,
}

/// What `images/{name}/json` says of the image itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ImageDetail {
    /// The image's id.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) id: String,
}

/// What the same says of what a registry calls it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ImageDigest {
    /// The digest of its manifest, `sha256:…`.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) digest: String,
}

/// What the same says of how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ImageConfig {
    /// Its `HEALTHCHECK`.
    pub(in crate::podman_executor) healthcheck: Option<Healthcheck>,
}

/// The `HEALTHCHECK` of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `CMD` and a command, `CMD-SHELL` and a line for the shell, or `NONE`.
    #[serde(deserialize_with = "texts")]
    pub test: Vec<String>,
    /// Time between two attempts, in nanoseconds; 0 is the default of 30 s.
    pub interval: i64,
    /// Longest time of an attempt, in nanoseconds; 0 is the default of 30 s.
    pub timeout: i64,
    /// Time in which failures do not count, in nanoseconds.
    pub start_period: i64,
    /// Failures in a row that count; 0 is the default of 3.
    pub retries: u32,
}

/// The answer of `containers/{id}/exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ExecCreated {
    /// The id of what is to be run.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) id: String,
}

/// The answer of `exec/{id}/json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ExecDetail {
    /// Whether it has not ended.
    pub(in crate::podman_executor) running: bool,
    /// Its exit code, once it ended.
    pub(in crate::podman_executor) exit_code: i32,
    /// Its process as the podman service sees it; zero when there is none.
    pub(in crate::podman_executor) pid: i64,
}

/// What the same says of its layers. Apart: every start asks for the id, and what a storage driver says of
/// layers, which is its own affair, must not fail that.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct ImageLayers {
    /// Where they are.
    pub(in crate::podman_executor) graph_driver: GraphDriver,
}

/// Where the layers of an image are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct GraphDriver {
    /// How layers are kept, `overlay`.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) name: String,
    /// What that driver knows; `vfs` of nothing.
    pub(in crate::podman_executor) data: Option<GraphData>,
}

/// What the driver overlay knows of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct GraphData {
    /// The contents of the lower layers, separated by colons.
    #[serde(deserialize_with = "path")]
    pub(in crate::podman_executor) lower_dir: String,
    /// The content of the uppermost layer.
    #[serde(deserialize_with = "path")]
    pub(in crate::podman_executor) upper_dir: String,
}

/// The answer of `info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::podman_executor) struct Info {
    /// The host as podman sees it.
    pub(in crate::podman_executor) host: HostInfo,
    /// podman's version.
    pub(in crate::podman_executor) version: Version,
}

/// podman's version within `Info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(in crate::podman_executor) struct Version {
    /// `5.4.2`.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) version: String,
    /// When it was built, in Unix seconds; 0 where podman does not say.
    pub(in crate::podman_executor) built: i64,
}

impl Info {
    /// Returns what is known of the host.
    pub(in crate::podman_executor) fn facts(self) -> HostInfo {
        let Version { version, built } = self.version;
        let is_plain = !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte));
        let pause = is_plain.then(|| format!("localhost/podman-pause:{version}-{built}"));
        let mut parts = version.split(['.', '-', '+']).map(str::parse);
        let podman_version = match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Some((major, minor)),
            _ => None,
        };
        HostInfo { pause_image: pause, podman_version, ..self.host }
    }
}

/// The host within `Info`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostInfo {
    /// `v1` or `v2`.
    #[serde(deserialize_with = "text")]
    pub cgroup_version: String,
    /// Who makes control groups: `systemd` or `cgroupfs`.
    pub cgroup_manager: String,
    /// The controllers that podman may use.
    #[serde(deserialize_with = "texts")]
    pub cgroup_controllers: Vec<String>,
    /// Privileges.
    pub security: SecurityInfo,
    /// A program for rootless networks.
    pub slirp4netns: Program,
    /// A newer program for rootless networks.
    pub pasta: Program,
    /// Processors.
    pub cpus: u64,
    /// Bytes of memory.
    pub mem_total: u64,
    /// Major and minor version of podman; absent where it does not say.
    #[serde(skip)]
    pub podman_version: Option<(u32, u32)>,
    /// The image of podman's own that keeps the namespaces of pods.
    #[serde(skip)]
    pub pause_image: Option<String>,
}

/// Privileges within [`HostInfo`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SecurityInfo {
    /// Whether podman runs without root.
    pub rootless: bool,
}

/// A helper program within [`HostInfo`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Its path; empty when it is not installed.
    #[serde(deserialize_with = "path")]
    pub executable: String,
}

/// The answer of `play/kube`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlayReport {
    /// The pods that were made.
    #[serde(deserialize_with = "pods")]
    pub pods: Vec<PlayedPod>,
}

fn pods<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PlayedPod>, D::Error> {
    Rows::<PlayedPod, MAX_ROWS_OF_ONE>::deserialize(deserializer).map(|rows| rows.0)
}

/// One pod of a [`PlayReport`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlayedPod {
    /// Why containers did not start.
    #[serde(deserialize_with = "several_words")]
    pub container_errors: Vec<String>,
}

/// An error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::podman_executor) struct ErrorAnswer {
    /// The innermost reason; the same in all versions.
    #[serde(deserialize_with = "words")]
    pub(in crate::podman_executor) cause: String,
    /// The whole chain; differs between versions.
    #[serde(deserialize_with = "words")]
    pub(in crate::podman_executor) message: String,
    /// What pods answer instead: one line for each container.
    #[serde(rename = "Errs", deserialize_with = "several_words")]
    pub(in crate::podman_executor) errs: Vec<String>,
}

/// One line of `images/pull`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(in crate::podman_executor) struct PullLine {
    /// The image's id: the pull succeeded.
    #[serde(deserialize_with = "text")]
    pub(in crate::podman_executor) id: String,
    /// Why the pull failed.
    #[serde(deserialize_with = "words")]
    pub(in crate::podman_executor) error: String,
}

/// The body of `containers/{id}/update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UpdateBody {
    /// CPU time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<UpdateCpu>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<UpdateMemory>,
}

/// CPU time within [`UpdateBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UpdateCpu {
    /// Microseconds in each period, -1 for no limit.
    pub quota: i64,
    /// The period in microseconds.
    pub period: u64,
}

/// Memory within [`UpdateBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UpdateMemory {
    /// Bytes, -1 for no limit.
    pub limit: i64,
}

/// Returns the name that the pod specification gives the container.
pub(in crate::podman_executor) fn container_name(row: &ContainerRow) -> &str {
    let name = row.names.first().map_or(row.id.as_str(), String::as_str);
    let inner = name.strip_prefix(row.pod_name.as_str());
    inner.and_then(|inner| inner.strip_prefix('-')).unwrap_or(name)
}
