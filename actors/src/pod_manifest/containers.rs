//! The containers of a pod, and what podman is not given of them.

use k8s_openapi::api::core::v1::{Container, PodSpec};

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

/// podman runs probes only under systemd, and then acts on them itself.
pub(super) fn drop_probes(container: &mut Container, warnings: &mut Vec<String>) {
    let probes = [
        ("livenessProbe", container.liveness_probe.take().is_some()),
        ("readinessProbe", container.readiness_probe.take().is_some()),
        ("startupProbe", container.startup_probe.take().is_some()),
        ("lifecycle", container.lifecycle.take().is_some()),
    ];
    for (probe, _) in probes.into_iter().filter(|(_, present)| *present) {
        let name = &container.name;
        warnings.push(format!("container {name}: {probe} is ignored on podman"));
    }
}
