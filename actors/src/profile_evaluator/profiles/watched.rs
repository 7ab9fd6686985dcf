//! One condition under watch.

use std::sync::Arc;

use grammar::{Condition, Lookup as _, Truth, Watch};

use crate::clock::Monotonic;
use crate::messages::Shortfall;
use crate::profile_evaluator::local_clock::LOOK_PERIOD;
use crate::profile_evaluator::metrics::MetricTable;
use crate::workload::{ConditionName, PROTECTION, ProfileName, Verdict};

/// One condition, and what is remembered of it.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) profile: ProfileName,
    pub(super) name: ConditionName,
    pub(super) expression: String,
    /// What the expression says, or why it says nothing.
    pub(super) condition: Result<Condition, Arc<str>>,
    watch: Watch,
    is_new: bool,
    /// It was reported that a sample without a unit is compared with a number that has one.
    is_unit_missing: bool,
    /// What it last came to.
    pub(super) verdict: Verdict,
    /// When it is looked at though nothing was posted.
    pub(super) due: Option<Monotonic>,
}

impl Watched {
    /// Reads the expression.
    pub(super) fn read(profile: ProfileName, name: ConditionName, expression: &str) -> Self {
        Self {
            profile,
            name,
            expression: expression.to_owned(),
            condition: Condition::parse(expression).map_err(|error| error.to_string().into()),
            watch: Watch::default(),
            is_new: true,
            is_unit_missing: false,
            verdict: Verdict::Unknown,
            due: None,
        }
    }

    /// Returns the same condition for the next configuration, with all that is remembered of it.
    pub(super) fn carried_over(&self) -> Self {
        Self { due: None, ..self.clone() }
    }

    /// Evaluates the condition; returns whether the verdict is the first one or another one.
    pub(super) fn evaluate(&mut self, metrics: &mut MetricTable, now: Monotonic) -> bool {
        let verdict = match &self.condition {
            Ok(condition) => {
                metrics.advance(condition, now);
                let lookup = metrics.at(now);
                match self.watch.evaluate(condition, &lookup, now.since_start()) {
                    Ok(Truth::True) => Verdict::True,
                    Ok(Truth::False) => Verdict::False,
                    Ok(Truth::Unknown) => Verdict::Unknown,
                    Err(error) => Verdict::Failed(error.to_string().into()),
                }
            }
            Err(reason) => Verdict::Failed(Arc::clone(reason)),
        };
        let has_changed = self.is_new || self.verdict != verdict;
        self.is_new = false;
        self.verdict = verdict;
        has_changed
    }

    /// Returns which sample without a unit is compared with a number that has one, as
    /// [`Condition::unit_missing`] says it; once.
    pub(super) fn report_unit_missing(
        &mut self,
        metrics: &MetricTable,
        now: Monotonic,
    ) -> Option<String> {
        if self.is_unit_missing {
            return None;
        }
        let detail = self.condition.as_ref().ok()?.unit_missing(&metrics.at(now))?;
        self.is_unit_missing = true;
        Some(detail)
    }

    /// Returns the earliest moment at which the verdict can change with nothing posted.
    pub(super) fn next_change(&self, metrics: &MetricTable, now: Monotonic) -> Option<Monotonic> {
        let condition = self.condition.as_ref().ok()?;
        let lookup = metrics.at(now);
        let next = self.watch.next_change(condition, &lookup, now.since_start());
        let waits_for_clock = self.names_calendar() && lookup.local_time().is_none();
        let look_again = waits_for_clock.then(|| now + LOOK_PERIOD);
        next.map(Monotonic::from_start).into_iter().chain(look_again).min()
    }

    /// Returns whether its verdict depends on the local clock.
    pub(super) fn names_calendar(&self) -> bool {
        self.condition.as_ref().is_ok_and(|condition| !condition.calendars().is_empty())
    }

    /// Returns whether it is an objective of the device that is broken.
    pub(super) fn is_broken_objective(&self) -> bool {
        self.verdict == Verdict::False && self.profile.as_str() == PROTECTION
    }

    /// Returns how far a condition that is false is from being true.
    pub(super) fn shortfall(&self, metrics: &mut MetricTable, now: Monotonic) -> Option<Shortfall> {
        if self.verdict != Verdict::False {
            return None;
        }
        let condition = self.condition.as_ref().ok()?;
        metrics.advance(condition, now);
        let measured_at = metrics.measured_at(condition, now).unwrap_or(now);
        // While it must yet hold for its time nothing is short but that.
        let by = condition.shortfall(&metrics.at(now)).unwrap_or_default();
        Some(Shortfall { by, measured_at })
    }

    /// Explains the verdict, in plain words.
    pub(super) fn explain(&self, metrics: &mut MetricTable, now: Monotonic) -> String {
        match (&self.condition, &self.verdict) {
            (_, Verdict::Failed(reason)) | (Err(reason), _) => reason.to_string(),
            (Ok(condition), Verdict::True | Verdict::False | Verdict::Unknown) => {
                metrics.advance(condition, now);
                let now_since_start = now.since_start();
                self.watch.explain(condition, &metrics.at(now), now_since_start)
            }
        }
    }
}
