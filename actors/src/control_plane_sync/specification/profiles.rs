//! The profiles and conditions that a workload names, with their limits.

use serde::Deserialize;
use serde_json::Value;

use crate::quantity;
use crate::workload::{ConditionName, ConditionRef, ProfileName, ProfileRef};

/// So much of a wrong limit is shown.
const MAX_SHOWN: usize = 60;

/// A profile as a workload names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ProfileDraft {
    name: Option<Value>,
    conditions: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct ConditionDraft {
    name: Option<Value>,
    /// A number of microseconds, or an object that holds one under `cpu`.
    cpu: Option<Value>,
    memory: Option<Value>,
}

/// Returns the profiles in order of name, each with its conditions in order of name.
pub(super) fn references(drafts: Vec<ProfileDraft>) -> Result<Vec<ProfileRef>, String> {
    let mut profiles = drafts.into_iter().map(profile).collect::<Result<Vec<_>, _>>()?;
    profiles.sort_by_cached_key(|profile| format!("{profile:?}"));
    profiles.dedup();
    Ok(profiles)
}

fn profile(draft: ProfileDraft) -> Result<ProfileRef, String> {
    let name = text(draft.name.as_ref()).ok_or("one of its profiles has no name")?;
    let mut conditions = draft
        .conditions
        .into_iter()
        .flatten()
        .filter(|condition| !condition.is_null())
        .map(|draft| condition(&name, draft))
        .collect::<Result<Vec<_>, _>>()?;
    conditions.sort_by(|a, b| (&a.name, a.cpu, a.memory).cmp(&(&b.name, b.cpu, b.memory)));
    conditions.dedup();
    Ok(ProfileRef { name: ProfileName::from(name), conditions })
}

fn condition(profile: &str, draft: Value) -> Result<ConditionRef, String> {
    let unnamed = || format!("a condition of its profile {profile:?} has no name");
    if !draft.is_object() {
        let name = text(Some(&draft)).ok_or_else(unnamed)?;
        return Ok(ConditionRef { name: ConditionName::from(name), cpu: None, memory: None });
    }
    let draft: ConditionDraft = super::decoding::json(draft)
        .map_err(|reason| format!("a condition of its profile {profile:?}: {reason}"))?;
    let name = text(draft.name.as_ref()).ok_or_else(unnamed)?;
    let limit = |what: &str, value: Option<&Value>| {
        limit(what, value).map_err(|reason| {
            format!("the {what} limit of condition {name:?} of its profile {profile:?} {reason}")
        })
    };
    let cpu = limit("cpu", draft.cpu.as_ref())?;
    let memory = limit("memory", draft.memory.as_ref())?;
    Ok(ConditionRef { name: ConditionName::from(name), cpu, memory })
}

/// Names that look like numbers or booleans come unquoted out of YAML as such.
fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.trim().to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// Reads a limit; zero and absent are none.
fn limit(what: &str, value: Option<&Value>) -> Result<Option<u64>, String> {
    let value = match value {
        Some(Value::Object(object)) => object.get(what),
        other => other,
    };
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            return Err("must be a number that is not negative".to_owned());
        }
    };
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    // As cores or as bytes these are common; what they say here is next to nothing.
    if quantity::is_fraction_of_bytes(&text) {
        return Err(match what {
            "cpu" => format!(
                "is in microseconds of CPU time in 100 ms, of which {shown:?} is a fraction; write \
                 50000 for half a core"
            ),
            _ => {
                format!("is in bytes, of which {shown:?} is a fraction; write 512Mi for megabytes")
            }
        });
    }
    let limit = quantity::whole(&text).map_err(|fault| format!("{fault} ({shown:?})"))?;
    if limit == quantity::MAX {
        return Err(format!("is too large ({shown:?}); leave it out for no limit"));
    }
    Ok(Some(limit).filter(|limit| *limit > 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Vec<ProfileRef>, String> {
        references(serde_json::from_value(value).unwrap())
    }

    fn only_condition(condition: Value) -> Result<(String, Option<u64>, Option<u64>), String> {
        let profiles = read(json!([{"name": "p", "conditions": [condition]}]))?;
        let condition = &profiles[0].conditions[0];
        Ok((condition.name.to_string(), condition.cpu, condition.memory))
    }

    #[test]
    fn a_condition_may_be_written_in_every_known_shape() {
        let cases = [
            (json!("off"), ("off", None, None)),
            (json!(true), ("true", None, None)),
            (json!(1), ("1", None, None)),
            (json!({"name": "a"}), ("a", None, None)),
            (json!({"name": "a", "cpu": {}}), ("a", None, None)),
            (json!({"name": "a", "cpu": {"cpu": 0}}), ("a", None, None)),
            (json!({"name": "a", "cpu": null}), ("a", None, None)),
            (json!({"name": "a", "cpu": 5}), ("a", Some(5), None)),
            (json!({"name": "a", "cpu": {"cpu": 50000}}), ("a", Some(50_000), None)),
            (json!({"name": "a", "memory": "2Ki"}), ("a", None, Some(2048))),
            (json!({"name": "a", "memory": 7}), ("a", None, Some(7))),
            (json!({"name": "a", "memory": "1.1Gi"}), ("a", None, Some(1_181_116_007))),
            (json!({"name": "a", "memory": "1e9"}), ("a", None, Some(1_000_000_000))),
            (json!({"name": "a", "cpu": 1000.5}), ("a", Some(1_001), None)),
        ];
        for (condition, (name, cpu, memory)) in cases {
            let expected = (name.to_owned(), cpu, memory);
            assert_eq!(only_condition(condition.clone()), Ok(expected), "{condition}");
        }
    }

    #[test]
    fn a_condition_that_says_nothing_clear_is_refused() {
        for condition in [
            json!({}),
            json!([]),
            json!(""),
            json!({"name": "a", "cpu": -1}),
            json!({"name": "a", "cpu": 1e300}),
            json!({"name": "a", "cpu": [1]}),
            json!({"name": "a", "memory": "much"}),
            json!({"name": "a", "memory": "512MiB"}),
            json!({"name": "a", "memory": "512m"}),
            json!({"name": "a", "memory": "1u"}),
            json!({"name": "a", "cpu": "500m"}),
            json!({"name": "a", "cpu": "-0.5"}),
            json!({"name": "a", "memory": "8Ei"}),
        ] {
            assert!(only_condition(condition.clone()).is_err(), "{condition}");
        }
    }

    #[test]
    fn order_and_repetition_do_not_matter() {
        let a = json!([{"name": "b"}, {"name": "a", "conditions": ["y", "x", null, "x"]}]);
        let b = json!([{"name": "a", "conditions": ["x", "y"]}, {"name": "b", "conditions": []}]);
        assert_eq!(read(a), read(b));
    }
}
