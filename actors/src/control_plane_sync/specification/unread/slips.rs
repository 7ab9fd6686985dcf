//! Keys of a specification that were not read as they are written: how they are reported, and which of
//! them would loosen a gate or a security setting.

use crate::control_plane_sync::specification::annotations;
use crate::workload::EventReason;
use crate::yaml::{Unread, UnreadKey, nearest};

/// What holds a workload back or confines it. Without it the workload runs where, when or as whom its
/// author did not mean.
const GUARDS: &[&str] = &[
    "profiles",
    "conditions",
    "cron",
    "rootless",
    "after",
    "deviceSelector",
    "securityContext",
    "resources",
    "annotations",
];
/// The same, where they are the nearest known key only: alone they resemble too much.
const GUARDS_IN_PLACE: &[&str] = &[
    "device",
    "matchLabels",
    "matchExpressions",
    "readOnly",
    "recursiveReadOnly",
    "hostUsers",
    "automountServiceAccountToken",
    // It holds the annotations.
    "metadata",
    // With these its author may let it rest.
    "suspend",
    "replicas",
    "parallelism",
    "completions",
    "pullWhen",
    "replaceWhen",
    "protected",
    "yield",
    "device-worker-ng/protected",
    "device-worker-ng.protected",
    "device-worker-ng/yield",
    "device-worker-ng.yield",
    "device-worker-ng/pull-when",
    "device-worker-ng.pull-when",
    "device-worker-ng/replace-when",
    "device-worker-ng.replace-when",
    "device-worker-ng/after",
    "device-worker-ng.after",
    "device-worker-ng/profiles",
    "device-worker-ng.profiles",
    "device-worker-ng/cron",
    "device-worker-ng.cron",
    "device-worker-ng/rootless",
    "device-worker-ng.rootless",
];
/// Whatever is not known within these changes what they say.
const GUARDED: &[&str] = &[
    "profiles",
    "conditions",
    "pullWhen",
    "replaceWhen",
    "securityContext",
    "resources",
    "deviceSelector",
];

/// Keys that mean a guard: those of other systems, and what belongs into one.
const STAND_FOR: &[(&str, &[&str])] = &[
    ("cron", &["schedule", "crontab"]),
    ("after", &["dependsOn", "requires"]),
    ("conditions", &["when"]),
    ("annotations", &["metadata"]),
    ("resources", &["limits", "requests"]),
    (
        "securityContext",
        &[
            "allowPrivilegeEscalation",
            "appArmorProfile",
            "capabilities",
            "privileged",
            "procMount",
            "readOnlyRootFilesystem",
            "runAsGroup",
            "runAsNonRoot",
            "runAsUser",
            "seLinuxOptions",
            "seccompProfile",
        ],
    ),
];

/// What an annotation for the agent may be that is not known, and resembles none.
const ANY_ANNOTATION: &str = "an annotation device-worker-ng/profiles, cron or rootless";

/// How a kind of document says what holds its workload back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GatesAs {
    /// As an EdgeWorkload does.
    Fields,
    /// As Kubernetes' own kinds do.
    Annotations,
}

/// Returns the guard that is lost with `unread`, if one may be.
pub(crate) fn lost_guard(unread: &UnreadKey) -> Option<&'static str> {
    let Unread::Unknown(near) = unread.what else { return None };
    let within = |guard: &&&str| {
        let outer = unread.path.strip_suffix(&unread.key).unwrap_or_default();
        let keys = outer.split('.').map(|key| key.split('[').next().unwrap_or_default());
        keys.into_iter().any(|key| key == **guard)
    };
    let named = || {
        let known = [GUARDS, GUARDS_IN_PLACE].concat();
        near.filter(|near| known.contains(near))
    };
    let stands_for = || {
        let mut all = STAND_FOR.iter();
        all.find(|(_, names)| nearest(&unread.key, names).is_some()).map(|(guard, _)| *guard)
    };
    (GUARDED.iter().rev().find(within).copied())
        .or_else(named)
        .or_else(|| annotations::is_ours(&unread.key).then(|| near.unwrap_or(ANY_ANNOTATION)))
        .or_else(|| nearest(&unread.key, GUARDS))
        .or_else(stands_for)
}

/// Says what `unread` is, and what was meant.
pub(crate) fn told(unread: &UnreadKey, gates: GatesAs) -> (EventReason, String) {
    let UnreadKey { at, path, .. } = unread;
    match unread.what {
        Unread::ReadAs(meant) => (
            EventReason::ManifestAdjusted,
            format!("{path} at {at} is read as {meant}; write it so"),
        ),
        Unread::Unknown(near) => {
            let hint = match (near, lost_guard(unread)) {
                (Some(near), _) => format!("did you mean {near}?"),
                (None, Some(guard)) => format!("did you mean {}?", place(guard, gates)),
                (None, None) => "it is ignored".to_owned(),
            };
            (EventReason::FieldUnknown, format!("{path} at {at} is not known; {hint}"))
        }
    }
}

/// Says why a workload is not started that has such keys.
pub(crate) fn refusal(lost: &UnreadKey, guard: &str, gates: GatesAs) -> String {
    let UnreadKey { at, path, .. } = lost;
    format!(
        "{path} at {at} is not known, and without {} the workload would run other than it may; it is \
         not started until that is mended",
        place(guard, gates)
    )
}

/// Names a guard with the place where it belongs.
fn place(guard: &str, gates: GatesAs) -> &str {
    match (guard, gates) {
        ("profiles", GatesAs::Fields) => "spec.profiles",
        ("profiles", GatesAs::Annotations) => "the annotation device-worker-ng/profiles",
        ("conditions", GatesAs::Fields) => "the conditions of spec.profiles",
        ("conditions", GatesAs::Annotations) => {
            "the conditions of the annotation device-worker-ng/profiles"
        }
        ("cron", GatesAs::Fields) => "spec.cron",
        ("cron", GatesAs::Annotations) => {
            "the annotation device-worker-ng/cron (of a CronJob, spec.schedule)"
        }
        ("rootless", GatesAs::Fields) => "spec.rootless",
        ("rootless", GatesAs::Annotations) => "the annotation device-worker-ng/rootless",
        ("after" | "device-worker-ng.after", _) => "the annotation device-worker-ng/after",
        ("deviceSelector", GatesAs::Fields) => "spec.deviceSelector",
        ("deviceSelector", GatesAs::Annotations) => "spec.deviceSelector of an EdgeWorkload",
        ("securityContext", _) => "securityContext of the pod's specification or of a container",
        ("resources", _) => "resources of a container",
        ("annotations", _) => "metadata.annotations",
        (other, _) => other,
    }
}
