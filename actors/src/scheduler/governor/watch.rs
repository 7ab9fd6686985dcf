//! One objective under watch. Pure.

use std::time::Duration;

use super::search::Memory;
use super::step::Standing;
use crate::clock::Monotonic;
use crate::workload::Objective;

/// Time until all steps are tried anew after none was left, doubled each time.
const MIN_REST: Duration = Duration::from_secs(5 * 60);
/// Longest such time, and longest calm time of an objective that breaks as soon as steps are taken back.
const MAX_REST: Duration = Duration::from_secs(60 * 60);

/// The state of one objective.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) objective: Objective,
    pub(super) standing: Standing,
    /// What earlier steps have shown.
    pub(super) memory: Memory,
    /// Since when it has not been broken.
    calm_since: Option<Monotonic>,
    /// For how long it must hold before a step is taken back: longer after each relapse.
    calm: Duration,
    /// When a step of it was last taken back for calm.
    released_at: Option<Monotonic>,
    /// Until when it is not told again that no step is left, and none is tried twice.
    rests_until: Option<Monotonic>,
    rest: Duration,
}

impl Watch {
    /// Returns one of which nothing is known.
    pub(super) fn new(objective: Objective) -> Self {
        Self {
            calm: objective.calm,
            objective,
            standing: Standing::Unknown,
            memory: Memory::default(),
            calm_since: None,
            released_at: None,
            rests_until: None,
            rest: MIN_REST,
        }
    }

    /// Takes in how it stands now.
    pub(super) fn note(&mut self, standing: Standing, now: Monotonic) {
        self.end_rest(now);
        let was_broken = self.is_broken();
        self.standing = standing;
        match standing {
            Standing::Broken { .. } => {
                self.calm_since = None;
                let is_relapse = self.released_at.is_some_and(|at| now < at + self.calm);
                if !was_broken && is_relapse {
                    self.calm = (self.calm * 2).min(MAX_REST.max(self.objective.calm));
                    self.released_at = None;
                }
            }
            // Of one that is unknown nothing says that it is at risk.
            Standing::Kept | Standing::Unknown => {
                let since = *self.calm_since.get_or_insert(now);
                self.memory.begin_anew();
                self.rests_until.take_if(|_| now >= since + self.calm);
            }
        }
    }

    /// Returns whether it is broken.
    pub(super) const fn is_broken(&self) -> bool {
        matches!(self.standing, Standing::Broken { .. })
    }

    /// Returns by how much it is broken, if a step may help: not while it has only yet to hold for its time.
    pub(super) fn at_risk(&self) -> Option<f64> {
        match self.standing {
            Standing::Broken { shortfall, .. } => Some(shortfall).filter(|by| *by > 0.0),
            Standing::Kept | Standing::Unknown => None,
        }
    }

    /// Returns when a step of it is taken back, if it holds until then.
    pub(super) fn release_at(&self) -> Option<Monotonic> {
        let since = self.calm_since?;
        let held = since + self.calm;
        // The next one soon after the last: that it still holds then shows that it bears it.
        let next =
            self.released_at.filter(|at| *at >= since).map(|at| at + self.objective.settling);
        Some(next.map_or(held, |next| next.max(held)))
    }

    /// Notes that a step of it was taken back for calm.
    pub(super) fn released(&mut self, now: Monotonic) {
        self.released_at = Some(now);
    }

    /// Has all steps tried again, if that is due.
    fn end_rest(&mut self, now: Monotonic) {
        if self.rests_until.take_if(|until| *until <= now).is_some() {
            self.memory.begin_anew();
        }
    }

    /// Notes that no step is left; returns whether that is news.
    pub(super) fn exhausted(&mut self, now: Monotonic) -> bool {
        if self.rests_until.is_some() {
            return false;
        }
        self.rests_until = Some(now + self.rest);
        self.rest = (self.rest * 2).min(MAX_REST);
        true
    }

    /// Returns when all steps are tried again, while it is broken.
    pub(super) fn rests_until(&self) -> Option<Monotonic> {
        self.rests_until.filter(|_| self.is_broken())
    }

    /// Believes an objective again that has held without any step for as long as it had to.
    pub(super) fn forget_relapses(&mut self, now: Monotonic) {
        let has_held = self.calm_since.is_some_and(|since| now >= since + self.calm);
        if has_held && self.standing == Standing::Kept {
            (self.calm, self.rest) = (self.objective.calm, MIN_REST);
        }
    }
}
