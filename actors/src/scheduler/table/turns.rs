//! What keeps a job from following its verdicts at once: its own patience, and the turns of others. Pure.

use crate::clock::{Moment, Monotonic};
use crate::scheduler::decision::Target;
use crate::scheduler::eligibility::gates::Gates;
use crate::scheduler::eligibility::turns::{Candidate, Direction, MAX_WAIT, Wait, Waits};
use crate::scheduler::eligibility::{denying, is_denied};
use crate::scheduler::job::{Job, RunState};
use crate::scheduler::table::JobTable;
use crate::workload::{ProfileName, Rung, WorkloadName};

impl JobTable {
    /// Returns what `name` waits for before it follows its verdicts.
    pub(crate) fn waits(&self, name: &WorkloadName, now: Moment) -> Waits {
        let Some(entry) = self.jobs.get(name) else { return Waits::default() };
        let job = &entry.job;
        let Some(verdicts) = self.verdicts.in_force().filter(|_| !job.spec.profiles().is_empty())
        else {
            return Waits::default();
        };
        let may_wait = entry
            .decision
            .awaits_turn_since
            .is_none_or(|since| now.monotonic.saturating_since(since) < MAX_WAIT);
        let may_wait = may_wait && self.has_priorities;
        let denying: Vec<_> = denying(job.spec.profiles(), verdicts).cloned().collect();
        if job.is_any_pod_alive() {
            let min_run = min_run_ends(job, now.monotonic).map(|until| Wait {
                why: "it has not run for its minRunSeconds".to_owned(),
                until: Some(until),
            });
            let turn = || self.wait_for_turn(job, &denying, Direction::Away, now);
            let is_denied = !denying.is_empty();
            let away = is_denied.then(|| min_run.or_else(|| may_wait.then(turn).flatten()));
            return Waits { away: away.flatten(), back: None, denying };
        }
        let rest = rest_ends(job, now.monotonic).map(|until| Wait {
            why: "it rests for its minPauseSeconds".to_owned(),
            until: Some(until),
        });
        let turned_away_by = &job.run.turned_away_by;
        let turn = || self.wait_for_turn(job, turned_away_by, Direction::Back, now);
        Waits { away: None, back: rest.or_else(|| may_wait.then(turn).flatten()), denying }
    }

    fn wait_for_turn(
        &self,
        job: &Job,
        profiles: &[ProfileName],
        direction: Direction,
        now: Moment,
    ) -> Option<Wait> {
        let first = |profile: &ProfileName, is_before: &dyn Fn(i32) -> bool| {
            let other = self.jobs.values().map(|entry| &entry.job).find(|other| {
                is_before(other.spec.turn().priority)
                    && other.name != job.name
                    && self.goes(other, profile, direction, now)
            });
            other.map(|other| (other.name.clone(), other.spec.turn().priority))
        };
        self.turns.wait(candidate(job, profiles), first, direction, now.monotonic)
    }

    /// Returns whether `profile` has a job go that way, and it can.
    fn goes(&self, job: &Job, profile: &ProfileName, direction: Direction, now: Moment) -> bool {
        let Some(verdicts) = self.verdicts.in_force() else { return false };
        let profiles = job.spec.profiles();
        match direction {
            Direction::Away => {
                self.can_go_away(job, now.monotonic)
                    && denying(profiles, verdicts).any(|it| it == profile)
                    && is_denied(profiles, verdicts, now)
            }
            Direction::Back => {
                job.run.turned_away_by.contains(profile)
                    && denying(profiles, verdicts).next().is_none()
                    && self.can_come_back(job, now)
            }
        }
    }

    fn can_go_away(&self, job: &Job, now: Monotonic) -> bool {
        let is_reached = job.observed.keys().any(|key| self.runtimes.is_available(key.executor));
        job.is_any_pod_alive()
            && is_reached
            && !job.run.backoff.is_failing()
            // A pod that may be of a newer configuration is left alone.
            && (!self.outdated || job.is_alive())
            && min_run_ends(job, now).is_none()
    }

