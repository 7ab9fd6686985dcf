//! What a cluster says about our Deployments and their pods, as states of workloads.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::deployment::{ID_LABEL, WORKLOAD_LABEL, WRITTEN_LABEL};
use super::seen::{SeenDeployment, SeenPod};
use crate::workload::{CurrentState, ObservedPod, PodHealth, RunningContainer, WorkloadId};

/// Reasons for which a container waits while all is well.
const HEALTHY_WAITS: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Returns every workload that the cluster holds for this device, in order of id.
pub(super) fn observed(
    deployments: &[Arc<SeenDeployment>],
    pods: &[Arc<SeenPod>],
) -> Vec<ObservedPod> {
    let mut observed: Vec<ObservedPod> = deployments
        .iter()
        .filter_map(|deployment| {
            let id = id(&deployment.metadata)?;
            let pods: Vec<&SeenPod> = pods
                .iter()
                .map(AsRef::as_ref)
                .filter(|pod| belongs(pod, deployment, &id))
                .collect();
            Some(ObservedPod {
                workload: workload_name(&deployment.metadata, &id).into(),
                state: state(deployment, &pods),
                started_at: started_at(&pods),
                restarts: restarts(&pods),
                is_changed: is_changed(deployment),
                // The cluster runs the probes: a Deployment is available when its pod is ready.
                health: PodHealth::default(),
                containers: running(&pods),
                id,
            })
        })
        .collect();
    observed.sort_by(|a, b| a.id.cmp(&b.id));
    observed
}

/// Returns the id of the specification that an object belongs to.
pub(super) fn id(metadata: &ObjectMeta) -> Option<WorkloadId> {
    let id = metadata.labels.as_ref()?.get(ID_LABEL)?;
    Some(WorkloadId::from(id.as_str()))
}

/// Returns the name of the workload that an object with this id belongs to.
pub(super) fn workload_name<'a>(metadata: &'a ObjectMeta, id: &'a WorkloadId) -> &'a str {
    // The annotation is whole; the label may be cut.
    let annotation = metadata.annotations.as_ref();
    let annotation = annotation.and_then(|all| all.get(WORKLOAD_LABEL));
    let label = metadata.labels.as_ref();
    annotation
        .or_else(|| label.and_then(|all| all.get(WORKLOAD_LABEL)))
        .map_or(id.as_str(), String::as_str)
}

/// Returns whether something else changed a Deployment since the agent wrote it. Of one that an agent
/// wrote and died before it could record that, it is unknown.
pub(super) fn is_changed(deployment: &SeenDeployment) -> bool {
    let labels = deployment.metadata.labels.as_ref();
    let written = labels.and_then(|all| all.get(WRITTEN_LABEL));
    written.is_some_and(|written| *written != deployment.spec.hash)
}

/// Returns whether a Deployment makes no pods.
pub(super) fn is_scaled_to_nothing(deployment: &SeenDeployment) -> bool {
    deployment.spec.replicas == Some(0)
}

/// Returns whether a pod may have containers that run. One that was evicted, say, may lie there for
/// long.
pub(super) fn is_active(pod: &SeenPod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Succeeded" | "Failed"))
}

fn belongs(pod: &SeenPod, deployment: &SeenDeployment, of: &WorkloadId) -> bool {
    pod.metadata.namespace == deployment.metadata.namespace
        && id(&pod.metadata).as_ref() == Some(of)
}

/// | the Deployment                            | state      |
/// |-------------------------------------------|------------|
/// | is being deleted                          | Incomplete |
/// | is scaled to zero, its pods still end     | Incomplete |
/// | is scaled to zero                         | Suspended  |
/// | was changed and not yet looked at         | Starting   |
/// | has its replica available                 | Running    |
/// | has a container that fails                | Crashing   |
/// | cannot make pods, or makes no progress    | Crashing   |
/// | else                                      | Starting   |
fn state(deployment: &SeenDeployment, pods: &[&SeenPod]) -> CurrentState {
    if deployment.metadata.deletion_timestamp.is_some() {
        return incomplete("the Deployment is being deleted");
    }
    if is_scaled_to_nothing(deployment) {
        let message = "the Deployment was scaled to zero, and its pod still ends";
        let ends = pods.iter().any(|pod| is_active(pod));
        return if ends { incomplete(message) } else { CurrentState::Suspended };
    }
    let pods = &staying(pods)[..];
    let nothing = DeploymentStatus::default();
    let status = deployment.status.as_ref().unwrap_or(&nothing);
    if status.observed_generation < deployment.metadata.generation {
        return CurrentState::Starting;
    }
    if status.available_replicas > Some(0) && status.updated_replicas > Some(0) {
        return CurrentState::Running;
    }
    let failing = pods.iter().find_map(|pod| failing_container(pod));
    match failing.or_else(|| failing_condition(status, pods)) {
        Some(message) => CurrentState::Crashing { message },
        None => CurrentState::Starting,
    }
}

