//! Why a hook cannot be run.

use k8s_openapi::api::core::v1::Container;

use crate::pod_manifest::probes::ProbeFault;

/// A hook that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{hook} of container {container}: {fault}")]
pub(crate) struct HookError {
    hook: &'static str,
    container: String,
    fault: HookFault,
}

impl HookError {
    pub(super) fn new(container: &Container, hook: &'static str, fault: HookFault) -> Self {
        Self { hook, container: container.name.clone(), fault }
    }
}

/// What is wrong with it, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HookFault {
    #[error("it says not what to do; give it exec, httpGet or sleep")]
    NoHandler,
    #[error("it has more than one of exec, httpGet and sleep; leave one")]
    SeveralHandlers,
    #[error("tcpSocket does nothing in a hook, on Kubernetes neither; use exec, httpGet or sleep")]
    TcpSocket,
    #[error("sleep.seconds is negative")]
    NegativeSleep,
    #[error("init containers run to their end and have no hooks; leave it out")]
    InitContainer,
    #[error(transparent)]
    Handler(#[from] ProbeFault),
}
