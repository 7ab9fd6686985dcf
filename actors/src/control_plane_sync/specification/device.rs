//! What a configuration says about the device itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::workload::{ConditionName, Profile, ProfileCondition, ProfileName};
use crate::yaml::{AsWritten, OrText};

/// What holds when the server names no period.
const DEFAULT_HEARTBEAT_PERIOD: Duration = Duration::from_secs(60);

/// A longer period saturates here: a mistyped one must not silence the device for good.
const MAX_HEARTBEAT_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Most conditions of a device, and most bytes of all their expressions together: they are parsed, and
/// evaluated when a metric is posted, on the thread of all actors.
const MAX_CONDITIONS: usize = 2_000;
const MAX_EXPRESSIONS: usize = 128 * 1024;

/// Reads a period in seconds, or with units (`90s`); absent, zero and senseless ones are the default.
pub(crate) fn heartbeat_period(value: Option<&Value>) -> Duration {
    let with_unit = |text: &str| grammar::duration(text).map(|duration| duration.as_secs_f64());
    let seconds = value.and_then(|value| value.as_f64().or_else(|| with_unit(value.as_str()?)));
    match seconds {
        Some(seconds) if seconds > 0.0 => Duration::try_from_secs_f64(seconds)
            .unwrap_or(MAX_HEARTBEAT_PERIOD)
            .clamp(Duration::from_secs(1), MAX_HEARTBEAT_PERIOD),
        Some(_) | None => DEFAULT_HEARTBEAT_PERIOD,
    }
}

/// A profile as the device's author wrote it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DeviceProfileDraft {
    name: Option<AsWritten>,
    conditions: Option<Vec<Option<OrText<DeviceConditionDraft>>>>,
}

/// A list of profiles; what is a text in it says nothing.
pub(crate) type DeviceProfileDrafts = Vec<Option<OrText<DeviceProfileDraft>>>;

#[derive(Clone, Debug, Deserialize)]
struct DeviceConditionDraft {
    name: Option<AsWritten>,
    expression: Option<AsWritten>,
}

/// Reads device profiles into their canonical order; each name once in the device and each
/// condition once in its profile. What has no name cannot be referred to and is left out.
///
/// # Errors
/// There are too many conditions.
pub(crate) fn device_profiles(drafts: Option<DeviceProfileDrafts>) -> Result<Vec<Profile>, String> {
    let named = |name: Option<AsWritten>| name.map(|it| it.0).filter(|name| !name.is_empty());
    let mut profiles: BTreeMap<ProfileName, BTreeSet<(ConditionName, String)>> = BTreeMap::new();
    for profile in drafts.into_iter().flatten().flatten() {
        let OrText::Fields(profile) = profile else { continue };
        let Some(name) = named(profile.name) else { continue };
        let conditions = profiles.entry(ProfileName::from(name)).or_default();
        for condition in profile.conditions.into_iter().flatten().flatten() {
            let OrText::Fields(condition) = condition else { continue };
            // One without an expression is kept: its evaluation says what is wrong with it.
            let expression = condition.expression.map(|it| it.0).unwrap_or_default();
            conditions.extend(named(condition.name).map(|name| (name.into(), expression)));
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
