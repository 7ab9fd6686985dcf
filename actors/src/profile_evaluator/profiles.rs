//! The conditions of all profiles: which to evaluate when, and what they came to.

mod watched;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use self::watched::Watched;
use super::metrics::{MetricTable, Spans};
use crate::clock::Monotonic;
use crate::messages::{ConditionReport, Shortfall};
use crate::workload::{
    ConditionName, MetricName, PROTECTION, Profile, ProfileName, ProfileVerdicts, Verdict, Verdicts,
};

/// All conditions, in order of profile and name.
#[derive(Default)]
pub(super) struct Profiles {
    conditions: Vec<Watched>,
    /// Which conditions name the metric of a slot: places in `conditions`.
    by_slot: HashMap<u32, Vec<usize>>,
    /// Conditions that name days or hours: places in `conditions`.
    with_calendar: Vec<usize>,
    /// When to look at a condition though nothing was posted. May be too early, never too late:
    /// an entry that a post made obsolete stays until its moment, for that is cheaper.
    due: BTreeSet<(Monotonic, usize)>,
    verdicts: Verdicts,
    /// Whether the device has objectives.
    has_objectives: bool,
    /// Not yet taken by [`Profiles::take_units_missing`].
    units_missing: Vec<UnitMissing>,
}

/// A condition that compares a sample without a unit with a number that has one; once for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitMissing {
    pub(super) profile: ProfileName,
    pub(super) condition: ConditionName,
    /// What is compared with what.
    pub(super) detail: String,
}

/// A verdict that changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) profile: ProfileName,
    pub(super) condition: ConditionName,
    pub(super) verdict: Verdict,
    /// Why, in plain words.
    pub(super) explanation: String,
}

impl Profiles {
    /// Returns the conditions of `configured`, each evaluated, and how they differ from `self`.
    /// A condition whose expression stayed equal keeps its verdict and how long it has been true.
    /// Of two with one name the last one counts.
    pub(super) fn reconfigured(
        &self,
        configured: &[Profile],
        metrics: &mut MetricTable,
        now: Monotonic,
    ) -> (Self, Vec<Change>) {
        let mut next = Self { conditions: self.adopt(configured), ..Self::default() };
        next.assign_slots(metrics, now);
        let conditions = next.conditions.iter().enumerate();
        next.with_calendar =
            conditions.filter(|(_, it)| it.names_calendar()).map(|(place, _)| place).collect();
        next.has_objectives = configured.iter().any(|it| it.name.as_str() == PROTECTION);
        next.verdicts =
            configured.iter().map(|profile| (profile.name.clone(), Arc::default())).collect();
        let changes = next.look_at(0..next.conditions.len(), metrics, now);
        for place in 0..next.conditions.len() {
            next.publish(place);
        }
        next.keep_equal_verdicts(&self.verdicts);
        (next, changes)
    }

    /// Evaluates the conditions that name a metric of `slots`; returns what changed.
    pub(super) fn metrics_posted(
        &mut self,
        slots: &[u32],
        metrics: &mut MetricTable,
        now: Monotonic,
    ) -> Vec<Change> {
        let affected = slots.iter().filter_map(|slot| self.by_slot.get(slot));
        let mut places: Vec<usize> = affected.flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        self.look_at(places, metrics, now)
    }

    /// Evaluates the conditions whose moment has come; returns what changed.
    pub(super) fn time_passed(&mut self, metrics: &mut MetricTable, now: Monotonic) -> Vec<Change> {
        let mut places = BTreeSet::new();
        while let Some((at, place)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            if let Some(watched) = self.conditions.get_mut(place) {
                watched.due = None;
            }
            places.insert(place);
        }
        self.look_at(places, metrics, now)
    }

    /// Evaluates the conditions that name days or hours; returns what changed.
    pub(super) fn clock_trusted(
        &mut self,
        metrics: &mut MetricTable,
        now: Monotonic,
    ) -> Vec<Change> {
        self.look_at(self.with_calendar.clone(), metrics, now)
    }

    /// Returns whether a verdict depends on the local clock.
    pub(super) const fn have_calendar(&self) -> bool {
        !self.with_calendar.is_empty()
    }

    /// Returns the earliest moment at which a verdict can change with nothing posted.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns all verdicts.
    pub(super) const fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    /// Returns how far each objective of the device that is broken is from holding.
    pub(super) fn shortfalls(
        &self,
        metrics: &mut MetricTable,
        now: Monotonic,
    ) -> BTreeMap<ConditionName, Shortfall> {
        let broken = self.conditions.iter().filter(|it| it.is_broken_objective());
        broken.filter_map(|it| Some((it.name.clone(), it.shortfall(metrics, now)?))).collect()
    }

    /// Returns whether a metric of `slots` is one of an objective of the device that is broken.
    pub(super) fn measure_objective(&self, slots: &[u32]) -> bool {
        self.has_objectives && {
            let affected = slots.iter().filter_map(|slot| self.by_slot.get(slot)).flatten();
            let mut affected = affected.filter_map(|place| self.conditions.get(*place));
            affected.any(Watched::is_broken_objective)
        }
    }

