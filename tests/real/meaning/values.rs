//! Variables and the command line.
//!
//! By "Define dependent environment variables", "Define a command and arguments for a container" and
//! "Downward API" of Kubernetes' documentation, and the comments of its type EnvVar.

use serde_json::json;

use super::Case;

pub(super) fn cases() -> Vec<Case> {
    let env = json!([
        {"name": "PLAIN", "value": "a  b"},
        {"name": "REFERS", "value": "$(PLAIN)/c"},
        {"name": "EARLY", "value": "$(LATER)"},
        {"name": "LATER", "value": "later"},
        {"name": "ESCAPED", "value": "$$(PLAIN)"},
        {"name": "DOLLARS", "value": "$$$(PLAIN) $PLAIN $$ $(PLAIN"},
        {"name": "UNKNOWN", "value": "$(NOPE)"},
        {"name": "EMPTY"},
        {"name": "OF_MAP", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "level"}}},
        {"name": "OF_SECRET", "valueFrom": {"secretKeyRef": {"name": "login", "key": "user"}}},
        {"name": "ABSENT", "valueFrom": {"secretKeyRef":
            {"name": "login", "key": "nope", "optional": true}}},
        {"name": "REFERS_TO_MAP", "value": "$(OF_MAP)-$(OF_SECRET)"},
        {"name": "REFERS_TO_IMPORT", "value": "$(level)"},
        {"name": "greeting", "value": "own"},
        {"name": "TWICE", "value": "first"},
        {"name": "TWICE", "value": "$(TWICE) and last"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "ANNOTATION", "valueFrom": {"fieldRef":
            {"fieldPath": "metadata.annotations['example.com/owner']"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef":
            {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "BYTES", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        {"name": "CORES", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "ASKED", "valueFrom": {"resourceFieldRef":
            {"resource": "requests.cpu", "divisor": "1m"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]);
    let import = json!([{"configMapRef": {"name": "app"}},
        {"secretRef": {"name": "login"}, "prefix": "LOGIN_"},
        {"configMapRef": {"name": "absent", "optional": true}}]);
    let args = json!([
        "$(REFERS) $$(REFERS) $$$$",
        "$(PLAIN)",
        "$$(PLAIN)",
        "$(NOPE)",
        "$(REFERS)-$(POD)"
    ]);
    let main = json!({"env": env, "envFrom": import, "args": args,
        "resources": {"limits": {"memory": "129M", "cpu": "500m"}, "requests": {"cpu": "0.25"}}});
    vec![Case::of(
        "values",
        vec![(
            "main",
            main,
            &[
                ("env", "value PLAIN", "a  b"),
                ("env: a reference", "value REFERS", "a  b/c"),
                ("env: a reference to what comes later", "value EARLY", "$(LATER)"),
                ("env: a reference that is escaped", "value ESCAPED", "$(PLAIN)"),
                ("env: other dollars", "value DOLLARS", "$a  b $PLAIN $ $(PLAIN"),
                ("env: a reference to nothing", "value UNKNOWN", "$(NOPE)"),
                ("env: without a value", "value EMPTY", ""),
                ("env: configMapKeyRef", "value OF_MAP", "debug"),
                ("env: secretKeyRef", "value OF_SECRET", "admin"),
                ("env: an optional key that is absent", "value ABSENT", "unset"),
                ("env: references to both", "value REFERS_TO_MAP", "debug-admin"),
                ("env: a reference to envFrom", "value REFERS_TO_IMPORT", "debug"),
                ("envFrom", "value level", "debug"),
                ("envFrom: with a prefix", "value LOGIN_password", "pass word"),
                ("envFrom: env outranks it", "value greeting", "own"),
                ("env: twice", "value TWICE", "first and last"),
                ("fieldRef: metadata.name", "value POD", super::POD),
                ("fieldRef: metadata.namespace", "value NAMESPACE", "default"),
                ("fieldRef: metadata.labels", "value LABEL", "meaning"),
                ("fieldRef: metadata.annotations", "value ANNOTATION", "team a"),
                ("fieldRef: spec.nodeName", "value NODE", "cam-01"),
                ("resourceFieldRef: rounded up", "value MEMORY", "124"),
                ("resourceFieldRef: bytes", "value BYTES", "129000000"),
                ("resourceFieldRef: cores", "value CORES", "1"),
                ("resourceFieldRef: thousandths of a core", "value ASKED", "250"),
                ("args: a reference", r#"echo "$1""#, "a  b"),
                ("args: a reference that is escaped", r#"echo "$2""#, "$(PLAIN)"),
                ("args: a reference to nothing", r#"echo "$3""#, "$(NOPE)"),
                ("args: two references", r#"echo "$4""#, "a  b/c-{pod}"),
                ("args: several", r#"echo "$0""#, "a  b/c $(REFERS) $$"),
                ("command: the shell's own", r#"echo "$(echo inner) $1""#, "inner a  b"),
            ],
        )],
        json!({}),
    )]
}
