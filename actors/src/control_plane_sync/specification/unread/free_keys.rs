//! Keys that no type lists, and that are not free all the same: names of resources, and annotations
//! for the agent.

use crate::control_plane_sync::specification::annotations;
use crate::yaml::{Node, Unread, UnreadKey, nearest};

/// The resources that a container may have by a name without a slash.
const RESOURCES: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// Others begin so.
const HUGE_PAGES: &str = "hugepages-";

/// Returns the amounts in the pod's specification at `spec` that are of no known resource.
pub(crate) fn unknown_resources(spec: &Node, path: &str) -> Vec<UnreadKey> {
    let mut unknown = Vec::new();
    of_owner(spec, path, &mut unknown);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = spec.get(list).and_then(Node::items).unwrap_or_default();
        for (index, container) in containers.iter().enumerate() {
            of_owner(container, &joined(path, &format!("{list}[{index}]")), &mut unknown);
        }
    }
    unknown
}

fn of_owner(owner: &Node, path: &str, unknown: &mut Vec<UnreadKey>) {
    for list in ["limits", "requests"] {
        let amounts = owner.get("resources").and_then(|resources| resources.get(list));
        for (key, _) in amounts.map(Node::entries).unwrap_or_default() {
            let name = key.text().unwrap_or_default();
            let is_known =
                RESOURCES.contains(&name) || name.starts_with(HUGE_PAGES) || name.contains('/');
            if !is_known {
                let path = joined(path, &format!("resources.{list}.{name}"));
                unknown.push(unread(key, path, name, nearest(name, RESOURCES)));
            }
        }
    }
}

/// Returns the annotations below `metadata`, that of what is at `path`, that are meant for the agent, as
/// it seems, and are none that it knows.
pub(crate) fn unknown_annotations(metadata: &Node, path: &str) -> Vec<UnreadKey> {
    let annotations = metadata.get("annotations").map(Node::entries).unwrap_or_default();
    let unknown = annotations.iter().filter_map(|(key, _)| {
        let name = key.text().unwrap_or_default();
        let near = annotations::meant(name)?;
        let path = joined(path, &format!("metadata.annotations.{name}"));
        Some(unread(key, path, name, near))
    });
    unknown.collect()
}

fn unread(key: &Node, path: String, name: &str, near: Option<&'static str>) -> UnreadKey {
    UnreadKey { at: key.at(), path, key: name.to_owned(), what: Unread::Unknown(near) }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
