//! Unknown keys of an answer: each is reported, and none rejects anything.

use serde_json::{Map, Value};

use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::specification::UNNAMED;
use crate::workload::EventReason;
use crate::yaml::{MAX_UNREAD, nearest};

/// What the messages name as the place.
const PLACE: &str = "the control plane's answer";

/// A key, and the keys that may be within it, also within the elements of its list; with none, what is within
/// it is not looked at here.
struct Key(&'static str, &'static [Key]);

const fn any(name: &'static str) -> Key {
    Key(name, &[])
}

/// Of the message. What is in its content is looked at by itself.
const ENVELOPE: &[Key] = &[
    any("content"),
    any("directive"),
    any("message_id"),
    any("metadata"),
    any("sent"),
    any("type"),
    any("version"),
];
/// Of its content, as Flotta's protocol has it; what is for other agents is known, too.
const CONTENT: &[Key] = &[
    Key("configuration", CONFIGURATION),
    any("device_id"),
    Key("secrets", &[any("data"), any("name")]),
    any("version"),
    Key("workloads", WORKLOAD),
    any("workloads_monitoring_interval"),
];
const CONFIGURATION: &[Key] = &[
    Key(
        "heartbeat",
        &[Key("hardware_profile", &[any("include"), any("scope")]), any("period_seconds")],
    ),
    any("log_collection"),
    any("metrics"),
    any("mounts"),
    any("os"),
    Key("profiles", &[Key("conditions", &[any("expression"), any("name")]), any("name")]),
    any("storage"),
];
const WORKLOAD: &[Key] = &[
    any("annotations"),
    any("configmaps"),
    any("cron"),
    any("data"),
    Key("imageRegistries", &[any("authFile")]),
    any("kind"),
    any("labels"),
    any("log_collection"),
    any("metrics"),
    any("name"),
    any("namespace"),
    Key("profiles", &[Key("conditions", &[CPU, MEMORY, any("name")]), any("name")]),
    Key("retry", RETRY),
    any("rootless"),
    any("specification"),
];
const CPU: Key = Key("cpu", &[any("cpu")]);
const MEMORY: Key = Key("memory", &[any("memory")]);
const RETRY: &[Key] = &[
    any("backoff"),
    Key("constantBackoff", &[any("periodSeconds")]),
    Key(
        "exponentialBackoff",
        &[any("initialIntervalSeconds"), any("multiplier"), any("randomizationFactor")],
    ),
    any("initialIntervalSeconds"),
    any("multiplier"),
    any("periodSeconds"),
    any("randomizationFactor"),
];

/// Returns what is to be reported of the keys of a message.
pub(super) fn of_envelope(envelope: &Map<String, Value>) -> Vec<Diagnostic> {
    Unread::default().look(envelope, ENVELOPE, "", "")
}

/// Returns what is to be reported of the keys of its content, of the first [`MAX_UNREAD`] of them.
pub(super) fn of_content(content: &Map<String, Value>) -> Vec<Diagnostic> {
    Unread::default().look(content, CONTENT, "content", "")
}

#[derive(Default)]
struct Unread(Vec<Diagnostic>);

impl Unread {
    fn look(
        mut self,
        object: &Map<String, Value>,
        known: &'static [Key],
        path: &str,
        workload: &str,
    ) -> Vec<Diagnostic> {
        self.object(object, known, path, workload);
        self.0
    }

    fn object(
        &mut self,
        object: &Map<String, Value>,
        known: &'static [Key],
        path: &str,
        workload: &str,
    ) {
        for (key, value) in object {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match known.iter().find(|Key(name, _)| name == key) {
                Some(Key(_, [])) => {}
                Some(Key(_, within)) => self.value(value, within, &path, workload),
                // A server writes out what it has nothing in.
                None if value.is_null() => {}
                None => self.tell(key, known, &path, workload),
            }
        }
    }

