//! What becomes of the lists in a message: missing, null, or in another order.

use serde_json::Value;

/// Returns whether the operator's database refuses these hardware facts: it wants lists of flags.
pub(super) fn has_null_lists(hardware: Option<&Value>) -> bool {
    let Some(hardware) = hardware.filter(|hardware| !hardware.is_null()) else {
        return false;
    };
    let without_flags = |value: &Value| !value.get("flags").is_some_and(Value::is_array);
    let interfaces = hardware.get("interfaces").and_then(Value::as_array);
    hardware.get("cpu").is_some_and(without_flags)
        || interfaces.is_some_and(|list| list.iter().any(without_flags))
}

/// Puts every list into another order.
pub(super) fn shuffle(value: &mut Value) {
    match value {
        Value::Array(list) => {
            fastrand::shuffle(list);
            list.iter_mut().for_each(shuffle);
        }
        Value::Object(fields) => fields.values_mut().for_each(shuffle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Replaces the lists inside of `value`, or inside its elements, by null.
pub(super) fn nullify(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(nullify),
        Value::Object(fields) => {
            for field in fields.values_mut() {
                if field.is_array() {
                    *field = Value::Null;
                } else {
                    nullify(field);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