    /// Returns the conditions found since the last call that compare a sample without a unit with a
    /// number that has one.
    pub(super) fn take_units_missing(&mut self) -> Vec<UnitMissing> {
        std::mem::take(&mut self.units_missing)
    }

    /// Returns every condition as it stands.
    pub(super) fn report(&self, metrics: &mut MetricTable, now: Monotonic) -> Vec<ConditionReport> {
        self.conditions
            .iter()
            .map(|watched| ConditionReport {
                profile: watched.profile.to_string(),
                condition: watched.name.to_string(),
                expression: watched.expression.clone(),
                verdict: watched.verdict.clone(),
                explanation: watched.explain(metrics, now),
            })
            .collect()
    }

    fn adopt(&self, configured: &[Profile]) -> Vec<Watched> {
        let mut wanted = BTreeMap::new();
        for profile in configured {
            for condition in &profile.conditions {
                let key = (profile.name.clone(), condition.name.clone());
                wanted.insert(key, condition.expression.as_str());
            }
        }
        wanted
            .into_iter()
            .map(|((profile, name), expression)| {
                match self.expressed_so(&profile, &name, expression) {
                    Some(known) => known.carried_over(),
                    None => Watched::read(profile, name, expression),
                }
            })
            .collect()
    }

    /// Returns the condition of the same profile, name and expression.
    fn expressed_so(
        &self,
        profile: &ProfileName,
        name: &ConditionName,
        expression: &str,
    ) -> Option<&Watched> {
        let place = self
            .conditions
            .binary_search_by(|known| (&known.profile, &known.name).cmp(&(profile, name)));
        let known = self.conditions.get(place.ok()?)?;
        (known.expression == expression).then_some(known)
    }

    fn assign_slots(&mut self, metrics: &mut MetricTable, now: Monotonic) {
        metrics.forget_unposted();
        let mut spans = Spans::new();
        for (place, watched) in self.conditions.iter().enumerate() {
            let Ok(condition) = &watched.condition else {
                continue;
            };
            for metric in condition.metrics() {
                let slot = metrics.slot(&MetricName::from(metric.name()));
                spans.entry(slot).or_default();
                self.by_slot.entry(slot).or_default().push(place);
            }
            for window in condition.windows() {
                let slot = metrics.slot(&MetricName::from(window.metric().name()));
                spans.entry(slot).or_default().insert(window.span());
            }
        }
        metrics.watch_only(&spans, now);
        for watched in &mut self.conditions {
            if let Ok(condition) = &mut watched.condition {
                condition.assign_slots(
                    |name| metrics.slot(&MetricName::from(name)),
                    |window| {
                        let spans = spans.get(&window.metric().slot());
                        let place =
                            spans.and_then(|spans| spans.iter().position(|s| *s == window.span()));
                        place.and_then(|place| u32::try_from(place).ok()).unwrap_or(u32::MAX)
                    },
                );
            }
        }
    }

    /// Evaluates the conditions at `places` and plans their next evaluation.
    fn look_at(
        &mut self,
        places: impl IntoIterator<Item = usize>,
        metrics: &mut MetricTable,
        now: Monotonic,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for place in places {
            let Some(watched) = self.conditions.get_mut(place) else {
                continue;
            };
            let has_changed = watched.evaluate(metrics, now);
            if let Some(detail) = watched.report_unit_missing(metrics, now) {
                let (profile, condition) = (watched.profile.clone(), watched.name.clone());
                self.units_missing.push(UnitMissing { profile, condition, detail });
            }
            if let Some(next) = watched.next_change(metrics, now)
                && watched.due.is_none_or(|due| next < due)
            {
                if let Some(obsolete) = watched.due.replace(next) {
                    self.due.remove(&(obsolete, place));
                }
                self.due.insert((next, place));
            }
            if has_changed {
                changes.push(Change {
                    profile: watched.profile.clone(),
                    condition: watched.name.clone(),
                    verdict: watched.verdict.clone(),
                    explanation: watched.explain(metrics, now),
                });
                self.publish(place);
            }
        }
        changes
    }

    /// Brings the verdict on the condition at `place` into the table of all.
    fn publish(&mut self, place: usize) {
        if let Some(watched) = self.conditions.get(place) {
            let verdicts = self.verdicts.entry(watched.profile.clone()).or_default();
            Arc::<ProfileVerdicts>::make_mut(verdicts)
                .insert(watched.name.clone(), watched.verdict.clone());
        }
    }

    /// Lets a profile whose verdicts are as before keep its `Arc`.
    fn keep_equal_verdicts(&mut self, before: &Verdicts) {
        for (profile, verdicts) in &mut self.verdicts {
            if let Some(known) = before.get(profile).filter(|known| *known == verdicts) {
                *verdicts = Arc::clone(known);
            }
        }
    }
}

#[cfg(test)]
mod tests;
