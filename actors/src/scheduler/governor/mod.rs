//! Keeps the device's objectives: while one is broken, restrains workloads step by step, and takes the steps
//! back once it holds again. Pure.
//!
//! ```text
//!             broken                    settled, no better
//!   holds ─────────────▶ a step ───────────────────────────▶ taken back, the next one
//!     ▲                    │ settled, better
//!     │                    ▼
//!     │                  kept ──── still broken ─────────────▶ the next one
//!     │                    │ holds for the calm time
//!     └──── none left ◀────┴─── the last step is taken back, then after a settling time the one before it
//! ```
//!
//! One step at a time on the whole device: what is measured after it is its effect, and no other's. A
//! step is tried for its effect alone; which metrics an objective is about is nothing that the agent knows.

pub(crate) mod restraint;
mod search;
mod step;
pub(crate) mod usage;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use self::search::next_step;
pub(crate) use self::step::{Candidate, News, Progress, Reason, Standing, Step};
use self::watch::Watch;
use crate::clock::Monotonic;
use crate::workload::{ConditionName, Governed, Objective, Rung, WorkloadName};

/// The share of its shortfall by which an objective must have come nearer for a step to have helped.
const LEAST_EFFECT: f64 = 0.1;
/// Longest wait for a command that carries a step out, or takes it back.
const MAX_PENDING: Duration = Duration::from_secs(60);
/// Longest wait for a measurement after the settling time.
const MAX_MEASURING: Duration = Duration::from_secs(5 * 60);
/// Time between two looks at what is waited for.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// After its start the agent does not know yet what there is to restrain.
const SYNC_TIME: Duration = Duration::from_secs(60);

/// The step whose effect is yet to be seen.
#[derive(Debug)]
struct Trial {
    step: Step,
    /// The shortfall before it.
    before: f64,
    /// Since when it is carried out.
    done_at: Option<Monotonic>,
}

/// A step that did not help: nothing is tried before it is undone.
#[derive(Debug)]
struct Undoing {
    step: Step,
    since: Monotonic,
    done_at: Option<Monotonic>,
}

/// What the governor needs to know of the device.
pub(crate) struct Device<'a> {
    pub(crate) candidates: &'a [Candidate],
    pub(crate) standing: &'a dyn Fn(&ConditionName) -> Standing,
    /// How far a step has been carried out, or undone if it is no longer in force.
    pub(crate) progress: &'a dyn Fn(&Step, bool) -> Progress,
    /// Whether more will soon be known of what the candidates use.
    pub(crate) awaits_usage: bool,
}

/// Takes steps and takes them back.
#[derive(Debug, Default)]
pub(crate) struct Governor {
    watches: Vec<Watch>,
    /// Oldest first.
    steps: Vec<Step>,
    trial: Option<Trial>,
    undoing: Option<Undoing>,
    next_look: Option<Monotonic>,
    /// What was done so far; times in which a workload is frozen count once they end.
    done: Governed,
}

impl Governor {
    /// Takes over the objectives of a configuration. One that stays the same keeps what it has learnt.
    pub(crate) fn configure(&mut self, objectives: &[Objective]) {
        let mut old: BTreeMap<_, _> =
            self.watches.drain(..).map(|watch| (watch.objective.name.clone(), watch)).collect();
        let watch = |objective: &Objective| {
            let known = old.remove(&objective.name);
            match known {
                Some(watch) if watch.objective == *objective => watch,
                known => {
                    let changed = known.map(|watch| watch.objective.name);
                    // What was measured before says nothing by another condition.
                    self.trial.take_if(|trial| Some(&trial.step.objective) == changed.as_ref());
                    Watch::new(objective.clone())
                }
            }
        };
        self.watches = objectives.iter().map(watch).collect();
    }

    /// Returns whether there is nothing to keep and nothing to take back.
    pub(crate) const fn is_idle(&self) -> bool {
        self.watches.is_empty() && self.steps.is_empty()
    }

    /// Returns whether a step is in force or being undone.
    pub(crate) const fn has_steps(&self) -> bool {
        !self.steps.is_empty() || self.undoing.is_some()
    }

