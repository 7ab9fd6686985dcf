//! Which fields of podman's answers are shown to people: those that are known to hold no secret. Pure.
//!
//! A field that is not listed is left out, so that one that a later podman adds is not shown unreviewed.
//! Left out on purpose: variables, commands and arguments, entry points, annotations, labels but the
//! agent's own, health checks, words about an error (they quote commands), options of volumes and of
//! drivers.

use serde_json::{Map, Value};

/// Separates the names on the way to a field. Lists are passed through.
const SEPARATOR: char = '.';
/// Stands for every name.
const EVERY: &str = "*";

/// Fields of `info`.
pub(super) const INFO: &[&str] = &[
    "host.arch",
    "host.buildahVersion",
    "host.cgroupControllers",
    "host.cgroupManager",
    "host.cgroupVersion",
    "host.conmon.*",
    "host.cpuUtilization.*",
    "host.cpus",
    "host.databaseBackend",
    "host.distribution.*",
    "host.eventLogger",
    "host.hostname",
    "host.idMappings.gidmap.*",
    "host.idMappings.uidmap.*",
    "host.kernel",
    "host.logDriver",
    "host.memFree",
    "host.memTotal",
    "host.networkBackend",
    "host.networkBackendInfo.backend",
    "host.networkBackendInfo.package",
    "host.networkBackendInfo.path",
    "host.networkBackendInfo.version",
    "host.ociRuntime.*",
    "host.os",
    "host.pasta.*",
    "host.remoteSocket.*",
    "host.rootlessNetworkCmd",
    "host.security.*",
    "host.serviceIsRemote",
    "host.slirp4netns.*",
    "host.swapFree",
    "host.swapTotal",
    "host.uptime",
    "plugins.*",
    "registries.search",
    "store.configFile",
    "store.containerStore.*",
    "store.graphDriverName",
    "store.graphRoot",
    "store.graphRootAllocated",
    "store.graphRootUsed",
    "store.graphStatus.*",
    "store.imageCopyTmpDir",
    "store.imageStore.*",
    "store.runRoot",
    "store.transientStore",
    "store.volumePath",
    "version.*",
];

/// Fields of `version`.
pub(super) const VERSION: &[&str] = &[
    "ApiVersion",
    "Arch",
    "BuildTime",
    "Components.Details.*",
    "Components.Name",
    "Components.Version",
    "GitCommit",
    "GoVersion",
    "KernelVersion",
    "MinAPIVersion",
    "Os",
    "Platform.Name",
    "Version",
];

/// Fields of `pods/json`.
pub(super) const PODS: &[&str] = &[
    "Cgroup",
    "Containers.Id",
    "Containers.Names",
    "Containers.RestartCount",
    "Containers.Status",
    "Created",
    "Id",
    "InfraId",
    "Labels.device-worker-ng/boot-id",
    "Labels.device-worker-ng/containers",
    "Labels.device-worker-ng/device",
    "Labels.device-worker-ng/id",
    "Labels.device-worker-ng/workload",
    "Name",
    "Namespace",
    "Networks",
    "Status",
];

/// Fields of `containers/json`.
pub(super) const CONTAINERS: &[&str] = &[
    "AutoRemove",
    "Created",
    "CreatedAt",
    "ExitCode",
    "Exited",
    "ExitedAt",
    "Id",
    "Image",
    "ImageID",
    "IsInfra",
    "Labels.device-worker-ng/boot-id",
    "Labels.device-worker-ng/containers",
    "Labels.device-worker-ng/device",
    "Labels.device-worker-ng/id",
    "Labels.device-worker-ng/workload",
    "Mounts",
    "Names",
    "Networks",
    "Pid",
    "Pod",
    "PodName",
    "Ports.*",
    "Restarts",
    "StartedAt",
    "State",
    "Status",
];

