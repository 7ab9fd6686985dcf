//! Whether the device's profiles let a workload run now, and within which limits. Pure.

pub(crate) mod gates;
pub(crate) mod turns;

use std::sync::Arc;
use std::time::Duration;

use self::turns::{Wait, Waits};
use super::governor::restraint::Restraint;
use crate::clock::Moment;
use crate::workload::{
    ConditionRef, Limits, Profile, ProfileName, ProfileRef, ProfileVerdicts, Verdict, Verdicts,
};

/// How long after the agent's start a running pod is kept though its profiles lack data: the
/// metrics that allowed it were known before the restart, and will be posted again.
pub(crate) const ADOPTION_GRACE: Duration = Duration::from_secs(120);

/// Whether its profiles let a workload run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// They do, or it names none.
    Granted,
    /// No verdict yet: leave running pods alone and start nothing.
    AwaitingVerdicts,
    /// They do not; says which profile and condition.
    Denied { why: String },
    /// They do not, but its turn to go has not come.
    Yielding { why: String, wait: Wait },
    /// They do again, but its turn to come back has not come.
    Resting { wait: Wait },
}

impl Permission {
    /// Returns it with what the job waits for before it follows its verdicts.
    pub(crate) fn after(self, waits: &Waits) -> Self {
        match (self, &waits.away, &waits.back) {
            (Self::Denied { why }, Some(wait), _) => {
                let why = format!("{why}; it runs on for now: {}", wait.why);
                Self::Yielding { why, wait: wait.clone() }
            }
            (Self::Granted, _, Some(wait)) => Self::Resting { wait: wait.clone() },
            (permission, _, _) => permission,
        }
    }

    /// Returns it where the device has stopped the workload for an objective.
    pub(crate) fn under(self, restraint: &Restraint) -> Self {
        match (self, &restraint.stopped_for) {
            (denied @ Self::Denied { .. }, _) | (denied, None) => denied,
            (_, Some(why)) => Self::Denied { why: why.clone() },
        }
    }

    /// Returns what it waits for while its turn is to come.
    pub(crate) const fn wait(&self) -> Option<&Wait> {
        match self {
            Self::Yielding { wait, .. } | Self::Resting { wait } => Some(wait),
            Self::Granted | Self::AwaitingVerdicts | Self::Denied { .. } => None,
        }
    }
}

/// The latest verdicts, and whether they match the configured profiles.
#[derive(Debug, Default)]
pub(crate) struct LatestVerdicts {
    verdicts: Option<Verdicts>,
    /// What `verdicts` are on.
    evaluated: Arc<[Profile]>,
    configured: Arc<[Profile]>,
}

impl LatestVerdicts {
    /// Returns the verdicts on the profiles of the configuration; `None` while they are still to
    /// come. Those on other profiles say nothing, even of a condition of the same name.
    pub(crate) fn in_force(&self) -> Option<&Verdicts> {
        // Usually the profiles were passed on with their Arc.
        let match_them =
            Arc::ptr_eq(&self.evaluated, &self.configured) || self.evaluated == self.configured;
        self.verdicts.as_ref().filter(|_| match_them)
    }

    /// Takes over the profiles of a configuration.
    pub(crate) fn configure(&mut self, profiles: &Arc<[Profile]>) {
        self.configured = Arc::clone(profiles);
    }

    /// Takes over verdicts on `profiles`; returns those from before.
    pub(crate) fn evaluate(
        &mut self,
        verdicts: Verdicts,
        profiles: Arc<[Profile]>,
    ) -> Option<Verdicts> {
        self.evaluated = profiles;
        self.verdicts.replace(verdicts)
    }
}