    fn value(&mut self, value: &Value, known: &'static [Key], path: &str, workload: &str) {
        match value {
            Value::Object(object) => self.object(object, known, path, workload),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let is_workload = path == "content.workloads";
                    let name = item.get("name").and_then(Value::as_str).filter(|_| is_workload);
                    let workload = name.unwrap_or(if is_workload { UNNAMED } else { workload });
                    self.value(item, known, &format!("{path}[{index}]"), workload);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn tell(&mut self, key: &str, known: &'static [Key], path: &str, workload: &str) {
        if self.0.len() >= MAX_UNREAD {
            return;
        }
        let names: Vec<&'static str> = known.iter().map(|Key(name, _)| *name).collect();
        let hint = match nearest(key, &names) {
            Some(near) => format!("did you mean {near}?"),
            None => "it is ignored; a later agent may know it".to_owned(),
        };
        let text = format!("{path} is not known; {hint}");
        self.0.push(Diagnostic::new(EventReason::FieldUnknown, PLACE, &text).about(workload));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control_plane_sync::server::wire::Known;
    use crate::control_plane_sync::server::wire::fixtures::exchange;
    use crate::workload::DeviceId;

    /// Every key of the protocol that an operator has sent, or can send.
    fn full() -> Value {
        let backoff =
            json!({"initialIntervalSeconds": 1, "multiplier": 2, "randomizationFactor": 0});
        let retry = json!({"backoff": "constant", "constantBackoff": {"periodSeconds": 0},
            "exponentialBackoff": backoff, "initialIntervalSeconds": 0, "multiplier": 0,
            "periodSeconds": 0, "randomizationFactor": 0});
        let profile = json!({"name": "p", "conditions": [
            {"name": "c", "cpu": {"cpu": 1}, "memory": {"memory": 1}}]});
        let workload = json!({"name": "w", "namespace": "n", "kind": "pod", "cron": "@daily",
            "specification": "containers: [{name: a, image: i}]", "rootless": false, "retry": retry,
            "labels": {"x": "y"}, "annotations": {"x": "y"}, "configmaps": [], "profiles": [profile],
            "imageRegistries": {"authFile": ""}, "data": {}, "metrics": {}, "log_collection": {}});
        let configuration = json!({"log_collection": {}, "metrics": {"x": 1}, "mounts": [], "os": {},
            "storage": {}, "profiles": [{"name": "p", "conditions": [{"name": "c", "expression": "x"}]}],
            "heartbeat": {"period_seconds": 5, "hardware_profile": {"include": true, "scope": "full"}}});
        json!({"type": "data", "directive": "device", "message_id": "1", "sent": "now", "version": 1,
            "metadata": {}, "content": {"device_id": "cam", "version": "7", "workloads": [workload],
            "secrets": [{"name": "s", "data": "{}"}], "configuration": configuration,
            "workloads_monitoring_interval": 5}})
    }

    fn told(body: &Value) -> Vec<String> {
        let known =
            Known::read(body.to_string().as_bytes(), &DeviceId::from("cam"), None, &[]).unwrap();
        // A workload's profile must have a name, whatever it is called instead.
        let rejected = &known.configuration.rejected;
        assert!(rejected.iter().all(|it| it.reason.contains("name")), "{rejected:?}");
        let told = known.diagnostics.iter();
        told.map(|it| {
            assert_eq!(it.reason, EventReason::FieldUnknown);
            it.message.clone()
        })
        .collect()
    }

    #[test]
    fn of_what_operators_send_nothing_is_told() {
        assert_eq!(told(&full()), [""; 0]);
        for name in ["06-config-no-workloads", "07-config-with-workloads", "22-config-rich"] {
            let body: Value = serde_json::from_slice(&exchange(name).response()).unwrap();
            let told = [
                of_envelope(body.as_object().unwrap()),
                of_content(body["content"].as_object().unwrap()),
            ];
            assert_eq!(told.concat(), [], "{name}");
        }
    }

    /// Returns where each known key is: the object's pointer, and the key.
    fn places(
        value: &Value,
        known: &'static [Key],
        pointer: &str,
        all: &mut Vec<(String, String)>,
    ) {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            places(item, known, &format!("{pointer}/{index}"), all);
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            all.push((pointer.to_owned(), key.clone()));
            let within =
                known.iter().find(|Key(name, _)| name == key).map(|Key(_, within)| *within);
            places(value, within.unwrap_or_default(), &format!("{pointer}/{key}"), all);
            if within.is_some_and(<[Key]>::is_empty) {
                let prefix = format!("{pointer}/{key}/");
                all.retain(|(inner, _)| !format!("{inner}/").starts_with(&prefix));
            }
        }
    }

    #[test]
    fn every_key_misspelt_by_a_letter_is_told_and_rejects_nothing() {
        let full = full();
        let mut all = Vec::new();
        places(&full["content"], CONTENT, "/content", &mut all);
        all.extend(
            ["message_id", "sent", "version", "metadata"]
                .map(|key| (String::new(), key.to_owned())),
        );
        assert!(all.len() > 50, "{all:?}");
        for (pointer, key) in all {
            // Without these it is no workload, or no answer to this device.
            if matches!(&*key, "device_id" | "specification")
                || (key == "name" && pointer.ends_with("/workloads/0"))
            {
                continue;
            }
            let mut body = full.clone();
            let object = body.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
            let value = object.remove(&key).unwrap();
            object.insert(format!("{key}x"), value);
            let told = told(&body);
            let [message] = told.as_slice() else { panic!("{pointer} {key}: {told:?}") };
            let path = pointer.split('/').skip(1).map(|part| match part.parse::<usize>() {
                Ok(index) => format!("[{index}]"),
                Err(_) => format!(".{part}"),
            });
            let path = path.chain([format!(".{key}x")]).collect::<String>();
            let path = path.trim_start_matches('.');
            assert!(message.starts_with(&format!("{PLACE}: {path} is not known;")), "{message}");
            let is_short = key.len() < 3;
            assert!(is_short || message.ends_with(&format!("did you mean {key}?")), "{message}");
        }
    }

    #[test]
    fn what_is_told_is_about_its_workload_and_told_again_with_the_same_content() {
        let mut body = full();
        body["content"]["workloads"][0]["profilse"] = json!([]);
        body["content"]["workloads"][0]["brand_new"] = Value::Null;
        let read = |body: &Value, last: Option<&Known>| {
            Known::read(body.to_string().as_bytes(), &DeviceId::from("cam"), last, &[]).unwrap()
        };
        let first = read(&body, None);
        assert_eq!(first.diagnostics[0].workload.as_ref().unwrap().as_str(), "w");
        body["later"] = json!(1);
        let second = read(&body, Some(&first));
        assert_eq!(second.diagnostics.len(), 2, "{:?}", second.diagnostics);
        assert_eq!(second.diagnostics[1], first.diagnostics[0]);
    }
}
