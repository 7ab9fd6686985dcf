//! What a configuration says about the device itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grammar::{Condition, Window};
use serde::Deserialize;
use serde_json::Value;

use super::retry::seconds_of;
use crate::workload::{
    ConditionName, Objective, PROTECTION, Profile, ProfileCondition, ProfileName,
};
use crate::yaml::{AsWritten, OrText};

/// What holds when the server names no period.
const DEFAULT_HEARTBEAT_PERIOD: Duration = Duration::from_secs(60);

/// A longer period saturates here: a mistyped one must not silence the device for good.
const MAX_HEARTBEAT_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Most conditions of a device, and most bytes of all their expressions together: they are parsed, and
/// evaluated when a metric is posted, on the thread of all actors.
const MAX_CONDITIONS: usize = 2_000;
const MAX_EXPRESSIONS: usize = 128 * 1024;

/// Most objectives of a device, and most bytes of the condition of one.
const MAX_OBJECTIVES: usize = 32;
const MAX_OBJECTIVE: usize = 4_096;
/// Time after a step until its effect is judged, where the author does not say: so long, and as long as the
/// condition looks back.
const DEFAULT_SETTLING: Duration = Duration::from_secs(10);
/// Time for which an objective must hold before a step is taken back, where the author does not say.
const DEFAULT_CALM: Duration = Duration::from_secs(5 * 60);
/// What those are called that the setting `PROTECT` brings.
const OWN_OBJECTIVE: &str = "PROTECT";
/// Shortest and longest of either.
const OBJECTIVE_TIMES: std::ops::RangeInclusive<f64> = 1.0..=86_400.0;

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
        if name == PROTECTION {
            return Err(format!(
                "no profile can be called {name}: the objectives are evaluated as it"
            ));
        }
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

/// An objective as the device's author wrote it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "the fields of an objective")]
pub(crate) struct ObjectiveDraft {
    name: Option<AsWritten>,
    keep: Option<AsWritten>,
    settling_seconds: Option<AsWritten>,
    calm_seconds: Option<AsWritten>,
}

/// A list of objectives, each by its condition alone or with a name and times.
pub(crate) type ObjectiveDrafts = Vec<Option<OrText<ObjectiveDraft>>>;

/// Reads what the device is to keep, in the order of the list.
///
/// # Errors
/// Says which of them cannot be used, and why.
pub(crate) fn objectives(drafts: Option<ObjectiveDrafts>) -> Result<Vec<Objective>, String> {
    let drafts = drafts.into_iter().flatten().flatten().enumerate();
    let objectives = drafts.map(|(place, draft)| objective(place.saturating_add(1), draft));
    let objectives: Vec<Objective> = objectives.collect::<Result<_, _>>()?;
    if objectives.len() > MAX_OBJECTIVES {
        let count = objectives.len();
        return Err(format!("there are {count} objectives; at most {MAX_OBJECTIVES} are read"));
    }
    let is_named_so = |objective: &Objective, other: &Objective| objective.name == other.name;
    for (place, objective) in objectives.iter().enumerate() {
        if objectives.iter().take(place).any(|other| is_named_so(objective, other)) {
            return Err(format!("two objectives are called {:?}", objective.name.as_str()));
        }
    }
    Ok(objectives)
}

/// Reads conditions that the device is to keep, with the usual times.
pub fn objectives_of(conditions: &[String]) -> Vec<Objective> {
    let objective = |(place, keep): (usize, &String)| Objective {
        name: unnamed_objective(OWN_OBJECTIVE, place.saturating_add(1)),
        keep: keep.clone(),
        settling: DEFAULT_SETTLING + Condition::parse(keep).map_or(Duration::ZERO, |it| span(&it)),
        calm: DEFAULT_CALM,
    };
    conditions.iter().enumerate().map(objective).collect()
}

/// Returns how far back a condition looks.
fn span(condition: &Condition) -> Duration {
    condition.windows().iter().map(Window::span).max().unwrap_or_default()
}

fn unnamed_objective(prefix: &str, number: usize) -> ConditionName {
    ConditionName::from(format!("{prefix}-{number}"))
}

