//! Which kinds of documents are read, and what is said of the others.

use super::plain::PlainKind;
use crate::workload::EventReason;
use crate::yaml::{Node, Position, nearest};

/// Kinds that are read, but for the plain ones.
const OWN: [&str; 5] = ["EdgeDevice", "EdgeWorkload", "ConfigMap", "Secret", "List"];
/// Kinds that run something, which is not run here.
const WORKLOADS: &[&str] = &["ReplicaSet", "ReplicationController", "StatefulSet"];

/// What a document is.
pub(super) enum Kind {
    EdgeDevice,
    EdgeWorkload,
    /// One of Kubernetes' own that runs a pod.
    Plain(PlainKind),
    ConfigMap,
    Secret,
    /// Of any of them.
    List,
    /// It concerns others.
    Other(String),
}

/// Returns the kind of a document.
///
/// # Errors
/// It has none.
pub(super) fn kind(document: &Node) -> Result<Kind, String> {
    let kind = document.get("kind").and_then(Node::text).unwrap_or_default();
    match kind {
        "EdgeDevice" => Ok(Kind::EdgeDevice),
        "EdgeWorkload" => Ok(Kind::EdgeWorkload),
        "ConfigMap" => Ok(Kind::ConfigMap),
        "Secret" => Ok(Kind::Secret),
        "List" => Ok(Kind::List),
        "" => {
            let keys = document.entries().iter().filter_map(|(key, _)| key.text());
            let slip = keys.into_iter().find(|key| nearest(key, &["kind"]).is_some());
            let hint = slip.map(|slip| format!("; did you mean kind by {slip}?"));
            Err(format!("it has no kind, at {}{}", document.at(), hint.unwrap_or_default()))
        }
        other => {
            let plain = PlainKind::ALL.into_iter().find(|plain| plain.as_str() == other);
            Ok(plain.map_or_else(|| Kind::Other(other.to_owned()), Kind::Plain))
        }
    }
}

/// Says what becomes of a document of a kind that is not read, and whether that is wrong.
pub(super) fn ignored(kind: &str, name: &str, at: Position) -> (EventReason, String) {
    let document = format!("{kind} {name:?} at {at}");
    let known: Vec<_> = OWN.into_iter().chain(PlainKind::ALL.map(PlainKind::as_str)).collect();
    match nearest(kind, &known).filter(|_| !WORKLOADS.contains(&kind)) {
        Some(near) => {
            (EventReason::ManifestRefused, format!("{document} is not read; did you mean {near}?"))
        }
        None if WORKLOADS.contains(&kind) => (
            EventReason::ManifestRefused,
            format!(
                "{document} is not run; make it a Deployment, or put its pod into an EdgeWorkload"
            ),
        ),
        None => (
            EventReason::ManifestIgnored,
            format!("{document} is ignored; read are {}", known.join(", ")),
        ),
    }
}