/// Fields of `containers/{id}/json`.
pub(super) const CONTAINER: &[&str] = &[
    "BoundingCaps",
    "Created",
    "Driver",
    "EffectiveCaps",
    "HostConfig.AutoRemove",
    "HostConfig.BlkioWeight",
    "HostConfig.CapAdd",
    "HostConfig.CapDrop",
    "HostConfig.CgroupManager",
    "HostConfig.CgroupMode",
    "HostConfig.CgroupParent",
    "HostConfig.CpuPeriod",
    "HostConfig.CpuQuota",
    "HostConfig.CpuShares",
    "HostConfig.CpusetCpus",
    "HostConfig.Devices.*",
    "HostConfig.Dns",
    "HostConfig.IpcMode",
    "HostConfig.LogConfig.Path",
    "HostConfig.LogConfig.Size",
    "HostConfig.LogConfig.Type",
    "HostConfig.Memory",
    "HostConfig.MemoryReservation",
    "HostConfig.MemorySwap",
    "HostConfig.NanoCpus",
    "HostConfig.NetworkMode",
    "HostConfig.OomKillDisable",
    "HostConfig.OomScoreAdj",
    "HostConfig.PidMode",
    "HostConfig.PidsLimit",
    "HostConfig.Privileged",
    "HostConfig.ReadonlyRootfs",
    "HostConfig.RestartPolicy.*",
    "HostConfig.SecurityOpt",
    "HostConfig.ShmSize",
    "HostConfig.UsernsMode",
    "HostConfig.UTSMode",
    "HostConfig.Ulimits.*",
    "Id",
    "Image",
    "ImageDigest",
    "ImageName",
    "IsInfra",
    "MountLabel",
    "Mounts.Destination",
    "Mounts.Driver",
    "Mounts.Mode",
    "Mounts.Name",
    "Mounts.Propagation",
    "Mounts.RW",
    "Mounts.Source",
    "Mounts.Type",
    "Name",
    "Namespace",
    "NetworkSettings.Gateway",
    "NetworkSettings.IPAddress",
    "NetworkSettings.IPPrefixLen",
    "NetworkSettings.Networks.*.Gateway",
    "NetworkSettings.Networks.*.IPAddress",
    "NetworkSettings.Networks.*.IPPrefixLen",
    "NetworkSettings.Networks.*.NetworkID",
    "NetworkSettings.Ports.*.HostIp",
    "NetworkSettings.Ports.*.HostPort",
    "OCIRuntime",
    "Pod",
    "ProcessLabel",
    "RestartCount",
    "Rootfs",
    "State.CgroupPath",
    "State.CheckpointedAt",
    "State.ConmonPid",
    "State.Dead",
    "State.ExitCode",
    "State.FinishedAt",
    "State.Health.FailingStreak",
    "State.Health.Status",
    "State.Healthcheck.FailingStreak",
    "State.Healthcheck.Status",
    "State.OOMKilled",
    "State.OciVersion",
    "State.Paused",
    "State.Pid",
    "State.Restarting",
    "State.Running",
    "State.StartedAt",
    "State.Status",
];

/// Fields of `images/json`.
pub(super) const IMAGES: &[&str] = &[
    "Arch",
    "Containers",
    "Created",
    "Dangling",
    "Digest",
    "Id",
    "IsManifestList",
    "Names",
    "Os",
    "ParentId",
    "ReadOnly",
    "RepoDigests",
    "RepoTags",
    "SharedSize",
    "Size",
    "VirtualSize",
];

/// Fields of `volumes/json`.
pub(super) const VOLUMES: &[&str] = &[
    "Anonymous",
    "CreatedAt",
    "Driver",
    "GID",
    "MountCount",
    "Mountpoint",
    "Name",
    "NeedsChown",
    "NeedsCopyUp",
    "Scope",
    "UID",
];

