//! Reading JSON and YAML into types, with complaints that quote no values.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::yaml::YamlError;

/// Reads `value` as a `T`.
///
/// # Errors
/// What was found where something else was expected.
pub(crate) fn json<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| without_values(&error.to_string()))
}

/// Says why a text is not the YAML that was expected, with line and column.
pub(crate) fn yaml_reason(error: &YamlError) -> String {
    without_values(&error.to_string())
}

/// Serde quotes the value that it could not use, and that may be a secret: `string "…"` becomes
/// `string`. Where the value was is still said.
fn without_values(message: &str) -> String {
    let Some(start) = ["invalid type: ", "invalid value: "]
        .iter()
        .filter_map(|marker| message.find(marker).map(|at| at + marker.len()))
        .min()
    else {
        return message.to_owned();
    };
    let end = message.rfind(", expected").unwrap_or(message.len());
    let (Some(before), Some(found), Some(after)) = (
        message.get(..start),
        message.get(start..end),
        message.get(end..),
    ) else {
        return "a value has the wrong type".to_owned();
    };
    let kind = found.split(['"', '`']).next().unwrap_or_default();
    format!("{before}{}{after}", kind.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::PodSpec;

    #[test]
    fn a_complaint_says_where_and_what_but_not_the_value() {
        let text = "containers:\n- name: a\n  ports:\n  - containerPort: hunter2\n";
        let error = crate::yaml::from_str::<PodSpec>(text).unwrap_err();
        let reason = yaml_reason(&error);
        assert!(!reason.contains("hunter2"), "{reason}");
        assert!(
            reason.contains("invalid type: string, expected"),
            "{reason}"
        );
        assert!(reason.contains("line 4 column 20"), "{reason}");
    }

    #[test]
    fn quotes_within_a_value_do_not_leak_its_rest() {
        let reason = json::<u64>(Value::from("a\" b` hunter2, expected nothing")).unwrap_err();
        assert_eq!(reason, "invalid type: string, expected u64");
    }
}
