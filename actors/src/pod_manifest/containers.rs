//! The containers of a pod, and what podman is not given of them.

mod ignored;
pub(super) mod newer;
pub(super) mod non_root;

use k8s_openapi::api::core::v1::{Container, PodSpec};

pub(super) use ignored::ignored;

/// Returns every container of a pod, init containers first.
pub(super) fn all(spec: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    let init = spec.init_containers.iter_mut().flatten();
    init.chain(spec.containers.iter_mut())
}

/// podman 4.3 publishes every container port, and refuses any beside the host's network.
pub(super) fn keep_host_ports(container: &mut Container, host_network: bool) {
    if let Some(ports) = &mut container.ports {
        ports.retain(|port| !host_network && port.host_port.is_some());
    }
    container.ports.take_if(|ports| ports.is_empty());
}

/// The agent runs the probes and the hooks; see [`super::probes`] and [`super::hooks`].
pub(super) fn drop_probes_and_hooks(container: &mut Container, warnings: &mut Vec<String>) {
    container.liveness_probe = None;
    container.readiness_probe = None;
    container.startup_probe = None;
    let lifecycle = container.lifecycle.take();
    if lifecycle.is_some_and(|it| it.stop_signal.is_some()) {
        let name = &container.name;
        warnings.push(format!("container {name}: lifecycle.stopSignal is ignored on podman"));
    }
}
