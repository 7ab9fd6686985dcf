//! The table of `docs/status.md`, to check answers of `GET /status` against.

use std::collections::BTreeMap;

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../docs/status.md");

/// Returns each field of the table with its types.
fn table() -> BTreeMap<String, Vec<String>> {
    let rows = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (field, rest) = row.split_once("` | ").unwrap_or((row, ""));
        let types = rest.split(" | ").next().unwrap_or_default();
        (field.to_owned(), types.split(" or ").map(str::to_owned).collect())
    })
    .collect()
}

/// Returns what is wrong with `answer` by the table: fields that are not in it, or of another type.
#[must_use]
pub fn faults(answer: &Value) -> Vec<String> {
    let table = table();
    let mut faults = Vec::new();
    walk("", answer, &mut |field, value| match table.get(field) {
        None => faults.push(format!("{field} is not documented")),
        Some(types) if !types.iter().any(|one| is_of(one, value)) => {
            faults.push(format!("{field} is no {}: {value}", types.join(" or ")));
        }
        Some(_) => {}
    });
    faults
}

/// Returns the fields of the table that `answer` does not have.
#[must_use]
pub fn missing(answer: &Value) -> Vec<String> {
    let mut table = table();
    walk("", answer, &mut |field, _| {
        table.remove(field);
    });
    table.into_keys().collect()
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "list" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        // A type that the table should not use fits nothing.
        _ => false,
    }
}

fn walk(place: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    if !place.is_empty() {
        visit(place, value);
    }
    for item in value.as_array().into_iter().flatten() {
        walk(&format!("{place}[]"), item, visit);
    }
    for (name, member) in value.as_object().into_iter().flatten() {
        let dot = if place.is_empty() { "" } else { "." };
        walk(&format!("{place}{dot}{name}"), member, visit);
    }
}