    /// Returns the steps in force for a workload.
    pub(crate) fn steps_of<'a>(
        &'a self,
        workload: &'a WorkloadName,
    ) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.workload == *workload)
    }

    /// Returns the objectives.
    pub(crate) fn objectives(&self) -> impl Iterator<Item = &Objective> {
        self.watches.iter().map(|watch| &watch.objective)
    }

    /// Returns whether an objective is broken.
    pub(crate) fn is_any_broken(&self) -> bool {
        self.watches.iter().any(Watch::is_broken)
    }

    /// Returns whether a step is to be tried as soon as it is known which.
    pub(crate) fn is_searching(&self) -> bool {
        let is_at_risk = |it: &Watch| it.at_risk().is_some() && it.rests_until().is_none();
        self.trial.is_none() && self.undoing.is_none() && self.watches.iter().any(is_at_risk)
    }

    /// Returns when to look again though nothing happens.
    pub(crate) fn next_look(&self) -> Option<Monotonic> {
        self.next_look.filter(|_| !self.is_idle())
    }

    /// Takes back a step that the runtime cannot carry out; returns whether it was in force.
    pub(crate) fn unsupported(
        &mut self,
        workload: &WorkloadName,
        rung: Rung,
        now: Monotonic,
    ) -> bool {
        let is_it = |step: &Step| step.workload == *workload && step.rung == rung;
        let dropped = self.steps.iter().find(|step| is_it(step)).cloned();
        if let Some(step) = &dropped
            && let Some(watch) = self.watch(&step.objective)
        {
            watch.memory.tried(step);
        }
        !self.drop_steps(is_it, Reason::Obsolete, now).is_empty()
    }

    /// Returns what was done so far.
    pub(crate) fn governed(&self, now: Monotonic) -> Governed {
        let mut done = self.done.clone();
        self.steps.iter().for_each(|step| count_frozen(&mut done, step, now));
        done
    }

    /// Takes in how the device stands; returns what is taken and taken back.
    pub(crate) fn advance(&mut self, device: &Device<'_>, now: Monotonic) -> Vec<News> {
        let mut news = self.drop_obsolete(device, now);
        for watch in &mut self.watches {
            watch.note((device.standing)(&watch.objective.name), now);
        }
        // First: what was taken back just now has yet to be asked for.
        self.look_at_undoing(device, now);
        self.judge(device, now, &mut news);
        let is_free = |it: &Self| it.trial.is_none() && it.undoing.is_none();
        if is_free(self) && !self.awaits_usage(device) {
            self.try_next(device, now, &mut news);
        }
        if is_free(self) {
            self.release(now, &mut news);
        }
        self.next_look = self.looks_again_at(device, now);
        news
    }

    /// Returns whether the next step waits for what the candidates use.
    fn awaits_usage(&self, device: &Device<'_>) -> bool {
        device.awaits_usage && self.is_searching()
    }

    fn watch(&mut self, name: &ConditionName) -> Option<&mut Watch> {
        self.watches.iter_mut().find(|watch| watch.objective.name == *name)
    }

    fn settling_of(&self, name: &ConditionName) -> Duration {
        let watch = self.watches.iter().find(|watch| watch.objective.name == *name);
        watch.map_or(Duration::ZERO, |watch| watch.objective.settling)
    }

    fn drop_obsolete(&mut self, device: &Device<'_>, now: Monotonic) -> Vec<News> {
        if self.steps.is_empty() {
            return Vec::new();
        }
        let objectives: Vec<_> = self.watches.iter().map(|it| it.objective.name.clone()).collect();
        let is_allowed = |step: &Step| {
            let mut candidates = device.candidates.iter();
            candidates.any(|it| it.name == step.workload && it.rungs.contains(step.rung))
        };
        self.drop_steps(
            |step| !objectives.contains(&step.objective) || !is_allowed(step),
            Reason::Obsolete,
            now,
        )
    }

    fn drop_steps(
        &mut self,
        is_dropped: impl Fn(&Step) -> bool,
        reason: Reason,
        now: Monotonic,
    ) -> Vec<News> {
        self.trial.take_if(|trial| is_dropped(&trial.step));
        let dropped: Vec<_> = self.steps.extract_if(.., |step| is_dropped(step)).collect();
        dropped.iter().for_each(|step| count_frozen(&mut self.done, step, now));
        dropped.into_iter().map(|step| News::TakenBack(step, reason)).collect()
    }

    /// Ends the trial if its time has come: a step that has not helped is taken back.
    fn judge(&mut self, device: &Device<'_>, now: Monotonic, news: &mut Vec<News>) {
        let Some(mut trial) = self.trial.take() else { return };
        match (device.progress)(&trial.step, true) {
            Progress::Done => drop(trial.done_at.get_or_insert(now)),
            Progress::Pending if now >= trial.step.since + MAX_PENDING => {
                return self.undo(trial.step, Reason::NotDone, now, news);
            }
            Progress::UnderWay | Progress::Pending => {}
        }
        let settling = self.settling_of(&trial.step.objective);
        // What is at risk within seconds does not wait for what is within minutes.
        let is_urgent = |watch: &Watch| {
            watch.at_risk().is_some()
                && watch.objective.settling < settling
                && watch.rests_until().is_none()
        };
        if self.watches.iter().any(is_urgent) {
            return self.take_back(trial.step, Reason::Interrupted, now, news);
        }
        let Some(done_at) = trial.done_at.filter(|at| now >= *at + settling) else {
            self.trial = Some(trial);
            return;
        };
        let Some(watch) = self.watch(&trial.step.objective) else { return };
        let has_helped = match watch.standing {
            Standing::Kept => true,
            Standing::Broken { measured_at, .. }
                if measured_at < done_at && now < done_at + settling + MAX_MEASURING =>
            {
                self.trial = Some(trial);
                return;
            }
            // Though not all was measured since: what has changed was.
            Standing::Broken { shortfall, .. } => shortfall <= trial.before * (1.0 - LEAST_EFFECT),
            // Who measures it may be what was restrained.
            Standing::Unknown => false,
        };
        watch.memory.learn(&trial.step, has_helped);
        if !has_helped {
            self.undo(trial.step, Reason::NoEffect, now, news);
        }
    }

    fn undo(&mut self, step: Step, reason: Reason, now: Monotonic, news: &mut Vec<News>) {
        if let Some(watch) = self.watch(&step.objective) {
            watch.memory.tried(&step);
        }
        self.take_back(step, reason, now, news);
    }

    fn take_back(&mut self, step: Step, reason: Reason, now: Monotonic, news: &mut Vec<News>) {
        self.steps.retain(|it| *it != step);
        count_frozen(&mut self.done, &step, now);
        news.push(News::TakenBack(step.clone(), reason));
        self.undoing = Some(Undoing { step, since: now, done_at: None });
    }

    /// Looks whether a step that did not help has been undone. What was stopped has yet to find its pace.
    fn look_at_undoing(&mut self, device: &Device<'_>, now: Monotonic) {
        let Some(mut undoing) = self.undoing.take() else { return };
        match (device.progress)(&undoing.step, false) {
            Progress::Done => drop(undoing.done_at.get_or_insert(now)),
            Progress::Pending if now >= undoing.since + MAX_PENDING => return,
            // A start may wait for its images.
            Progress::UnderWay if now >= undoing.since + MAX_MEASURING => return,
            Progress::UnderWay | Progress::Pending => {}
        }
        let settling = match undoing.step.rung {
            Rung::Stop => self.settling_of(&undoing.step.objective),
            Rung::Throttle | Rung::Squeeze | Rung::Freeze => Duration::ZERO,
        };
        if undoing.done_at.is_none_or(|at| now < at + settling) {
            self.undoing = Some(undoing);
        }
    }

    /// Takes the next step for the objective that is broken and settles soonest.
    fn try_next(&mut self, device: &Device<'_>, now: Monotonic, news: &mut Vec<News>) {
        let mut broken: Vec<_> =
            self.watches.iter_mut().filter(|watch| watch.at_risk().is_some()).collect();
        broken.sort_by_key(|watch| watch.objective.settling);
        for watch in broken {
            let Some(before) = watch.at_risk() else { continue };
            let Some((workload, rung)) = next_step(device.candidates, &self.steps, &watch.memory)
            else {
                if now.since_start() >= SYNC_TIME && watch.exhausted(now) {
                    news.push(News::Exhausted(watch.objective.name.clone()));
                }
                continue;
            };
            let objective = watch.objective.name.clone();
            let step = Step { workload, rung, objective, since: now };
            *self.done.steps.entry(rung).or_default() += 1;
            self.steps.push(step.clone());
            news.push(News::Taken(step.clone()));
            self.trial = Some(Trial { step, before, done_at: None });
            return;
        }
    }

    /// Takes back the last step of an objective that has held for its calm time.
    fn release(&mut self, now: Monotonic, news: &mut Vec<News>) {
        for watch in &mut self.watches {
            let is_of_it = |step: &Step| step.objective == watch.objective.name;
            let Some(place) = self.steps.iter().rposition(is_of_it) else {
                watch.forget_relapses(now);
                continue;
            };
            if watch.release_at().is_some_and(|at| at <= now) {
                watch.released(now);
                let step = self.steps.remove(place);
                count_frozen(&mut self.done, &step, now);
                news.push(News::TakenBack(step, Reason::Calm));
                return;
            }
        }
    }

    fn looks_again_at(&self, device: &Device<'_>, now: Monotonic) -> Option<Monotonic> {
        // The answer to a command, and a new measurement, lead here by themselves.
        let under_way = |step: &Step, since: Monotonic, done_at: Option<Monotonic>| {
            let settled = done_at.map(|at| at + self.settling_of(&step.objective));
            let moments = match settled {
                Some(settled) => [settled, settled + MAX_MEASURING],
                None => [since + LOOK_PERIOD, since + MAX_PENDING],
            };
            moments.into_iter().find(|at| *at > now)
        };
        if let Some(Trial { step, done_at, .. }) = &self.trial {
            return under_way(step, step.since, *done_at);
        }
        if let Some(Undoing { step, since, done_at }) = &self.undoing {
            return under_way(step, *since, *done_at);
        }
        if self.awaits_usage(device) {
            return Some(now + LOOK_PERIOD);
        }
        let waits = self.watches.iter().flat_map(|watch| {
            let is_of_it = |step: &Step| step.objective == watch.objective.name;
            let release = watch.release_at().filter(|_| self.steps.iter().any(is_of_it));
            [release, watch.rests_until()]
        });
        let sync = Monotonic::from_start(SYNC_TIME);
        let sync = Some(sync).filter(|at| *at > now && self.is_any_broken());
        waits.flatten().chain(sync).min().map(|at| at.max(now))
    }
}

/// Adds to `done` the time since a workload was frozen, if that is what `step` did.
fn count_frozen(done: &mut Governed, step: &Step, now: Monotonic) {
    if step.rung == Rung::Freeze {
        let frozen = done.frozen.entry(step.workload.clone()).or_default();
        *frozen = frozen.saturating_add(now.saturating_since(step.since));
    }
}

#[cfg(test)]
mod tests;
