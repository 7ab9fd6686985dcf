//! What keeps a job from following its verdicts at once: its own patience, and the turns of others. Pure.

use crate::clock::{Moment, Monotonic};
use crate::scheduler::decision::Target;
use crate::scheduler::eligibility::denying;
use crate::scheduler::eligibility::gates::Gates;
use crate::scheduler::eligibility::turns::{Candidate, Direction, Wait, Waits};
use crate::scheduler::job::{Job, RunState};
use crate::scheduler::table::JobTable;
use crate::workload::{ProfileName, WorkloadName};

/// A job that can go, with the profiles that have it go.
struct Goer {
    name: WorkloadName,
    priority: i32,
    profiles: Vec<ProfileName>,
}

impl Goer {
    fn candidate(&self) -> Candidate<'_> {
        Candidate { name: &self.name, priority: self.priority, profiles: &self.profiles }
    }
}

impl JobTable {
    /// Returns what `name` waits for before it follows its verdicts.
    pub(crate) fn waits(&self, name: &WorkloadName, now: Moment) -> Waits {
        let Some(entry) = self.jobs.get(name) else { return Waits::default() };
        let job = &entry.job;
        if self.verdicts.in_force().is_none() || job.spec.profiles().is_empty() {
            return Waits::default();
        }
        if job.is_any_pod_alive() {
            Waits { away: self.wait_away(job, now), back: None }
        } else {
            Waits { away: None, back: self.wait_back(job, now) }
        }
    }

    /// Returns which gates of the configured specification of `name` are closed.
    pub(crate) fn gates(&self, name: &WorkloadName, now: Moment) -> Gates {
        let Some(job) = self.jobs.get(name).map(|entry| &entry.job) else {
            return Gates::default();
        };
        let Some(desired) = &job.spec.desired else { return Gates::default() };
        let verdicts = self.verdicts.in_force();
        let mut gates = Gates::of(&desired.gate, job.spec.arrival, verdicts, now.monotonic);
        // What its profiles turn away is stopped, of whatever specification it is.
        if verdicts.is_some_and(|it| denying(job.spec.profiles(), it).next().is_some()) {
            gates.replace = None;
        }
        gates
    }

    fn wait_away(&self, job: &Job, now: Moment) -> Option<Wait> {
        let me = self.goes_away(job)?;
        if let Some(until) = min_run_ends(job, now.monotonic) {
            let why = "it has not run for its minRunSeconds".to_owned();
            return Some(Wait { why, until: Some(until) });
        }
        self.wait_for_turn(&me, Direction::Away, now)
    }

    fn wait_back(&self, job: &Job, now: Moment) -> Option<Wait> {
        if let Some(until) = job.run.rests_until.filter(|until| *until > now.monotonic) {
            let why = "it rests for its minPauseSeconds".to_owned();
            return Some(Wait { why, until: Some(until) });
        }
        let me = self.comes_back(job)?;
        self.wait_for_turn(&me, Direction::Back, now)
    }

    fn wait_for_turn(&self, me: &Goer, direction: Direction, now: Moment) -> Option<Wait> {
        // Else all go together, and nobody has to be asked.
        if !self.has_priorities {
            return None;
        }
        let others = self.jobs.values().map(|entry| &entry.job).filter(|it| it.name != me.name);
        let goers: Vec<Goer> = match direction {
            Direction::Away => others
                .filter(|job| self.can_go_away(job, now.monotonic))
                .filter_map(|job| self.goes_away(job))
                .collect(),
            Direction::Back => others
                .filter(|job| self.can_come_back(job, now.monotonic))
                .filter_map(|job| self.comes_back(job))
                .collect(),
        };
        let others = goers.iter().map(Goer::candidate);
        self.turns.wait(me.candidate(), others, direction, now.monotonic)
    }