/// Returns whether `profiles` let a workload run. `verdicts` are those in force; `None` while they
/// are still to come. `is_running` says whether it runs, or is about to.
pub(crate) fn permission(
    profiles: &[ProfileRef],
    verdicts: Option<&Verdicts>,
    is_running: bool,
    now: Moment,
) -> Permission {
    let eligibility = match verdicts {
        Some(verdicts) => eligibility(profiles, verdicts),
        None if profiles.is_empty() => Eligibility::Allowed,
        None => {
            let because = "its profiles are not evaluated yet".to_owned();
            Eligibility::Undecided { because }
        }
    };
    match eligibility {
        Eligibility::Allowed => Permission::Granted,
        Eligibility::Undecided { .. } if is_running && may_still_come(verdicts, now) => {
            Permission::AwaitingVerdicts
        }
        Eligibility::Undecided { because } | Eligibility::Forbidden { because } => {
            Permission::Denied { why: because }
        }
    }
}

/// Returns whether `profiles` stop a workload that runs: not for want of data that may still come.
pub(crate) fn is_denied(profiles: &[ProfileRef], verdicts: &Verdicts, now: Moment) -> bool {
    match eligibility(profiles, verdicts) {
        Eligibility::Allowed => false,
        Eligibility::Undecided { .. } => !may_still_come(Some(verdicts), now),
        Eligibility::Forbidden { .. } => true,
    }
}

/// Returns the profiles among `profiles` that do not let a workload run.
pub(crate) fn denying<'a>(
    profiles: &'a [ProfileRef],
    verdicts: &'a Verdicts,
) -> impl Iterator<Item = &'a ProfileName> {
    let denies = |profile: &&ProfileRef| {
        let defined = verdicts.get(&profile.name);
        defined.is_none_or(|defined| !is_allowed(profile, defined))
    };
    profiles.iter().filter(denies).map(|profile| &profile.name)
}

/// Returns the limits in force for a workload with `profiles`, and whether they are known: no verdict
/// that may still come would change them.
pub(crate) fn limits_in_force(
    profiles: &[ProfileRef],
    verdicts: Option<&Verdicts>,
    now: Moment,
) -> (Limits, bool) {
    let none = Verdicts::new();
    let known = verdicts.unwrap_or(&none);
    let limits = limits(profiles, known);
    (limits, !may_still_come(verdicts, now) || limits_are_known(limits, profiles, known))
}

/// Returns whether verdicts that are missing will probably come soon.
fn may_still_come(verdicts: Option<&Verdicts>, now: Moment) -> bool {
    verdicts.is_none() || now.monotonic.since_start() < ADOPTION_GRACE
}

/// What the profiles say about a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Eligibility {
    /// It may run: it names no profile, or each of them has a true condition.
    Allowed,
    /// It may not.
    Forbidden {
        /// Which profile and condition forbid it.
        because: String,
    },
    /// It may not, but only for want of data: some condition is unknown and might be true.
    Undecided {
        /// Which profile and condition lack data.
        because: String,
    },
}

/// Returns what `verdicts` say about a workload that names `profiles`.
fn eligibility(profiles: &[ProfileRef], verdicts: &Verdicts) -> Eligibility {
    let mut undecided = None;
    for profile in profiles {
        let Some(defined) = verdicts.get(&profile.name) else {
            let because = format!("the device does not define profile {}", profile.name);
            return Eligibility::Forbidden { because };
        };
        match by_profile(profile, defined) {
            Eligibility::Allowed => {}
            Eligibility::Forbidden { because } => return Eligibility::Forbidden { because },
            Eligibility::Undecided { because } => undecided = undecided.or(Some(because)),
        }
    }
    undecided.map_or(Eligibility::Allowed, |because| Eligibility::Undecided { because })
}

fn by_profile(profile: &ProfileRef, defined: &ProfileVerdicts) -> Eligibility {
    if is_allowed(profile, defined) {
        return Eligibility::Allowed;
    }
    let named = named_verdicts(profile, defined);
    let unknown = named.iter().any(|(_, verdict)| matches!(verdict, Some(Verdict::Unknown)));
    let reasons: Vec<String> = named
        .iter()
        .map(|(condition, verdict)| match verdict {
            None => format!("it has no condition {condition}"),
            Some(Verdict::True) => format!("{condition} is true"),
            Some(Verdict::False) => format!("{condition} is false"),
            Some(Verdict::Unknown) => format!("{condition} is unknown"),
            Some(Verdict::Failed(why)) => format!("{condition} failed: {why}"),
        })
        .collect();
    let because = if reasons.is_empty() {
        format!("profile {} has no conditions", profile.name)
    } else {
        format!("profile {}: {}", profile.name, reasons.join(", "))
    };
    if unknown { Eligibility::Undecided { because } } else { Eligibility::Forbidden { because } }
}

