//! Whether a workload is meant for a device, by the device's labels.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::control_plane_sync::specification::ProfileDraft;

/// A Kubernetes label selector. An empty one selects everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Requirement>>,
    /// Misplaced: the README of device-worker-ng has them here.
    pub(super) profiles: Option<Vec<Option<ProfileDraft>>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl LabelSelector {
    /// Returns what `labels` lack to satisfy the selector, in words; none when they do.
    ///
    /// # Errors
    /// The selector uses an unknown operator.
    pub(super) fn lacking(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Option<String>, String> {
        let wanted = self.match_labels.iter().flatten();
        let mut lacking = None;
        for (key, value) in wanted {
            if lacking.is_none() && labels.get(key) != Some(value) {
                lacking = Some(format!("{}, and {value:?} is wanted", present(key, labels)));
            }
        }
        for requirement in self.match_expressions.iter().flatten() {
            if !requirement.holds(labels)? && lacking.is_none() {
                let Requirement { key, operator, values } = requirement;
                let values = values.as_ref().map(|values| values.join(", "));
                let values = values.map(|values| format!(" {values}")).unwrap_or_default();
                lacking =
                    Some(format!("{}, and {operator}{values} is wanted", present(key, labels)));
            }
        }
        Ok(lacking)
    }
}

/// Says what a device has for a label.
fn present(key: &str, labels: &BTreeMap<String, String>) -> String {
    match labels.get(key) {
        Some(value) => format!("the device's label {key} is {value:?}"),
        None => format!("the device has no label {key}"),
    }
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> Result<bool, String> {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.iter().flatten().any(|v| v == value));
        match self.operator.as_str() {
            "In" => Ok(listed),
            "NotIn" => Ok(!listed),
            "Exists" => Ok(value.is_some()),
            "DoesNotExist" => Ok(value.is_none()),
            unknown => Err(format!(
                "its deviceSelector has the unknown operator {unknown:?}; use In, NotIn, Exists or \
                 DoesNotExist"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn lacking(selector: Value) -> Result<Option<String>, String> {
        let labels = [("app".to_owned(), "camera".to_owned())].into();
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        selector.lacking(&labels)
    }

    #[test]
    fn labels_are_matched_as_kubernetes_does() {
        let expression = |key, operator, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        let cases = [
            (json!({}), true),
            (json!({"matchLabels": {"app": "camera"}}), true),
            (json!({"matchLabels": {"app": "door"}}), false),
            (json!({"matchLabels": {"app": "camera", "x": "y"}}), false),
            (expression("app", "In", json!(["camera", "door"])), true),
            (expression("app", "In", json!(["door"])), false),
            (expression("app", "NotIn", json!(["door"])), true),
            (expression("x", "NotIn", json!(["door"])), true),
            (expression("app", "Exists", json!(null)), true),
            (expression("x", "Exists", json!(null)), false),
            (expression("x", "DoesNotExist", json!(null)), true),
        ];
        for (selector, expected) in cases {
            assert_eq!(lacking(selector.clone()).unwrap().is_none(), expected, "{selector}");
        }
        assert!(lacking(expression("app", "Like", json!(null))).is_err());
    }

    #[test]
    fn the_label_that_fails_is_named_with_what_is_there() {
        let expression = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["door", "gate"]}]});
        for (selector, expected) in [
            (
                json!({"matchLabels": {"app": "door"}}),
                "the device's label app is \"camera\", and \"door\" is wanted",
            ),
            (
                json!({"matchLabels": {"app": "camera", "site": "north"}}),
                "the device has no label site, and \"north\" is wanted",
            ),
            (expression, "the device's label app is \"camera\", and In door, gate is wanted"),
        ] {
            assert_eq!(lacking(selector).unwrap().as_deref(), Some(expected));
        }
    }
}