    /// Returns the job as one that a profile turns away, if one does.
    fn goes_away(&self, job: &Job) -> Option<Goer> {
        let verdicts = self.verdicts.in_force()?;
        let profiles: Vec<_> = denying(job.spec.profiles(), verdicts).cloned().collect();
        (!profiles.is_empty()).then(|| goer(job, profiles))
    }

    /// Returns the job as one that its profiles, which turned it away, let come back, if they do.
    fn comes_back(&self, job: &Job) -> Option<Goer> {
        let verdicts = self.verdicts.in_force()?;
        let is_granted = denying(job.spec.profiles(), verdicts).next().is_none();
        let is_back = is_granted && !job.run.turned_away_by.is_empty();
        is_back.then(|| goer(job, job.run.turned_away_by.clone()))
    }

    fn can_go_away(&self, job: &Job, now: Monotonic) -> bool {
        let is_reached = job.observed.keys().any(|key| self.runtimes.is_available(key.executor));
        job.is_any_pod_alive()
            && is_reached
            && !job.run.backoff.is_stop_failing()
            && min_run_ends(job, now).is_none()
    }

    fn can_come_back(&self, job: &Job, now: Monotonic) -> bool {
        let is_idle = match job.run.state {
            RunState::Idle | RunState::Started { .. } => true,
            RunState::Waiting { .. } | RunState::Finished => false,
        };
        let rests = job.run.rests_until.is_some_and(|until| until > now);
        let is_reached =
            job.spec.wanted().is_some_and(|it| self.runtimes.is_available(it.executor));
        is_idle
            && !rests
            && is_reached
            && job.is_requested()
            && !job.is_any_pod_alive()
            && (job.run.ever_ran || self.first_missing(&job.name).is_none())
    }

    /// Returns whether another job may wait for this one to go.
    pub(crate) fn is_going(&self, name: &WorkloadName, now: Moment) -> bool {
        if !self.has_priorities {
            return false;
        }
        let Some(entry) = self.jobs.get(name) else { return false };
        let (job, now) = (&entry.job, now.monotonic);
        self.can_go_away(job, now) && self.goes_away(job).is_some()
            || self.can_come_back(job, now) && self.comes_back(job).is_some()
    }

    /// Notes that a job went away or came back since it was last decided about, if it did.
    pub(crate) fn note_turn(&mut self, name: &WorkloadName, now: Moment) {
        let Some(entry) = self.jobs.get_mut(name) else { return };
        let (job, last) = (&mut entry.job, &entry.decision);
        let is_alive = job.is_any_pod_alive();
        if last.is_alive == is_alive || job.run.turned_away_by.is_empty() {
            return;
        }
        let (went, direction) = match &last.target {
            Target::Inactive { .. } if !is_alive => {
                let rest = job.spec.turn().min_pause;
                job.run.rests_until = (!rest.is_zero()).then(|| now.monotonic + rest);
                (goer(job, job.run.turned_away_by.clone()), Direction::Away)
            }
            Target::Running if is_alive => {
                let turned_away_by = std::mem::take(&mut job.run.turned_away_by);
                (goer(job, turned_away_by), Direction::Back)
            }
            Target::Inactive { .. }
            | Target::Running
            | Target::AwaitingVerdicts
            | Target::Yielding { .. }
            | Target::Removed => return,
        };
        if self.has_priorities {
            self.turns.note(went.candidate(), direction, now.monotonic);
        }
    }
}

fn goer(job: &Job, profiles: Vec<ProfileName>) -> Goer {
    Goer { name: job.name.clone(), priority: job.spec.turn().priority, profiles }
}

/// Returns until when a profile may not stop a job, while that is to come.
fn min_run_ends(job: &Job, now: Monotonic) -> Option<Monotonic> {
    let since = match job.run.state {
        RunState::Started { since } => since,
        // It was seen just now.
        RunState::Idle | RunState::Waiting { .. } | RunState::Finished => now,
    };
    let ends = since + job.spec.turn().min_run;
    (ends > now).then_some(ends)
}