/// Returns whether one of the conditions that count is true.
fn is_allowed(profile: &ProfileRef, defined: &ProfileVerdicts) -> bool {
    if profile.conditions.is_empty() {
        return defined.values().any(Verdict::is_true);
    }
    let verdict = |condition: &ConditionRef| defined.get(&condition.name);
    profile.conditions.iter().any(|it| verdict(it).is_some_and(Verdict::is_true))
}

/// Returns each condition that counts with its verdict; a reference that lists none means all.
fn named_verdicts<'a>(
    profile: &'a ProfileRef,
    defined: &'a ProfileVerdicts,
) -> Vec<(&'a str, Option<&'a Verdict>)> {
    if profile.conditions.is_empty() {
        return defined.iter().map(|(name, verdict)| (name.as_str(), Some(verdict))).collect();
    }
    let verdict_of = |name: &'a str| (name, defined.get(name));
    profile.conditions.iter().map(|condition| verdict_of(condition.name.as_str())).collect()
}

/// Returns whether a verdict that a workload with `profiles` looks at changed.
pub(crate) fn verdicts_differ(
    profiles: &[ProfileRef],
    old: Option<&Verdicts>,
    new: Option<&Verdicts>,
) -> bool {
    profiles.iter().any(|profile| {
        let old = old.map(|old| old.get(&profile.name));
        let new = new.map(|new| new.get(&profile.name));
        match (old, new) {
            // A profile whose verdicts are the same keeps its Arc.
            (Some(Some(old)), Some(Some(new))) => !Arc::ptr_eq(old, new) && old != new,
            (old, new) => old.is_some() != new.is_some() || old.flatten() != new.flatten(),
        }
    })
}

/// Returns what `profiles` name and the device does not define, in plain words.
pub(crate) fn undefined(profiles: &[ProfileRef], verdicts: &Verdicts) -> Option<String> {
    profiles.iter().find_map(|profile| {
        let Some(defined) = verdicts.get(&profile.name) else {
            return Some(format!("the device does not define profile {}", profile.name));
        };
        let missing = profile.conditions.iter().find(|named| !defined.contains_key(&named.name))?;
        Some(format!("profile {} of the device has no condition {}", profile.name, missing.name))
    })
}

/// Returns the limits in force: the smallest among the conditions that are true.
fn limits(profiles: &[ProfileRef], verdicts: &Verdicts) -> Limits {
    let mut limits = Limits::default();
    for profile in profiles {
        let Some(defined) = verdicts.get(&profile.name) else {
            continue;
        };
        for condition in &profile.conditions {
            if !defined.get(&condition.name).is_some_and(Verdict::is_true) {
                continue;
            }
            limits.cpu = smaller(limits.cpu, condition.cpu);
            limits.memory = smaller(limits.memory, condition.memory);
        }
    }
    limits
}

/// Returns whether `limits` are what they will be once every verdict is known: no condition that is
/// unknown could bring a smaller one.
fn limits_are_known(limits: Limits, profiles: &[ProfileRef], verdicts: &Verdicts) -> bool {
    profiles.iter().all(|profile| {
        let defined = verdicts.get(&profile.name);
        profile.conditions.iter().all(|condition| {
            let verdict = defined.and_then(|defined| defined.get(&condition.name));
            verdict.is_some_and(|verdict| *verdict != Verdict::Unknown)
                || smaller(limits.cpu, condition.cpu) == limits.cpu
                    && smaller(limits.memory, condition.memory) == limits.memory
        })
    })
}

fn smaller(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests;