    fn can_come_back(&self, job: &Job, now: Moment) -> bool {
        let is_idle = match job.run.state {
            RunState::Idle | RunState::Started { .. } => true,
            RunState::Waiting { .. } | RunState::Finished => false,
        };
        let Some(wanted) = job.spec.wanted() else { return false };
        let may_pull = job.run.images.are_present(&wanted)
            || job.may_start_without_pull()
            || self.gates(&job.name, now).pull.is_none();
        let mut steps = self.governor.steps_of(&job.name);
        let is_held = steps.any(|step| step.rung == Rung::Stop);
        is_idle
            && !is_held
            && rest_ends(job, now.monotonic).is_none()
            && self.runtimes.is_available(wanted.executor)
            && !job.run.backoff.is_failing()
            && job.is_requested()
            && !job.is_any_pod_alive()
            && may_pull
            && (job.run.ever_ran || self.first_missing(&job.name).is_none())
    }

    /// Returns whether another job may wait for this one to go.
    pub(crate) fn is_going(&self, name: &WorkloadName, now: Moment) -> bool {
        if !self.has_priorities {
            return false;
        }
        let Some(job) = self.jobs.get(name).map(|entry| &entry.job) else { return false };
        let goes = |profile: &ProfileName, direction| self.goes(job, profile, direction, now);
        job.spec.profiles().iter().any(|profile| {
            goes(&profile.name, Direction::Away) || goes(&profile.name, Direction::Back)
        })
    }

    /// Returns which gates of the configured specification of `name` are closed.
    pub(crate) fn gates(&self, name: &WorkloadName, now: Moment) -> Gates {
        let Some(job) = self.jobs.get(name).map(|entry| &entry.job) else {
            return Gates::default();
        };
        let Some(desired) = &job.spec.desired else { return Gates::default() };
        Gates::of(&desired.gate, &job.spec.arrival, self.verdicts.in_force(), now)
    }

    /// Notes that a job went away or came back since it was last decided about, if it did.
    pub(crate) fn note_turn(&mut self, name: &WorkloadName, now: Moment) {
        let Some(entry) = self.jobs.get_mut(name) else { return };
        let (job, last) = (&mut entry.job, &entry.decision);
        let is_alive = job.is_any_pod_alive();
        job.run.alive_since = job.run.alive_since.or(Some(now.monotonic)).filter(|_| is_alive);
        if last.is_alive == is_alive || job.run.turned_away_by.is_empty() {
            return;
        }
        let direction = match &last.target {
            Target::Inactive { .. } | Target::Running | Target::AwaitingVerdicts if !is_alive => {
                let rest = job.spec.turn().min_pause;
                job.run.rests_until = (!rest.is_zero()).then(|| now.monotonic + rest);
                Direction::Away
            }
            Target::Running => Direction::Back,
            Target::Inactive { .. }
            | Target::AwaitingVerdicts
            | Target::Yielding { .. }
            | Target::Removed => return,
        };
        let profiles = match direction {
            Direction::Away => job.run.turned_away_by.clone(),
            Direction::Back => std::mem::take(&mut job.run.turned_away_by),
        };
        if self.has_priorities {
            self.turns.note(candidate(job, &profiles), direction, now.monotonic);
        }
    }
}

fn candidate<'a>(job: &'a Job, profiles: &'a [ProfileName]) -> Candidate<'a> {
    Candidate { name: &job.name, priority: job.spec.turn().priority, profiles }
}

/// Returns until when no profile may stop a job, while that is to come.
fn min_run_ends(job: &Job, now: Monotonic) -> Option<Monotonic> {
    let ends = job.run.alive_since.unwrap_or(now) + job.spec.turn().min_run;
    (ends > now).then_some(ends)
}

/// Returns until when a job rests, while that is to come.
fn rest_ends(job: &Job, now: Monotonic) -> Option<Monotonic> {
    let has_rest = !job.spec.turn().min_pause.is_zero();
    job.run.rests_until.filter(|until| has_rest && *until > now)
}
