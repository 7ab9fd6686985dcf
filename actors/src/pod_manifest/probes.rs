//! The probes of a pod's containers, as the agent runs them: checked, with Kubernetes' defaults. Pure.
//!
//! podman's own `play kube` knows only `livenessProbe`, runs it only under systemd, and restarts nothing:
//! so podman is given none, and the agent runs them all.

mod error;

use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ExecAction, HTTPGetAction, PodSpec, Probe as KubernetesProbe,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

pub(crate) use error::{ProbeError, ProbeFault};

use super::environment::expansion::of_probe;
use crate::quantity;
use crate::workload::ExecutorKind;

/// Kubernetes' defaults.
const DEFAULT_PERIOD: Duration = Duration::from_secs(10);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_FAILURE_THRESHOLD: u32 = 3;
/// Longest command of a probe, in bytes: its arguments travel in a request.
const MAX_COMMAND: usize = 64 * 1024;

/// Which probe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeKind {
    /// Has it started? Until it has, no other is run.
    Startup,
    /// Does it still work? If not, the run ends.
    Liveness,
    /// Can it be used? If not, those that wait for it go on waiting.
    Readiness,
}

impl ProbeKind {
    /// Returns the field of a container that holds it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startupProbe",
            Self::Liveness => "livenessProbe",
            Self::Readiness => "readinessProbe",
        }
    }
}

/// One probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    /// What is tried.
    pub(crate) check: Check,
    /// Time from the container's start to the first attempt.
    pub(crate) initial_delay: Duration,
    /// Time between two attempts.
    pub(crate) period: Duration,
    /// Longest time of one attempt.
    pub(crate) timeout: Duration,
    /// Successes in a row after a failure that count as one.
    pub(crate) success_threshold: u32,
    /// Failures in a row that count as one.
    pub(crate) failure_threshold: u32,
    /// Time between SIGTERM and SIGKILL when this probe ends the run; `None` is the pod's own.
    pub(crate) grace: Option<Duration>,
}

/// What a probe tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Run this in the container: exit code 0 is a success.
    Exec(Vec<String>),
    /// Ask for this: a status from 200 to 399 is a success.
    Http(HttpCheck),
    /// Connect: a connection is a success.
    Tcp(Endpoint),
}

impl Check {
    /// Returns where the agent dials for it; `None` where podman is asked.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Http(check) => Some(&check.endpoint),
            Self::Tcp(endpoint) => Some(endpoint),
            Self::Exec(_) => None,
        }
    }
}

/// An HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpCheck {
    pub(crate) endpoint: Endpoint,
    /// Whether over TLS; as with Kubernetes, no certificate is checked.
    pub(crate) is_tls: bool,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// Where the agent dials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// The pod's own address, which podman tells.
    Pod(u16),
    /// This address.
    At(IpAddr, u16),
}

/// The probes of one container. Boxed: most have none, and they are kept for each container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerProbes {
    pub(crate) container: String,
    pub(crate) startup: Option<Box<Probe>>,
    pub(crate) liveness: Option<Box<Probe>>,
    pub(crate) readiness: Option<Box<Probe>>,
    /// The volumes of the pod that are held to their `sizeLimit` with this container.
    pub(crate) volumes: Vec<VolumeLimit>,
}

/// How much an `emptyDir` may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeLimit {
    /// The volume's name.
    pub(crate) name: String,
    /// Bytes.
    pub(crate) limit: u64,
}

impl ContainerProbes {
    /// Returns whether there is any.
    pub(crate) fn is_any(&self) -> bool {
        self.startup.is_some() || self.liveness.is_some() || self.readiness.is_some()
    }
}

/// The probes of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodProbes {
    /// Those of each container, also of one that has none: its image may bring one.
    pub(crate) containers: Vec<ContainerProbes>,
    /// Probes that cannot be run where the pod is, each with the way out. They are left out above.
    pub(crate) unreachable: Vec<String>,
}

