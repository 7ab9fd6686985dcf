//! `for` and `until`: what a condition remembers, and when its result can change by itself.

use std::time::Duration;

use crate::ast::Clause;
use crate::condition::Condition;
use crate::evaluator::{EvaluationError, Lookup};
use crate::truth::Truth;

/// What is remembered of one condition from one evaluation to the next. Times are monotonic, since
/// some start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    true_since: Option<Duration>,
    /// Since when the expression after `until` has been true.
    end_true_since: Option<Duration>,
    /// With `until`: it has begun, and not ended.
    is_on: bool,
}

impl Watch {
    /// Evaluates the condition as of `now`. With `for`, it is true once each evaluation of that
    /// span found it true; until then it is false.
    ///
    /// With `until`, it becomes true when the expression before it is true and the one after it is not,
    /// and false when the one after it is true. While that one is unknown so is the condition; what was
    /// before goes on afterwards.
    ///
    /// # Errors
    ///
    /// As [`Condition::evaluate`]; all that was remembered is forgotten.
    #[inline]
    pub fn evaluate<'a>(
        &mut self,
        condition: &'a Condition,
        lookup: &'a impl Lookup,
        now: Duration,
    ) -> Result<Truth, EvaluationError<'a>> {
        if let Some(end) = &condition.end {
            return self.evaluate_both(condition, end, lookup, now);
        }
        let outcome = condition.truth_of(&condition.begin.expr, lookup);
        let is_true = outcome.as_ref().is_ok_and(|truth| truth.is_true());
        self.true_since = is_true.then(|| self.true_since.unwrap_or(now));
        match self.holds_at(condition) {
            Some(holds_at) if holds_at > now => Ok(Truth::False),
            Some(_) | None => outcome,
        }
    }

    #[inline(never)]
    fn evaluate_both<'a>(
        &mut self,
        condition: &'a Condition,
        end: &'a Clause,
        lookup: &'a impl Lookup,
        now: Duration,
    ) -> Result<Truth, EvaluationError<'a>> {
        let known = std::mem::take(self);
        let begin_truth = condition.truth_of(&condition.begin.expr, lookup)?;
        let end_truth = condition.truth_of(&end.expr, lookup)?;
        self.true_since = begin_truth.is_true().then(|| known.true_since.unwrap_or(now));
        self.end_true_since = end_truth.is_true().then(|| known.end_true_since.unwrap_or(now));
        let is_early = |holds_at: Option<Duration>| holds_at.is_some_and(|at| at > now);
        let begins = if is_early(self.holds_at(condition)) { Truth::False } else { begin_truth };
        let ends = if is_early(self.ends_at(condition)) { Truth::False } else { end_truth };
        let truth = if known.is_on { !ends } else { begins.and(!ends) };
        self.is_on = match truth {
            Truth::True => true,
            Truth::False => false,
            Truth::Unknown => known.is_on,
        };
        Ok(truth)
    }

    /// Returns the earliest moment after `now` at which the result can change with nothing posted:
    /// the span of a `for` is over, a metric becomes stale, a sample leaves a window, or the local clock
    /// reads another day or hour, or may have been put forward or back.
    #[must_use]
    pub fn next_change(
        &self,
        condition: &Condition,
        lookup: &impl Lookup,
        now: Duration,
    ) -> Option<Duration> {
        let stale = condition.metrics().iter().filter_map(|metric| lookup.expires_at(metric));
        let leaves = condition
            .windows()
            .iter()
            .filter_map(|window| lookup.samples(window)?.next_change(window.function()));
        let held = self.holds_at(condition).into_iter().chain(self.ends_at(condition));
        let turns = condition
            .calendars()
            .iter()
            .filter_map(|calendar| Some(calendar.changes_in(&lookup.local_time()?)))
            .map(|wait| now.saturating_add(wait));
        held.chain(stale).chain(leaves).chain(turns).filter(|at| *at > now).min()
    }

    /// Returns for how long the expression has been true, with `until` the one before it.
    #[must_use]
    pub fn true_for(&self, now: Duration) -> Option<Duration> {
        self.true_since.map(|since| now.saturating_sub(since))
    }

    /// Returns for how long the expression after `until` has been true.
    pub(crate) fn end_true_for(&self, now: Duration) -> Option<Duration> {
        self.end_true_since.map(|since| now.saturating_sub(since))
    }

    /// Returns whether a condition with `until` has begun, and not ended.
    pub(crate) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Returns when the condition holds if its expression stays true.
    fn holds_at(&self, condition: &Condition) -> Option<Duration> {
        Some(self.true_since?.saturating_add(condition.hold()?))
    }

    /// Returns when the condition ends if the expression after `until` stays true.
    fn ends_at(&self, condition: &Condition) -> Option<Duration> {
        Some(self.end_true_since?.saturating_add(condition.end_hold()?))
    }
}