fn incomplete(message: &str) -> CurrentState {
    CurrentState::Incomplete { message: message.to_owned() }
}

/// Returns the pods that are not being deleted.
fn staying<'a>(pods: &[&'a SeenPod]) -> Vec<&'a SeenPod> {
    let pods = pods.iter().copied();
    pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect()
}

/// Returns why the first failing container of `pod` does not run.
fn failing_container(pod: &SeenPod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let init = status.init_container_statuses.iter().flatten();
    let init = init.filter_map(|container| failure(container, Kind::Init));
    let main = status.container_statuses.iter().flatten();
    let main = main.filter_map(|container| failure(container, Kind::Main));
    init.chain(main).next()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Init,
    Main,
}

fn failure(container: &ContainerStatus, kind: Kind) -> Option<String> {
    let name = &container.name;
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        if reason.is_empty() || HEALTHY_WAITS.contains(&reason) {
            return None;
        }
        // The message of a crash loop counts its delays; how the last run ended says more.
        let last = container.last_state.as_ref().and_then(ended);
        return Some(match (last, &waiting.message) {
            (Some((_, last)), _) => format!("container {name}: {reason}, last run {last}"),
            (None, Some(message)) => format!("container {name}: {reason}: {message}"),
            (None, None) => format!("container {name}: {reason}"),
        });
    }
    let (code, end) = ended(state)?;
    // An init container that ended well has done its work.
    (kind == Kind::Main || code != 0).then(|| format!("container {name} {end}"))
}

/// Returns exit code and description of a state that is an end.
fn ended(state: &ContainerState) -> Option<(i32, String)> {
    let end = state.terminated.as_ref()?;
    let mut text = format!("ended with code {}", end.exit_code);
    if let Some(reason) = &end.reason {
        text = format!("{text} ({reason})");
    }
    if let Some(message) = end.message.as_deref().map(str::trim)
        && !message.is_empty()
    {
        text = format!("{text}: {message}");
    }
    Some((end.exit_code, text))
}

fn failing_condition(status: &DeploymentStatus, pods: &[&SeenPod]) -> Option<String> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let has = |type_: &str, value: &str| {
        let mut all = conditions.iter();
        all.find(|one| one.type_ == type_ && one.status == value)
    };
    if let Some(condition) = has("ReplicaFailure", "True") {
        return Some(condition_text(condition));
    }
    let condition = has("Progressing", "False")?;
    let unscheduled = pods.iter().find_map(|pod| unscheduled(pod));
    Some(unscheduled.unwrap_or_else(|| condition_text(condition)))
}

fn condition_text(condition: &DeploymentCondition) -> String {
    let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
    match &condition.message {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    }
}

/// Returns why the cluster finds no node for `pod`.
fn unscheduled(pod: &SeenPod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let mut all = conditions.iter();
    let condition = all.find(|one| one.type_ == "PodScheduled" && one.status == "False")?;
    let reason = condition.reason.as_deref().unwrap_or("Unschedulable");
    let message = condition.message.as_deref().unwrap_or("no node takes the pod");
    Some(format!("{reason}: {message}"))
}

/// Returns how often the cluster restarted the containers of the present pod.
fn restarts(pods: &[&SeenPod]) -> u32 {
    let statuses = staying(pods).into_iter().filter_map(|pod| pod.status.as_ref());
    let containers = statuses.filter_map(|status| status.container_statuses.as_ref()).flatten();
    let counts = containers.map(|container| u32::try_from(container.restart_count).unwrap_or(0));
    counts.fold(0, u32::saturating_add)
}

/// Returns the containers that run, and what.
fn running(pods: &[&SeenPod]) -> Vec<RunningContainer> {
    let statuses = staying(pods).into_iter().filter_map(|pod| pod.status.as_ref());
    let containers = statuses.filter_map(|status| status.container_statuses.as_ref()).flatten();
    let running = containers
        .filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    let mut running: Vec<_> = running
        .map(|container| RunningContainer {
            name: container.name.clone(),
            image: container.image.clone(),
            // Without a name before it, it is the id of an image that came from no registry.
            digest: container.image_id.rsplit_once('@').map(|(_, digest)| digest.to_owned()),
        })
        .collect();
    running.sort_by(|a, b| a.name.cmp(&b.name));
    running
}

/// Returns when the youngest running container started.
fn started_at(pods: &[&SeenPod]) -> Option<DateTime<Utc>> {
    staying(pods)
        .into_iter()
        .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref())
        .flatten()
        .filter_map(|container| container.state.as_ref()?.running.as_ref()?.started_at.as_ref())
        .filter_map(|time| DateTime::from_timestamp(time.0.as_second(), 0))
        .max()
}

#[cfg(test)]
mod tests;
