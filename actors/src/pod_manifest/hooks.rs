//! The hooks of a pod's containers (`lifecycle`), as the agent runs them: checked. Pure.
//!
//! podman's `play kube` drops them without a word, so the agent runs them all.

mod error;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler, PodSpec};

pub(crate) use error::{HookError, HookFault};

use super::probes::{Check, ProbeFault, Reach, exec, http};
use crate::workload::ExecutorKind;

/// Which hook of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HookKind {
    /// Run right after the container has started.
    PostStart,
    /// Run before the agent ends the container.
    PreStop,
}

impl HookKind {
    /// Returns the field of a container that holds it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PostStart => "lifecycle.postStart",
            Self::PreStop => "lifecycle.preStop",
        }
    }
}

/// What a hook does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// The same as a probe: run a command in the container, or ask for something by HTTP.
    Check(Check),
    /// Let so much time pass.
    Sleep(Duration),
}

/// The hooks of one container, which has at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContainerHooks {
    pub(crate) container: String,
    pub(crate) post_start: Option<Hook>,
    pub(crate) pre_stop: Option<Hook>,
}

/// The hooks of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PodHooks {
    /// Those of each container that has any.
    pub(crate) containers: Vec<ContainerHooks>,
    /// Hooks that cannot be run where the pod is, each with the way out. They are left out above.
    pub(crate) unreachable: Vec<String>,
}

impl PodHooks {
    /// Returns the hook of that kind of `container`.
    pub(crate) fn get(&self, kind: HookKind, container: &str) -> Option<&Hook> {
        let hooks = self.containers.iter().find(|hooks| hooks.container == container)?;
        match kind {
            HookKind::PostStart => hooks.post_start.as_ref(),
            HookKind::PreStop => hooks.pre_stop.as_ref(),
        }
    }
}

/// Reads the hooks of `spec`, which runs on `executor`, one of the podmans.
///
/// # Errors
/// Kubernetes would refuse a hook, or never run it.
pub(crate) fn pod_hooks(spec: &PodSpec, executor: ExecutorKind) -> Result<PodHooks, HookError> {
    for container in spec.init_containers.iter().flatten() {
        if let Some((kind, _)) = declared(container).next() {
            return Err(HookError::new(container, kind.as_str(), HookFault::InitContainer));
        }
    }
    let reach = Reach::of(spec, executor);
    let mut pod = PodHooks::default();
    for container in &spec.containers {
        let name = container.name.clone();
        let mut hooks = ContainerHooks { container: name, post_start: None, pre_stop: None };
        for (kind, handler) in declared(container) {
            let error = |fault| HookError::new(container, kind.as_str(), fault);
            let hook = match read(handler, container, reach) {
                Ok(hook) => hook,
                Err(fault @ HookFault::Handler(ProbeFault::NotPublished { .. })) => {
                    pod.unreachable.push(error(fault).to_string());
                    continue;
                }
                Err(fault) => return Err(error(fault)),
            };
            let place = match kind {
                HookKind::PostStart => &mut hooks.post_start,
                HookKind::PreStop => &mut hooks.pre_stop,
            };
            *place = Some(hook);
        }
        if hooks.post_start.is_some() || hooks.pre_stop.is_some() {
            pod.containers.push(hooks);
        }
    }
    Ok(pod)
}

fn declared(container: &Container) -> impl Iterator<Item = (HookKind, &LifecycleHandler)> {
    let lifecycle = container.lifecycle.as_ref();
    let post_start = lifecycle.and_then(|it| it.post_start.as_ref());
    let pre_stop = lifecycle.and_then(|it| it.pre_stop.as_ref());
    let post_start = post_start.map(|it| (HookKind::PostStart, it));
    post_start.into_iter().chain(pre_stop.map(|it| (HookKind::PreStop, it)))
}

fn read(
    handler: &LifecycleHandler,
    container: &Container,
    reach: Reach,
) -> Result<Hook, HookFault> {
    if handler.tcp_socket.is_some() {
        return Err(HookFault::TcpSocket);
    }
    match (&handler.exec, &handler.http_get, &handler.sleep) {
        (Some(command), None, None) => Ok(Hook::Check(exec(command)?)),
        (None, Some(get), None) => Ok(Hook::Check(Check::Http(http(get, container, reach)?))),
        (None, None, Some(sleep)) => {
            let seconds = u64::try_from(sleep.seconds).map_err(|_| HookFault::NegativeSleep)?;
            Ok(Hook::Sleep(Duration::from_secs(seconds)))
        }
        (None, None, None) => Err(HookFault::NoHandler),
        _ => Err(HookFault::SeveralHandlers),
    }
}

#[cfg(test)]
mod tests;
