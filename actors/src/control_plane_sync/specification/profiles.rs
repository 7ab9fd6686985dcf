//! The profiles and conditions that a workload names, with their limits.

use serde::Deserialize;

use crate::quantity;
use crate::workload::{ConditionName, ConditionRef, ProfileName, ProfileRef};
use crate::yaml::{AsWritten, OrText};

/// Microseconds of CPU time in 100 ms that a thousandth of a core is.
const PART_OF_CORE: u64 = 100;
/// So much of a wrong limit is shown.
const MAX_SHOWN: usize = 60;

/// A profile as a workload names it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ProfileDraft {
    name: Option<AsWritten>,
    /// Each by its name alone, or with limits.
    conditions: Option<Vec<Option<OrText<ConditionDraft>>>>,
}

#[derive(Clone, Debug, Deserialize)]
struct ConditionDraft {
    name: Option<AsWritten>,
    /// A number of microseconds, or an object that holds one under `cpu`.
    cpu: Option<OrText<CpuDraft>>,
    memory: Option<OrText<MemoryDraft>>,
}

#[derive(Clone, Debug, Deserialize)]
struct CpuDraft {
    cpu: Option<AsWritten>,
}

#[derive(Clone, Debug, Deserialize)]
struct MemoryDraft {
    memory: Option<AsWritten>,
}

/// Returns the profiles in order of name, each with its conditions in order of name.
pub(super) fn references(drafts: Vec<ProfileDraft>) -> Result<Vec<ProfileRef>, String> {
    let mut profiles = drafts.into_iter().map(profile).collect::<Result<Vec<_>, _>>()?;
    profiles.sort_by_cached_key(|profile| format!("{profile:?}"));
    profiles.dedup();
    Ok(profiles)
}

fn profile(draft: ProfileDraft) -> Result<ProfileRef, String> {
    let name = named(draft.name).ok_or("one of its profiles has no name")?;
    let conditions = draft.conditions.into_iter().flatten().flatten();
    let mut conditions =
        conditions.map(|draft| condition(&name, draft)).collect::<Result<Vec<_>, _>>()?;
    conditions.sort_by(|a, b| (&a.name, a.cpu, a.memory).cmp(&(&b.name, b.cpu, b.memory)));
    conditions.dedup();
    Ok(ProfileRef { name: ProfileName::from(name), conditions })
}

fn condition(profile: &str, draft: OrText<ConditionDraft>) -> Result<ConditionRef, String> {
    let unnamed = || format!("a condition of its profile {profile:?} has no name");
    let draft = match draft {
        OrText::Fields(draft) => draft,
        OrText::Text(name) => {
            let name = named(Some(AsWritten(name))).ok_or_else(unnamed)?;
            return Ok(ConditionRef { name: ConditionName::from(name), cpu: None, memory: None });
        }
    };
    let name = named(draft.name).ok_or_else(unnamed)?;
    let limit = |what: &str, text: Option<String>| {
        limit(what, text).map_err(|reason| {
            format!("the {what} limit of condition {name:?} of its profile {profile:?} {reason}")
        })
    };
    let cpu = limit("cpu", given(draft.cpu, |nested| nested.cpu))?;
    let memory = limit("memory", given(draft.memory, |nested| nested.memory))?;
    Ok(ConditionRef { name: ConditionName::from(name), cpu, memory })
}

fn named(name: Option<AsWritten>) -> Option<String> {
    name.map(|name| name.0.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Returns what is given by itself or under its own name.
fn given<T>(value: Option<OrText<T>>, nested: fn(T) -> Option<AsWritten>) -> Option<String> {
    match value? {
        OrText::Text(text) => Some(text),
        OrText::Fields(fields) => nested(fields).map(|text| text.0),
    }
}

/// Reads a limit; zero and absent are none.
fn limit(what: &str, text: Option<String>) -> Result<Option<u64>, String> {
    let Some(text) = text else { return Ok(None) };
    let shown: String = text.chars().take(MAX_SHOWN).collect();
    let is_memory = what == "memory";
    // What they say here as bytes is next to nothing, and rarely what is meant.
    if is_memory && quantity::is_fraction_of_bytes(&text) {
        return Err(format!(
            "is in bytes, of which {shown:?} is a fraction; write 512Mi for megabytes"
        ));
    }
    let read = match is_memory || !is_of_cores(&text) {
        true => quantity::whole(&text),
        false => quantity::millicores(&text).map(|parts| parts.saturating_mul(PART_OF_CORE)),
    };
    let limit = read.map_err(|fault| format!("{fault} ({shown:?})"))?;
    if limit >= quantity::MAX {
        return Err(format!("is too large ({shown:?}); leave it out for no limit"));
    }
    Ok(Some(limit).filter(|limit| *limit > 0))
}

/// Whether a CPU limit is written as Kubernetes has it, in cores: `500m`, `0.5`. A whole number is one of
/// microseconds, as the control plane sends it, and of those a part cannot be meant.
fn is_of_cores(text: &str) -> bool {
    let is_part = text.trim().ends_with(['m', 'u', 'n']) || text.contains('.');
    is_part && quantity::millicores(text).is_ok_and(|parts| parts < 1_000 || !text.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<Vec<ProfileRef>, String> {
        references(super::super::json(value)?)
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
            (json!({"name": "a", "cpu": "500m"}), ("a", Some(50_000), None)),
            (json!({"name": "a", "cpu": "1500m"}), ("a", Some(150_000), None)),
            (json!({"name": "a", "cpu": "0.5"}), ("a", Some(50_000), None)),
            (json!({"name": "a", "cpu": 0.25}), ("a", Some(25_000), None)),
            (json!({"name": "a", "memory": "128974848000m"}), ("a", None, Some(128_974_848))),
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
