//! Whether a workload is meant for a device, by the device's labels.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A Kubernetes label selector. An empty one selects everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LabelSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Requirement>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Requirement {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl LabelSelector {
    /// Returns whether `labels` satisfy the selector.
    ///
    /// # Errors
    /// The selector uses an unknown operator.
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> Result<bool, String> {
        let wanted = self.match_labels.iter().flatten();
        let mut all = wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value));
        for requirement in self.match_expressions.iter().flatten() {
            all &= requirement.holds(labels)?;
        }
        Ok(all)
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

    fn matches(selector: Value) -> Result<bool, String> {
        let labels = [("app".to_owned(), "camera".to_owned())].into();
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        selector.matches(&labels)
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
            assert_eq!(matches(selector.clone()), Ok(expected), "{selector}");
        }
        assert!(matches(expression("app", "Like", json!(null))).is_err());
    }
}
