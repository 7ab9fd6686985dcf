//! Users, groups, and what they may do.
//!
//! By "Configure a Security Context for a Pod or Container" of Kubernetes' documentation, whose example the
//! first pod is, and kubelet's `SetVolumeOwnership`. Capabilities are numbered as in the kernel's
//! `linux/capability.h`.

use serde_json::{Value, json};

use super::{Case, Row};

const GROUPS: &str = "id -G | tr ' ' '\\n' | sort -n";

pub(super) fn cases() -> Vec<Case> {
    vec![of_pod(), of_volumes(), of_containers()]
}

fn of_pod() -> Case {
    let wide: &[Row] = &[
        ("runAsUser of the pod", "id -u", "1000"),
        ("runAsGroup of the pod", "id -g", "3000"),
        ("supplementalGroups", GROUPS, "3000 4000"),
    ];
    let own: &[Row] = &[
        ("runAsUser of the container", "id -u", "1234"),
        ("runAsGroup of the container", "id -g", "1235"),
        ("supplementalGroups", GROUPS, "1235 4000"),
    ];
    Case::of(
        "groups",
        vec![
            ("wide", json!({}), wide),
            ("own", json!({"securityContext": {"runAsUser": 1234, "runAsGroup": 1235}}), own),
        ],
        json!({"securityContext":
            {"runAsUser": 1000, "runAsGroup": 3000, "supplementalGroups": [4000]}}),
    )
}

/// Root's only: a user's podman has no such group to give, which is told.
fn of_volumes() -> Case {
    let mounts = json!([
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "login", "mountPath": "/login"},
        {"name": "app", "mountPath": "/app"},
    ]);
    let rows: &[Row] = &[
        ("fsGroup: the processes", GROUPS, "2000 3000 4000"),
        ("fsGroup: an emptyDir", "stat -c '%g %a' /scratch", "2000 2777"),
        ("fsGroup: a new file", "touch /scratch/a; stat -c '%u %g' /scratch/a", "1000 2000"),
        ("fsGroup: a secret of mode 0400", "stat -Lc '%g %a' /login/user", "2000 440"),
        ("fsGroup: its content", "cat /login/user", "admin"),
        ("fsGroup: a config map", "stat -Lc '%g %a' /app/level", "2000 644"),
    ];
    let case = Case::of(
        "fs-group",
        vec![("main", json!({"volumeMounts": mounts}), rows)],
        json!({
            "securityContext": {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000,
                "supplementalGroups": [4000]},
            "volumes": [
                {"name": "scratch", "emptyDir": {}},
                {"name": "login", "secret": {"secretName": "login", "defaultMode": 0o400}},
                {"name": "app", "configMap": {"name": "app"}},
            ],
        }),
    );
    Case { needs_root: true, ..case }
}

fn of_containers() -> Case {
    let secured = |context: Value| json!({"securityContext": context});
    let plain: &[Row] = &[
        ("nobody is named", "id -u; id -g", "0 0"),
        ("allowPrivilegeEscalation by default", "status NoNewPrivs", "0"),
        ("readOnlyRootFilesystem by default", "write /x", "written"),
        ("privileged by default", "capability 21", "0"),
    ];
    let user: &[Row] = &[
        ("runAsUser alone", "id -u; id -g", "1000 0"),
        ("allowPrivilegeEscalation: false", "status NoNewPrivs", "1"),
        ("capabilities: one added for a user", "capability 12", "0"),
        ("capabilities: others of a user", "capability 0", "0"),
    ];
    let bound: &[Row] = &[
        ("capabilities: all dropped, one added", "status CapEff", "0000000000000400"),
        ("readOnlyRootFilesystem", "write /x", "refused"),
        ("readOnlyRootFilesystem: /tmp", "write /tmp/x", "refused"),
    ];
    let changed: &[Row] = &[
        ("capabilities: one added", "capability 25", "1"),
        ("capabilities: one dropped", "capability 0", "0"),
        ("capabilities: others", "capability 1", "1"),
    ];
    let drop_all = json!({"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]});
    let network = json!({"add": ["NET_ADMIN"]});
    Case::of(
        "secured",
        vec![
            ("plain", json!({}), plain),
            (
                "user",
                secured(json!({"runAsUser": 1000, "allowPrivilegeEscalation": false,
                    "capabilities": network})),
                user,
            ),
            (
                "bound",
                secured(json!({"capabilities": drop_all, "readOnlyRootFilesystem": true})),
                bound,
            ),
            (
                "changed",
                secured(json!({"capabilities": {"drop": ["CHOWN"], "add": ["SYS_TIME"]}})),
                changed,
            ),
            (
                "privileged",
                secured(json!({"privileged": true})),
                &[("privileged", "capability 21", "1")],
            ),
        ],
        json!({}),
    )
}
