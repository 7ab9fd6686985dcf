//! Fields that older podmans ignore without a word. Which podman knew them first is by its sources.

use k8s_openapi::api::core::v1::PodSpec;

use crate::pod_manifest::ManifestError;

type Version = (u32, u32);

/// The pod runs among the device's own processes.
const HOST_PID: Version = (4, 4);
const HOST_IPC: Version = (4, 5);
const SYSCTLS: Version = (4, 5);
const PROC_MOUNT: Version = (4, 7);
/// A resource that is the name of a device: `podman.io/device=/dev/ttyS0`.
const DEVICES: Version = (5, 4);

/// Checks that the podman of that version knows what `pod` asks for. Where the version is not known, what
/// it needs is noted in `warnings`.
///
/// # Errors
/// It does not.
pub(in crate::pod_manifest) fn check(
    pod: &PodSpec,
    found: Option<Version>,
    warnings: &mut Vec<String>,
) -> Result<(), ManifestError> {
    for (field, needed) in asked(pod) {
        match found {
            None => {
                let (major, minor) = needed;
                warnings.push(format!("{field} needs podman {major}.{minor} or later"));
            }
            Some(found) if found < needed => {
                return Err(ManifestError::OlderPodman { field, needed, found });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns the fields that `pod` sets, with the version that they need.
fn asked(pod: &PodSpec) -> Vec<(String, Version)> {
    let mut asked = Vec::new();
    let security = pod.security_context.as_ref();
    let sysctls = security.and_then(|it| it.sysctls.as_ref());
    for (is_asked, field, needed) in [
        (pod.host_pid == Some(true), "hostPID", HOST_PID),
        (pod.host_ipc == Some(true), "hostIPC", HOST_IPC),
        (sysctls.is_some_and(|list| !list.is_empty()), "securityContext.sysctls", SYSCTLS),
    ] {
        if is_asked {
            asked.push((field.to_owned(), needed));
        }
    }
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        let name = &container.name;
        let security = container.security_context.as_ref();
        let proc_mount = security.and_then(|it| it.proc_mount.as_deref());
        if proc_mount.is_some_and(|it| it == "Unmasked") {
            asked.push((format!("container {name}: securityContext.procMount"), PROC_MOUNT));
        }
        let resources = container.resources.as_ref();
        let lists = resources.into_iter().flat_map(|it| [&it.limits, &it.requests]);
        let names = lists.flatten().flat_map(|amounts| amounts.keys());
        for device in names.filter(|name| name.contains('=')) {
            asked
                .push((format!("container {name}: the device {device} of its resources"), DEVICES));
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_podman_is_not_given_what_it_would_ignore() {
        let container = |more| json!({"containers": [more]});
        let security = |more| container(json!({"name": "a", "securityContext": more}));
        let sysctls = json!([{"name": "net.core.somaxconn", "value": "1024"}]);
        for (pod, version, field) in [
            (json!({"containers": [], "hostPID": true}), (4, 4), "hostPID"),
            (json!({"containers": [], "hostIPC": true}), (4, 5), "hostIPC"),
            (
                json!({"containers": [], "securityContext": {"sysctls": sysctls}}),
                (4, 5),
                "securityContext.sysctls",
            ),
            (
                security(json!({"procMount": "Unmasked"})),
                (4, 7),
                "container a: securityContext.procMount",
            ),
            (
                container(
                    json!({"name": "a", "resources": {"limits": {"podman.io/device=/dev/x": 1}}}),
                ),
                (5, 4),
                "container a: the device podman.io/device=/dev/x of its resources",
            ),
        ] {
            let pod = serde_json::from_value(pod).unwrap();
            let mut warnings = Vec::new();
            let error = check(&pod, Some((4, 3)), &mut warnings).unwrap_err().to_string();
            let (major, minor) = version;
            let needs = format!("{field} needs podman {major}.{minor} or later");
            assert_eq!(error, format!("{needs}, and this is 4.3: leave it out, or upgrade podman"));
            assert_eq!(check(&pod, Some(version), &mut warnings), Ok(()));
            assert_eq!(warnings, [""; 0]);
            assert_eq!(check(&pod, None, &mut warnings), Ok(()));
            assert_eq!(warnings, [needs]);
        }
        let plain = serde_json::from_value(json!({"hostPID": false,
            "securityContext": {"sysctls": []},
            "containers": [{"name": "a", "securityContext": {"procMount": "Default"}}]}));
        assert_eq!(check(&plain.unwrap(), Some((4, 3)), &mut Vec::new()), Ok(()));
    }
}