fn objective(number: usize, draft: OrText<ObjectiveDraft>) -> Result<Objective, String> {
    let draft = match draft {
        OrText::Fields(draft) => draft,
        OrText::Text(keep) => {
            ObjectiveDraft { keep: Some(AsWritten(keep)), ..ObjectiveDraft::default() }
        }
    };
    let text = |text: Option<AsWritten>| text.map(|it| it.0.trim().to_owned());
    let name = text(draft.name).filter(|name| !name.is_empty());
    let name = name.map_or_else(|| unnamed_objective("objective", number), ConditionName::from);
    let keep = text(draft.keep).filter(|keep| !keep.is_empty()).ok_or_else(|| {
        format!("objective {:?} has no condition; write it as keep", name.as_str())
    })?;
    if name.as_str().starts_with(OWN_OBJECTIVE) {
        return Err(format!(
            "objective {:?} is called as those of the setting PROTECT are; call it otherwise",
            name.as_str()
        ));
    }
    if keep.len() > MAX_OBJECTIVE {
        return Err(format!(
            "the condition of objective {:?} has more than {MAX_OBJECTIVE} bytes",
            name.as_str()
        ));
    }
    let condition = Condition::parse(&keep).map_err(|error| {
        format!("the condition of objective {:?} cannot be read: {error}", name.as_str())
    })?;
    let span = span(&condition);
    let time = |field: &str, written: Option<AsWritten>, default: Duration| {
        let Some(AsWritten(written)) = written else { return Ok(default) };
        let seconds = seconds_of(&written).filter(|seconds| OBJECTIVE_TIMES.contains(seconds));
        let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        time.ok_or_else(|| {
            let (least, most) = (OBJECTIVE_TIMES.start(), OBJECTIVE_TIMES.end());
            format!(
                "{field} of objective {:?} is no number of seconds from {least} to {most}",
                name.as_str()
            )
        })
    };
    let settling = time("settlingSeconds", draft.settling_seconds, DEFAULT_SETTLING + span)?;
    if settling < span {
        return Err(format!(
            "settlingSeconds of objective {:?} is shorter than the {} s that its condition looks back: \
             no effect would show",
            name.as_str(),
            span.as_secs()
        ));
    }
    Ok(Objective {
        settling,
        calm: time("calmSeconds", draft.calm_seconds, DEFAULT_CALM)?,
        name,
        keep,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn read(list: &str) -> Result<Vec<Objective>, String> {
        objectives(Some(yaml::from_str(list).unwrap()))
    }

    #[test]
    fn an_objective_is_a_condition_with_a_name_and_times_or_without() {
        let found = read(
            "[cpu < 90%, {name: heat, keep: temp < 80C, settlingSeconds: 30s, calmSeconds: 600}, \
             'max(temp, 1m) < 80C']",
        );
        let found = found.unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|it| {
                (it.name.as_str(), it.keep.as_str(), it.settling.as_secs(), it.calm.as_secs())
            })
            .collect();
        let expected = [
            ("objective-1", "cpu < 90%", 10, 300),
            ("heat", "temp < 80C", 30, 600),
            ("objective-3", "max(temp, 1m) < 80C", 70, 300),
        ];
        assert_eq!(shown, expected);
        assert_eq!(objectives(None), Ok(Vec::new()));
        assert_eq!(objectives_of(&["a < 1".to_owned()])[0].name.as_str(), "PROTECT-1");
    }

    #[test]
    fn an_objective_that_says_nothing_clear_is_refused_by_name() {
        for (list, part) in [
            ("[{name: heat}]", "objective \"heat\" has no condition; write it as keep"),
            ("['']", "objective \"objective-1\" has no condition"),
            ("[{keep: a < 1, settlingSeconds: 0}]", "settlingSeconds of objective \"objective-1\""),
            ("[{keep: a < 1, calmSeconds: soon}]", "from 1 to 86400"),
            ("[{keep: 'max(a, 1m) < 1', settlingSeconds: 30}]", "shorter than the 60 s"),
            ("[a <]", "the condition of objective \"objective-1\" cannot be read"),
            ("[{name: PROTECT-1, keep: a < 1}]", "called as those of the setting PROTECT"),
            ("[{name: a, keep: a < 1}, {name: a, keep: b < 1}]", "two objectives are called \"a\""),
        ] {
            let reason = read(list).unwrap_err();
            assert!(reason.contains(part), "{list}: {reason}");
        }
        let many = format!("[{}]", "a < 1, ".repeat(33));
        assert!(read(&many).unwrap_err().contains("33 objectives; at most 32"));
    }
}
