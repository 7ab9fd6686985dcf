//! What a configuration says about the device itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use crate::workload::{ConditionName, Profile, ProfileCondition, ProfileName};

/// What holds when the server names no period.
const DEFAULT_HEARTBEAT_PERIOD: Duration = Duration::from_secs(60);

/// A longer period saturates here: a mistyped one must not silence the device for good.
const MAX_HEARTBEAT_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Most conditions of a device, and most bytes of all their expressions together: they are parsed, and
/// evaluated when a metric is posted, on the thread of all actors.
const MAX_CONDITIONS: usize = 2_000;
const MAX_EXPRESSIONS: usize = 128 * 1024;

/// Reads a period in seconds; absent, zero and senseless ones are the default.
pub(crate) fn heartbeat_period(value: Option<&Value>) -> Duration {
    match value.and_then(Value::as_f64) {
        Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds)
            .unwrap_or(MAX_HEARTBEAT_PERIOD)
            .clamp(Duration::from_secs(1), MAX_HEARTBEAT_PERIOD),
        Some(_) | None => DEFAULT_HEARTBEAT_PERIOD,
    }
}

/// Reads device profiles into their canonical order; each name once in the device and each
/// condition once in its profile. What has no name cannot be referred to and is left out.
///
/// # Errors
/// What should be a list is none, or there are too many conditions.
pub(crate) fn device_profiles(value: Option<&Value>) -> Result<Vec<Profile>, String> {
    let text = |value: &Value, field| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let named = |value: &Value| text(value, "name").filter(|name| !name.is_empty());
    let mut profiles: BTreeMap<ProfileName, BTreeSet<(ConditionName, String)>> = BTreeMap::new();
    for profile in elements(value, "the list of profiles")? {
        let Some(name) = named(profile) else { continue };
        let conditions = profiles.entry(ProfileName::from(name)).or_default();
        for condition in elements(profile.get("conditions"), "the list of conditions of a profile")?
        {
            // One without an expression is kept: its evaluation says what is wrong with it.
            let expression = text(condition, "expression").unwrap_or_default();
            conditions.extend(named(condition).map(|name| (name.into(), expression)));
        }
    }
    let all = profiles.values().flatten();
    let (count, length) = all.fold((0_usize, 0_usize), |(count, length), (_, expression)| {
        (count.saturating_add(1), length.saturating_add(expression.len()))
    });
    if count > MAX_CONDITIONS || length > MAX_EXPRESSIONS {
        return Err(format!(
            "the profiles have {count} conditions, whose expressions have {length} bytes; at most \
             {MAX_CONDITIONS} of {MAX_EXPRESSIONS} bytes together are read"
        ));
    }
    let conditions = |all: BTreeSet<(ConditionName, String)>| {
        let mut conditions: Vec<_> = all
            .into_iter()
            .map(|(name, expression)| ProfileCondition { name, expression })
            .collect();
        conditions.dedup_by(|a, b| a.name == b.name);
        conditions
    };
    Ok(profiles
        .into_iter()
        .map(|(name, all)| Profile { name, conditions: conditions(all) })
        .collect())
}

/// Returns the elements of a list that may be absent or null, and may hold nulls.
///
/// # Errors
/// The value is something else.
pub(crate) fn elements<'a>(value: Option<&'a Value>, what: &str) -> Result<Vec<&'a Value>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => Ok(items.iter().filter(|item| !item.is_null()).collect()),
        Some(_) => Err(format!("{what} is not a list")),
    }
}