/// Returns `answer` with the fields alone that `fields` lead to.
pub(super) fn shown(answer: &Value, fields: &[&str]) -> Value {
    match answer {
        Value::Array(items) => items.iter().map(|item| shown(item, fields)).collect(),
        Value::Object(all) => {
            let kept = all.iter().filter_map(|(name, value)| {
                let rests: Vec<&str> = fields.iter().filter_map(|it| within(it, name)).collect();
                let is_end = rests.iter().any(|rest| rest.is_empty());
                let value = match (rests.is_empty(), is_end) {
                    (true, _) => return None,
                    (false, true) => plain(value)?,
                    (false, false) => shown(value, &rests),
                };
                Some((name.clone(), value))
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Null => Value::Null,
        // A field was expected to have others within it.
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}

/// Returns what is left of the way `field` behind `name`, if it leads there.
fn within<'a>(field: &'a str, name: &str) -> Option<&'a str> {
    let (first, rest) = field.split_once(SEPARATOR).unwrap_or((field, ""));
    (first == name || first == EVERY).then_some(rest)
}

/// Returns a value, or a list of such; nothing that has fields of its own.
fn plain(value: &Value) -> Option<Value> {
    let has_fields = |value: &Value| value.is_object() || value.is_array();
    match value {
        Value::Object(_) => None,
        Value::Array(items) if items.iter().any(has_fields) => None,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Some(value.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_listed_is_shown_and_nothing_else() {
        for (answer, fields, expected) in [
            (json!(null), &["A"][..], json!(null)),
            (json!({"A": 1, "B": 2}), &["A"], json!({"A": 1})),
            (json!([{"A": 1}, {"B": 2}]), &["A"], json!([{"A": 1}, {}])),
            (json!({"A": {"B": 1, "C": 2}}), &["A.B"], json!({"A": {"B": 1}})),
            // A value in the place of one with fields, and the other way round.
            (json!({"A": "secret"}), &["A.B"], json!({"A": null})),
            (json!({"A": {"secret": 1}}), &["A"], json!({})),
            (json!({"A": [{"secret": 1}]}), &["A"], json!({})),
            (json!({"A": [["secret"]]}), &["A"], json!({})),
            (json!({"A": ["x", 1, null]}), &["A"], json!({"A": ["x", 1, null]})),
            (json!({"A": {"x": 1, "y": {"z": 2}}}), &["A.*"], json!({"A": {"x": 1}})),
            (
                json!({"A": {"x": [{"B": 1, "C": 2}], "y": null}}),
                &["A.*.B"],
                json!({"A": {"x": [{"B": 1}], "y": null}}),
            ),
            (json!({"A": {"B": 1, "C": 2}, "D": 3}), &["A.C", "D"], json!({"A": {"C": 2}, "D": 3})),
            (json!("secret"), &["A"], json!(null)),
        ] {
            assert_eq!(shown(&answer, fields), expected, "{answer} {fields:?}");
        }
    }

    #[test]
    fn of_a_container_no_place_that_may_hold_a_secret_is_shown() {
        let secret = "planted-hunter2";
        let answer = json!({
            "Id": "10a9",
            "Name": "web-1-main",
            "Args": [secret],
            "Path": secret,
            "Config": {
                "Env": [format!("PASSWORD={secret}")],
                "Cmd": [secret],
                "Entrypoint": secret,
                "Labels": {"a": secret},
                "Annotations": {"a": secret},
                "CreateCommand": [secret],
                "Healthcheck": {"Test": ["CMD", secret]},
                "Secrets": [{"Name": secret}],
                "StopSignal": 15,
            },
            "HostConfig": {
                "Memory": 1024,
                "Binds": ["/a:/b"],
                "Annotations": {"a": secret},
                "LogConfig": {"Type": "k8s-file", "Config": {"a": secret}, "Tag": secret},
                "ExtraHosts": [secret],
            },
            "Mounts": [{"Source": "/a", "Destination": "/b", "Options": [secret]}],
            "State": {
                "Status": "exited",
                "Error": format!("exec {secret}: not found"),
                "Health": {"Status": "healthy", "Log": [{"Output": secret}]},
            },
        });
        assert_eq!(
            shown(&answer, CONTAINER),
            json!({
                "Id": "10a9",
                "Name": "web-1-main",
                "HostConfig": {"Memory": 1024, "LogConfig": {"Type": "k8s-file"}},
                "Mounts": [{"Source": "/a", "Destination": "/b"}],
                "State": {"Status": "exited", "Health": {"Status": "healthy"}},
            })
        );
    }

    #[test]
    fn of_lists_no_command_no_label_of_others_and_no_option_is_shown() {
        let secret = "planted-hunter2";
        let row = json!([{
            "Id": "1", "Command": [secret], "Labels": {"a": secret, "device-worker-ng/id": "w-1"},
            "Options": {"o": secret}, "Status": {"a": secret}, "History": [secret],
        }]);
        for (fields, expected) in [
            (CONTAINERS, json!([{"Id": "1", "Labels": {"device-worker-ng/id": "w-1"}}])),
            (PODS, json!([{"Id": "1", "Labels": {"device-worker-ng/id": "w-1"}}])),
            (IMAGES, json!([{"Id": "1"}])),
            (VOLUMES, json!([{}])),
        ] {
            assert_eq!(shown(&row, fields), expected);
        }
    }
}