/// Reads the probes of `spec`, which runs on `executor`, one of the podmans.
///
/// # Errors
/// Kubernetes would refuse a probe, or podman cannot do what it asks for.
pub(crate) fn pod_probes(spec: &PodSpec, executor: ExecutorKind) -> Result<PodProbes, ProbeError> {
    for container in spec.init_containers.iter().flatten() {
        for (kind, probe) in declared(container) {
            if probe.is_some() {
                return Err(ProbeError::new(container, kind.as_str(), ProbeFault::InitContainer));
            }
        }
    }
    let reach = Reach::of(spec, executor);
    let containers = Vec::with_capacity(spec.containers.len());
    let mut pod = PodProbes { containers, unreachable: Vec::new() };
    for container in &spec.containers {
        let mut probes =
            ContainerProbes { container: container.name.clone(), ..ContainerProbes::default() };
        for (kind, declared) in declared(container) {
            let Some(declared) = declared else { continue };
            let error = |fault| ProbeError::new(container, kind.as_str(), fault);
            let probe = match read(kind, declared, container, reach) {
                Ok(probe) => probe,
                Err(fault @ ProbeFault::NotPublished { .. }) => {
                    pod.unreachable.push(error(fault).to_string());
                    continue;
                }
                Err(fault) => return Err(error(fault)),
            };
            let place = match kind {
                ProbeKind::Startup => &mut probes.startup,
                ProbeKind::Liveness => &mut probes.liveness,
                ProbeKind::Readiness => &mut probes.readiness,
            };
            *place = Some(Box::new(probe));
        }
        pod.containers.push(probes);
    }
    for limit in volume_limits(spec) {
        if let Some(container) = writer(spec, &limit.name) {
            pod.containers[container].volumes.push(limit);
        }
    }
    Ok(pod)
}

/// Returns how much each `emptyDir` of `spec` may hold that says so; one that cannot be read was refused.
fn volume_limits(spec: &PodSpec) -> impl Iterator<Item = VolumeLimit> {
    spec.volumes.iter().flatten().filter_map(|volume| {
        let limit = volume.empty_dir.as_ref()?.size_limit.as_ref()?;
        let limit = quantity::whole(&limit.0).ok()?;
        Some(VolumeLimit { name: volume.name.clone(), limit })
    })
}

/// Returns which container counts for what a volume holds: the first one that has it.
fn writer(spec: &PodSpec, volume: &str) -> Option<usize> {
    let has_it = |container: &Container| {
        container.volume_mounts.iter().flatten().any(|mount| mount.name == volume)
    };
    spec.containers.iter().position(has_it)
}

fn declared(container: &Container) -> [(ProbeKind, Option<&KubernetesProbe>); 3] {
    [
        (ProbeKind::Startup, container.startup_probe.as_ref()),
        (ProbeKind::Liveness, container.liveness_probe.as_ref()),
        (ProbeKind::Readiness, container.readiness_probe.as_ref()),
    ]
}

/// From where containers can be reached.
#[derive(Clone, Copy)]
pub(super) struct Reach {
    is_host_network: bool,
    is_rootless: bool,
}

impl Reach {
    /// Returns from where those of `spec` can be reached, which run on `executor`.
    pub(super) fn of(spec: &PodSpec, executor: ExecutorKind) -> Self {
        Self {
            is_host_network: spec.host_network == Some(true),
            is_rootless: executor == ExecutorKind::PodmanRootless,
        }
    }
}

fn read(
    kind: ProbeKind,
    declared: &KubernetesProbe,
    container: &Container,
    reach: Reach,
) -> Result<Probe, ProbeFault> {
    let check = check(declared, container, reach)?;
    let seconds = |field, value: Option<i32>, default| match value {
        None | Some(0) => Ok(default),
        Some(seconds) => u64::try_from(seconds)
            .map(Duration::from_secs)
            .map_err(|_| ProbeFault::Negative { field }),
    };
    let count = |field, value: Option<i32>, default| match value {
        None | Some(0) => Ok(default),
        Some(count) => u32::try_from(count).map_err(|_| ProbeFault::Negative { field }),
    };
    let success_threshold = count("successThreshold", declared.success_threshold, 1)?;
    if success_threshold > 1 && kind != ProbeKind::Readiness {
        return Err(ProbeFault::SuccessThreshold);
    }
    let grace = declared.termination_grace_period_seconds.map(u64::try_from).transpose();
    let grace =
        grace.map_err(|_| ProbeFault::Negative { field: "terminationGracePeriodSeconds" })?;
    if grace.is_some() && kind == ProbeKind::Readiness {
        return Err(ProbeFault::GracePeriod);
    }
    let failures = declared.failure_threshold;
    Ok(Probe {
        check,
        initial_delay: seconds(
            "initialDelaySeconds",
            declared.initial_delay_seconds,
            Duration::ZERO,
        )?,
        period: seconds("periodSeconds", declared.period_seconds, DEFAULT_PERIOD)?,
        timeout: seconds("timeoutSeconds", declared.timeout_seconds, DEFAULT_TIMEOUT)?,
        success_threshold,
        failure_threshold: count("failureThreshold", failures, DEFAULT_FAILURE_THRESHOLD)?,
        grace: grace.map(Duration::from_secs),
    })
}

