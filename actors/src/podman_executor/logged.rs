//! Whose log a container's is, for those who read logs beside the agent. Pure.

use crate::pod_manifest::ID;
use crate::podman_executor::libpod::types::{ContainerRow, container_name};
use crate::podman_executor::pod_state::workload_name;

/// A container of a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedContainer {
    /// The workload's name.
    pub workload: String,
    /// The pod's name.
    pub pod: String,
    /// The name that the specification gives the container.
    pub name: String,
    /// podman's id of it.
    pub id: String,
}

/// Returns the containers of workloads among `rows`, in order of their pods and names. Anybody can write
/// labels: a pod's id must be its own name.
#[must_use]
pub fn logged_containers(rows: &[ContainerRow]) -> Vec<LoggedContainer> {
    let ours = rows.iter().filter(|row| row.labels.get(ID) == Some(&row.pod_name));
    let mut containers: Vec<_> = ours
        .map(|row| LoggedContainer {
            workload: workload_name(&row.labels, &row.pod_name).to_string(),
            pod: row.pod_name.clone(),
            name: container_name(row).to_owned(),
            id: row.id.clone(),
        })
        .collect();
    containers.sort_by(|a, b| (&a.pod, &a.name).cmp(&(&b.pod, &b.name)));
    containers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_manifest::WORKLOAD;

    #[test]
    fn a_container_is_told_by_the_names_of_its_specification() {
        let row = |pod: &str, name: &str, labels: &[(&str, &str)]| ContainerRow {
            id: format!("{name}-id"),
            names: vec![name.to_owned()],
            pod_name: pod.to_owned(),
            labels: labels
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect(),
            ..ContainerRow::default()
        };
        let web = [(ID, "web-01"), (WORKLOAD, "web")];
        let rows = [
            row("web-01", "web-01-proxy", &web),
            row("web-01", "web-01-app", &web),
            row("old-02", "old-02-main", &[(ID, "old-02")]),
            row("other", "other-main", &web),
            row("", "alone", &[]),
        ];
        let told = logged_containers(&rows);
        let told: Vec<_> = told
            .iter()
            .map(|it| [&it.workload, &it.pod, &it.name, &it.id].map(String::as_str))
            .collect();
        assert_eq!(
            told,
            [
                ["old-02", "old-02", "main", "old-02-main-id"],
                ["web", "web-01", "app", "web-01-app-id"],
                ["web", "web-01", "proxy", "web-01-proxy-id"],
            ]
        );
    }
}
