//! `for`: how long a condition has been true, and when its result can change by itself.

use std::time::Duration;

use crate::condition::Condition;
use crate::evaluator::{EvaluationError, Lookup};
use crate::truth::Truth;

/// What is remembered of one condition from one evaluation to the next. Times are monotonic, since
/// some start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    true_since: Option<Duration>,
}

impl Watch {
    /// Evaluates the condition as of `now`. With `for`, it is true once each evaluation of that
    /// span found it true; until then it is false.
    ///
    /// # Errors
    ///
    /// As [`Condition::evaluate`]; the span begins anew.
    #[inline]
    pub fn evaluate<'a>(
        &mut self,
        condition: &'a Condition,
        lookup: &'a impl Lookup,
        now: Duration,
    ) -> Result<Truth, EvaluationError<'a>> {
        let outcome = condition.evaluate(lookup);
        let is_true = outcome.as_ref().is_ok_and(|truth| truth.is_true());
        self.true_since = is_true.then(|| self.true_since.unwrap_or(now));
        match self.holds_at(condition) {
            Some(holds_at) if holds_at > now => Ok(Truth::False),
            Some(_) | None => outcome,
        }
    }

    /// Returns the earliest moment after `now` at which the result can change with nothing posted:
    /// the span of `for` is over, a metric becomes stale, or a sample leaves a window.
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
        self.holds_at(condition).into_iter().chain(stale).chain(leaves).filter(|at| *at > now).min()
    }

    /// Returns for how long the expression has been true.
    #[must_use]
    pub fn true_for(&self, now: Duration) -> Option<Duration> {
        self.true_since.map(|since| now.saturating_sub(since))
    }

    /// Returns when the condition holds if its expression stays true.
    fn holds_at(&self, condition: &Condition) -> Option<Duration> {
        Some(self.true_since?.saturating_add(condition.hold()?))
    }
}