fn check(
    declared: &KubernetesProbe,
    container: &Container,
    reach: Reach,
) -> Result<Check, ProbeFault> {
    if declared.grpc.is_some() {
        return Err(ProbeFault::Grpc);
    }
    match (&declared.exec, &declared.http_get, &declared.tcp_socket) {
        (Some(action), None, None) => {
            let env = container.env.as_deref().unwrap_or_default();
            let command = action.command.as_deref().map(|command| of_probe(command, env));
            exec(&ExecAction { command })
        }
        (None, Some(get), None) => http(get, container, reach).map(Check::Http),
        (None, None, Some(socket)) => {
            let endpoint = endpoint(&socket.port, socket.host.as_deref(), container, reach)?;
            Ok(Check::Tcp(endpoint))
        }
        (None, None, None) => Err(ProbeFault::NoHandler),
        _ => Err(ProbeFault::SeveralHandlers),
    }
}

/// Reads a command.
pub(super) fn exec(exec: &ExecAction) -> Result<Check, ProbeFault> {
    let command = exec.command.clone().unwrap_or_default();
    if command.is_empty() {
        return Err(ProbeFault::NoCommand);
    }
    if command.iter().map(String::len).sum::<usize>() > MAX_COMMAND {
        return Err(ProbeFault::LongCommand { limit: MAX_COMMAND });
    }
    Ok(Check::Exec(command))
}

/// Reads a request to `container`.
pub(super) fn http(
    get: &HTTPGetAction,
    container: &Container,
    reach: Reach,
) -> Result<HttpCheck, ProbeFault> {
    let is_tls = match get.scheme.as_deref().unwrap_or_default() {
        "" | "HTTP" => false,
        "HTTPS" => true,
        unknown => return Err(ProbeFault::Scheme { scheme: unknown.to_owned() }),
    };
    let path = get.path.as_deref().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if http::Uri::try_from(&path).is_err() {
        return Err(ProbeFault::Path { path });
    }
    let mut headers = Vec::new();
    for header in get.http_headers.iter().flatten() {
        let is_header = http::HeaderName::try_from(&header.name).is_ok()
            && http::HeaderValue::try_from(&header.value).is_ok();
        if !is_header {
            return Err(ProbeFault::Header { name: header.name.clone() });
        }
        headers.push((header.name.clone(), header.value.clone()));
    }
    let endpoint = endpoint(&get.port, get.host.as_deref(), container, reach)?;
    Ok(HttpCheck { endpoint, is_tls, path, headers })
}

/// Returns where a port of the container is reached from the agent: at the pod's own address; on loopback
/// in the host's network; rootless, where the pod's network is out of reach, at the port of the host that it
/// is published at.
fn endpoint(
    port: &IntOrString,
    host: Option<&str>,
    container: &Container,
    reach: Reach,
) -> Result<Endpoint, ProbeFault> {
    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let ports = container.ports.iter().flatten();
    let port = port_number(port, ports.clone())?;
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        let address = host.parse().map_err(|_| ProbeFault::Host { host: host.to_owned() })?;
        return Ok(Endpoint::At(address, port));
    }
    if reach.is_host_network {
        return Ok(Endpoint::At(LOOPBACK, port));
    }
    if !reach.is_rootless {
        return Ok(Endpoint::Pod(port));
    }
    let is_published = |it: &&ContainerPort| {
        let is_tcp = it.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        is_tcp && it.container_port == i32::from(port)
    };
    let published = ports.clone().filter(is_published).find_map(|it| Some((it, it.host_port?)));
    let (published, host_port) = published.ok_or(ProbeFault::NotPublished { port })?;
    let host_port = u16::try_from(host_port).map_err(|_| ProbeFault::NotPublished { port })?;
    let bound = published.host_ip.as_deref().and_then(|address| address.parse::<IpAddr>().ok());
    let bound = bound.filter(|address| !address.is_unspecified()).unwrap_or(LOOPBACK);
    Ok(Endpoint::At(bound, host_port))
}

fn port_number<'a>(
    port: &IntOrString,
    mut ports: impl Iterator<Item = &'a ContainerPort>,
) -> Result<u16, ProbeFault> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => match name.parse::<i32>() {
            Ok(number) => number,
            Err(_) => {
                let named = ports.find(|it| it.name.as_ref() == Some(name));
                let named = named.ok_or_else(|| ProbeFault::UnknownPort { name: name.clone() })?;
                named.container_port
            }
        },
    };
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or(ProbeFault::PortRange { port: number })
}

#[cfg(test)]
mod tests;
