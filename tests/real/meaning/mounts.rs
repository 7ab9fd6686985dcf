//! Where volumes are mounted, and who sees what in them.
//!
//! By "Volumes" and "Persistent Volumes" of Kubernetes' documentation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::{Case, Row};
use crate::device::Device;

pub(super) fn cases(device: &Device) -> Vec<Case> {
    let host = device.path("host");
    fs::create_dir(&host).unwrap();
    fs::set_permissions(&host, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(host.join("file"), "of the host").unwrap();
    let host = host.display().to_string();
    let writer = json!([
        {"name": "shared", "mountPath": "/shared"},
        {"name": "shared", "mountPath": "/logs", "subPath": "logs/web"},
        {"name": "nested", "mountPath": "/shared/inner"},
        {"name": "claim", "mountPath": "/claim"},
        {"name": "host", "mountPath": "/host", "readOnly": true},
        {"name": "file", "mountPath": "/etc/of-host", "readOnly": true},
        {"name": "zero", "mountPath": "/dev/nil"},
    ]);
    let reader = json!([
        {"name": "shared", "mountPath": "/seen", "readOnly": true},
        {"name": "shared", "mountPath": "/own"},
        {"name": "claim", "mountPath": "/claim", "readOnly": true},
    ]);
    let written: &[Row] = &[
        ("emptyDir", "stat -c '%u %g %a' /shared", "0 0 777"),
        ("emptyDir: what the init container wrote", "cat /shared/first", "init"),
        ("emptyDir: writable", "echo one > /shared/one && cat /shared/one", "one"),
        ("emptyDir: subPath", "echo log > /logs/a; cat /shared/logs/web/a", "log"),
        (
            "emptyDir: nested",
            "ls -A /shared/inner; echo in > /shared/inner/in; cat /shared/inner/in",
            "in",
        ),
        ("persistentVolumeClaim", "echo kept > /claim/kept && cat /claim/kept", "kept"),
        ("hostPath", "cat /host/file", "of the host"),
        ("hostPath: readOnly", "write /host/x", "refused"),
        ("hostPath: type File", "cat /etc/of-host", "of the host"),
        ("hostPath: type CharDevice", "head -c 2 /dev/nil | od -An -tx1", "00 00"),
        ("all is written", "touch /shared/all", ""),
    ];
    let seen: &[Row] = &[
        (
            "emptyDir: what the other container wrote",
            "until test -e /seen/all; do sleep 0.1; done; cat /seen/one",
            "one",
        ),
        ("emptyDir: what it wrote by its subPath", "cat /seen/logs/web/a", "log"),
        ("emptyDir: not what is nested in the other", "ls -A /seen/inner", ""),
        ("emptyDir: readOnly", "write /seen/x", "refused"),
        ("emptyDir: twice", "touch /own/x && ls /seen/x", "/seen/x"),
        ("persistentVolumeClaim: of both", "cat /claim/kept", "kept"),
        ("persistentVolumeClaim: readOnly", "write /claim/x", "refused"),
    ];
    let mut case = Case::of(
        "mounts",
        vec![
            ("writer", json!({"volumeMounts": writer}), written),
            ("reader", json!({"volumeMounts": reader}), seen),
        ],
        json!({"volumes": [
            {"name": "shared", "emptyDir": {}},
            {"name": "nested", "emptyDir": {}},
            {"name": "claim", "persistentVolumeClaim": {"claimName": "meaning"}},
            {"name": "host", "hostPath": {"path": host, "type": "Directory"}},
            {"name": "file", "hostPath": {"path": format!("{host}/file"), "type": "File"}},
            {"name": "zero", "hostPath": {"path": "/dev/zero", "type": "CharDevice"}},
        ]}),
    );
    let mut first = super::container("first", &json!({}), &[]);
    first["command"] = json!(["sh", "-c", "echo init > /shared/first"]);
    first["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared"}]);
    case.pod["initContainers"] = json!([first]);
    vec![case]
}
