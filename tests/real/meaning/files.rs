//! Files of config maps, secrets and the downward API.
//!
//! By "Configure a Pod to Use a ConfigMap", "Secrets", "Projected Volumes" and "Expose Pod Information
//! to Containers Through Files" of Kubernetes' documentation.

use serde_json::json;

use super::Case;

pub(super) fn cases() -> Vec<Case> {
    let mounts = json!([
        {"name": "app", "mountPath": "/app"},
        {"name": "app-modes", "mountPath": "/app-modes"},
        {"name": "app-items", "mountPath": "/app-items"},
        {"name": "app", "mountPath": "/etc/app/greeting", "subPath": "greeting"},
        {"name": "login", "mountPath": "/login"},
        {"name": "login-items", "mountPath": "/login-items"},
        {"name": "absent", "mountPath": "/absent"},
        {"name": "mixed", "mountPath": "/mixed"},
        {"name": "all", "mountPath": "/all"},
        {"name": "info", "mountPath": "/info"},
    ]);
    let volumes = json!([
        {"name": "app", "configMap": {"name": "app"}},
        {"name": "app-modes", "configMap": {"name": "app", "defaultMode": 0o400}},
        {"name": "app-items", "configMap": {"name": "app", "defaultMode": 0o444, "items": [
            {"key": "level", "path": "in/here/level"},
            {"key": "greeting", "path": "words", "mode": 0o640}]}},
        {"name": "login", "secret": {"secretName": "login"}},
        {"name": "login-items", "secret": {"secretName": "login", "defaultMode": 0o400, "items": [
            {"key": "user", "path": "user"}, {"key": "password", "path": "pass", "mode": 0o755}]}},
        {"name": "mixed", "configMap": {"name": "mixed"}},
        {"name": "all", "projected": {"defaultMode": 0o440, "sources": [
            {"configMap": {"name": "app", "items": [{"key": "level", "path": "config/level"}]}},
            {"secret": {"name": "login", "items": [{"key": "user", "path": "user", "mode": 0o400}]}},
            {"downwardAPI": {"items": [
                {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
                {"path": "memory", "resourceFieldRef":
                    {"containerName": "main", "resource": "limits.memory", "divisor": "1Mi"}}]}}]}},
        {"name": "info", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}]}},
        {"name": "absent", "configMap": {"name": "nope", "optional": true}},
    ]);
    vec![Case::of(
        "files",
        vec![(
            "main",
            json!({"volumeMounts": mounts, "resources": {"limits": {"memory": "128974848"}}}),
            &[
                ("configMap", "ls /app", "greeting level"),
                ("configMap: text", "cat /app/greeting /app/level", "hello debug"),
                (
                    "configMap: binaryData",
                    "od -An -tx1 /mixed/blob; cat /mixed/text",
                    "00 ff 0a text",
                ),
                ("configMap: the default of defaultMode", "stat -Lc %a /app/level", "644"),
                ("configMap: read-only", "write /app/x", "refused"),
                ("configMap: defaultMode", "stat -Lc %a /app-modes/*", "400 400"),
                (
                    "configMap: items",
                    "cd /app-items; find * -follow -type f | sort",
                    "in/here/level words",
                ),
                ("configMap: mode of an item", "stat -Lc %a /app-items/words", "640"),
                ("configMap: an item without one", "stat -Lc %a /app-items/in/here/level", "444"),
                ("configMap: subPath", "ls /etc/app; cat /etc/app/greeting", "greeting hello"),
                ("configMap: optional", "ls -A /absent", ""),
                ("secret", "ls /login", "password user"),
                (
                    "secret: data and stringData",
                    "cat /login/user /login/password",
                    "adminpass word",
                ),
                ("secret: the default of defaultMode", "stat -Lc %a /login/user", "644"),
                ("secret: read-only", "write /login/x", "refused"),
                ("secret: defaultMode and mode", "stat -Lc %a /login-items/*", "755 400"),
                (
                    "projected",
                    "cd /all; find * -follow -type f | sort",
                    "config/level memory name user",
                ),
                ("projected: content", "cd /all; cat config/level user name", "debugadmin{pod}"),
                ("projected: a resource", "cat /all/memory", "123"),
                ("projected: modes", "cd /all; stat -Lc %a config/level user name", "440 400 440"),
                ("downwardAPI: labels", "cat /info/labels", "app=\"meaning\""),
                (
                    "downwardAPI: annotations",
                    "grep owner /info/annotations",
                    "example.com/owner=\"team a\"",
                ),
                ("downwardAPI: modes", "stat -Lc %a /info/labels", "644"),
            ],
        )],
        json!({"volumes": volumes}),
    )]
}
