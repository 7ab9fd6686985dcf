//! Reading JSON into types, with complaints that quote no values.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads `value` as a `T`.
///
/// # Errors
/// What was found where something else was expected.
pub(crate) fn json<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|error| without_values(&error.to_string()))
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
    let (Some(before), Some(found), Some(after)) =
        (message.get(..start), message.get(start..end), message.get(end..))
    else {
        return "a value has the wrong type".to_owned();
    };
    let kind = found.split(['"', '`']).next().unwrap_or_default();
    format!("{before}{}{after}", kind.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_within_a_value_do_not_leak_its_rest() {
        let reason = json::<u64>(Value::from("a\" b` hunter2, expected nothing")).unwrap_err();
        assert_eq!(reason, "invalid type: string, expected u64");
    }
}
