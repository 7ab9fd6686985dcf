//! Why a probe cannot be run.

use k8s_openapi::api::core::v1::Container;

/// A probe that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{probe} of container {container}: {fault}")]
pub(crate) struct ProbeError {
    probe: &'static str,
    container: String,
    fault: ProbeFault,
}

impl ProbeError {
    pub(super) fn new(container: &Container, probe: &'static str, fault: ProbeFault) -> Self {
        Self { probe, container: container.name.clone(), fault }
    }
}

/// What is wrong with it, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProbeFault {
    #[error("it says not what to try; give it exec, httpGet or tcpSocket")]
    NoHandler,
    #[error("it has more than one of exec, httpGet, tcpSocket and grpc; leave one")]
    SeveralHandlers,
    #[error(
        "grpc is not supported on podman; use exec with a client in the image, httpGet or tcpSocket"
    )]
    Grpc,
    #[error("init containers run to their end and have no probes; leave it out")]
    InitContainer,
    #[error("exec has no command")]
    NoCommand,
    #[error("the command of exec is longer than {limit} bytes")]
    LongCommand { limit: usize },
    #[error("{field} is negative")]
    Negative { field: &'static str },
    #[error("successThreshold must be 1: only a readinessProbe may have another")]
    SuccessThreshold,
    #[error(
        "terminationGracePeriodSeconds belongs to a livenessProbe or startupProbe; leave it out"
    )]
    GracePeriod,
    #[error("scheme {scheme:?} is unknown; use HTTP or HTTPS")]
    Scheme { scheme: String },
    #[error("path {path:?} is none of a URL")]
    Path { path: String },
    #[error(
        "httpHeaders has {name:?}, which is no header of HTTP, or has a value that none can have"
    )]
    Header { name: String },
    #[error(
        "host {host:?} is not an address; write an IP address, or leave it out for the pod's own"
    )]
    Host { host: String },
    #[error("port {name:?} is not among the ports of the container; name one, or write its number")]
    UnknownPort { name: String },
    #[error("port {port} is not between 1 and 65535")]
    PortRange { port: i32 },
    #[error(
        "it is not run: the network of a rootless pod cannot be reached from the host; publish port \
         {port} with a hostPort, use hostNetwork, or use exec"
    )]
    NotPublished { port: u16 },
}
