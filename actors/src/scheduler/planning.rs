//! Which commands the jobs want sent now, within the start budget, and when to ask again. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};

use super::aim::ADOPTION_GRACE;
use super::clock_trust::ClockTrust;
use super::job::Job;
use super::jobs::Jobs;
use super::notices::Notices;
use super::plan::{Step, next_step};
use super::run::{InFlight, PodKey};
use super::runtimes::Runtimes;
use crate::clock::{Moment, Monotonic};
use crate::messages::{Action, ActionKind, CommandFinished, CommandId, ExecutorCommand};
use crate::workload::{ExecutorKind, Verdicts, WorkloadName};

/// Time for the images of one workload to arrive.
const PULL_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// Time for a pod to be created and started.
const START_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// The same where init containers run in it, which may migrate a database.
const INIT_DEADLINE: Duration = Duration::from_secs(60 * 60);
/// Time for limits to be applied to a running pod.
const LIMIT_DEADLINE: Duration = Duration::from_secs(60);
/// Time for a pod to be stopped and removed, beyond its grace period.
const STOP_MARGIN: Duration = Duration::from_secs(40);
/// Time for the containers of a pod to end while the machine goes down, beyond its grace period.
const HALT_MARGIN: Duration = Duration::from_secs(10);
/// A job gives a command up so long after its deadline, at which the executor's supervisor acts.
const GIVE_UP_MARGIN: Duration = Duration::from_secs(5);
/// A job is planned so often for one event at most: for itself, and for those that it waits for.
const MAX_PLANS: u32 = 8;
/// Cron looks at the wall clock at least so often, since the wall clock may jump.
const CRON_CHECK_PERIOD: Duration = Duration::from_secs(60);

impl Jobs {
    /// Adopts the answer to a command.
    pub(crate) fn finish(&mut self, finished: CommandFinished, now: Moment) {
        self.notices.set_time(now.wall);
        self.budget.release(finished.id);
        if self.ending.finished(finished.id) {
            return;
        }
        if let Some(job) = self.jobs.get_mut(&finished.workload) {
            job.finished(finished.id, finished.result, now, &mut self.notices);
            self.agenda.plan_now(&finished.workload);
        }
    }

    /// Plans every job that something happened to, or whose time has come.
    pub(crate) fn plan<Z: TimeZone>(
        &mut self,
        now: Moment,
        zone: &Z,
    ) -> Vec<(ExecutorKind, ExecutorCommand)> {
        if !self.configured || self.ending.is_draining {
            return Vec::new();
        }
        self.notices.set_time(now.wall);
        let mut commands = Vec::new();
        let mut planned: BTreeMap<WorkloadName, u32> = BTreeMap::new();
        while let Some(name) = self.next_due(now) {
            let times = planned.entry(name.clone()).or_default();
            *times += 1;
            if *times > MAX_PLANS {
                // A job that asks to be planned again and again must not hold up the thread.
                self.budget.wants(&name, None);
                self.agenda.plan_at(&name, Some(now.monotonic + Duration::from_secs(1)));
                continue;
            }
            commands.extend(self.plan_job(&name, now, zone));
        }
        commands
    }

    /// Returns the next job to plan. One whose turn in the budget has come is due, too.
    fn next_due(&mut self, now: Moment) -> Option<WorkloadName> {
        for name in self.budget.called(now.monotonic) {
            self.agenda.plan_now(&name);
        }
        self.agenda.next_due(now.monotonic)
    }

    fn plan_job<Z: TimeZone>(
        &mut self,
        name: &WorkloadName,
        now: Moment,
        zone: &Z,
    ) -> Option<(ExecutorKind, ExecutorCommand)> {
        let waits_for = self.first_missing(name);
        let verdicts = self.judgement.in_force();
        let job = self.jobs.get_mut(name)?;
        job.waits_for = waits_for;
        let (runtimes, clock) = (&self.runtimes, &self.clock);
        job.catch_up(verdicts, runtimes, clock, now, zone, &mut self.notices);
        let ran = std::mem::replace(&mut job.ran_when_planned, job.ever_ran);
        if job.ever_ran && !ran {
            for waiting in self.dependencies.waiting_for(name) {
                self.agenda.plan_now(waiting);
            }
        }
        let mut step = next_step(job, &self.runtimes, now);
        if step.action() == Some(ActionKind::Pull) && job.take_up_pull(now) {
            step = next_step(job, &self.runtimes, now);
        }
        let runtime = job.wanted().map(|pod| pod.executor);
        self.budget.wants(name, runtime.zip(step.action()));
        if step == Step::Forget {
            self.jobs.remove(name);
            self.agenda.plan_at(name, None);
            return None;
        }
        let command = self.take(&step, name, now);
        let job = self.jobs.get(name)?;
        self.agenda.plan_at(name, next_look(job, &step, now));
        command
    }

    /// Makes the command that takes `step`, if it needs one and the start budget has room for it.
    fn take(
        &mut self,
        step: &Step,
        name: &WorkloadName,
        now: Moment,
    ) -> Option<(ExecutorKind, ExecutorCommand)> {
        let Step::Act(kind, pod) = step else { return None };
        if !self.budget.admits(name, (pod.executor, *kind)) {
            return None;
        }
        let (kind, pod) = (*kind, pod.clone());
        let job = self.jobs.get_mut(name)?;
        let action = job.action(kind, &pod)?;
        let deadline = now.monotonic + job.time_for(kind, &pod);
        let until = deadline + GIVE_UP_MARGIN;
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let executor = pod.executor;
        self.budget.spend(id, (executor, kind), until);
        let (limits, sent_at) = (job.limits, now.monotonic);
        job.sent(InFlight { command: id, kind, pod, limits, sent_at, until }, now);
        Some((executor, ExecutorCommand { id, deadline, action }))
    }

    /// Returns the first of those that must have run before `name` and have not.
    fn first_missing(&self, name: &WorkloadName) -> Option<WorkloadName> {
        let ran = |other: &&WorkloadName| self.jobs.get(*other).is_some_and(|job| job.ever_ran);
        self.dependencies.of(name).iter().find(|other| !ran(other)).cloned()
    }

    /// Lets no further command be planned; returns how many are in flight.
    pub(crate) fn drain(&mut self) -> usize {
        self.ending.is_draining = true;
        self.jobs.values().filter(|job| job.in_flight.is_some()).count()
    }

    /// Returns when [`Self::plan`] has to be called though nothing happens.
    pub(crate) fn next_alarm(&self) -> Option<Monotonic> {
        if !self.configured || self.ending.is_draining {
            return None;
        }
        [self.agenda.next_alarm(), self.budget.next_alarm()].into_iter().flatten().min()
    }
}

impl Job {
    /// Brings the job to what holds now: commands given up, ticks passed, verdicts, ended runs.
    fn catch_up<Z: TimeZone>(
        &mut self,
        verdicts: Option<&Verdicts>,
        runtimes: &Runtimes,
        clock: &ClockTrust,
        now: Moment,
        zone: &Z,
        notices: &mut Notices,
    ) {
        self.expire(now, notices);
        self.remember_former();
        self.end_rollback(now);
        self.pass_ticks(clock, now, zone, notices);
        self.aim(verdicts, now);
        if self.wanted().is_some_and(|key| runtimes.is_available(key.executor)) {
            self.settle(now, notices);
            // A cron run that has ended leaves nothing to run for.
            self.aim(verdicts, now);
        }
        self.fall_back(now, notices);
    }
}

impl Job {
    /// Returns the action of that kind on `pod`, as the specification in force has it; `None` when
    /// it needs a specification and there is none.
    pub(super) fn action(&self, kind: ActionKind, pod: &PodKey) -> Option<Action> {
        let workload = || self.effective().map(Arc::clone);
        let (id, name, grace) = (pod.id.clone(), self.name.clone(), self.grace(&pod.id));
        Some(match kind {
            ActionKind::Pull => Action::Pull { workload: workload()? },
            ActionKind::Start => Action::Start { workload: workload()?, limits: self.limits },
            ActionKind::Limit => Action::Limit { workload: workload()?, limits: self.limits },
            ActionKind::Stop => Action::Stop { id, workload: name, grace },
            ActionKind::Suspend => Action::Suspend { id, workload: name, grace },
            ActionKind::Halt => Action::Halt { id, workload: name, grace },
        })
    }

    /// Returns the time for a command to `pod`.
    pub(super) fn time_for(&self, kind: ActionKind, pod: &PodKey) -> Duration {
        match kind {
            ActionKind::Pull => PULL_DEADLINE,
            ActionKind::Start if self.effective().is_some_and(|it| it.has_init_containers()) => {
                INIT_DEADLINE
            }
            ActionKind::Start => START_DEADLINE,
            ActionKind::Limit => LIMIT_DEADLINE,
            ActionKind::Stop | ActionKind::Suspend => self.grace(&pod.id) + STOP_MARGIN,
            ActionKind::Halt => self.grace(&pod.id) + HALT_MARGIN,
        }
    }
}

/// Returns when to plan the job again though nothing happens; `step` is the one that it took.
fn next_look(job: &Job, step: &Step, now: Moment) -> Option<Monotonic> {
    let at_step = match step {
        Step::WaitUntil(at) => Some(*at),
        Step::Act(..) | Step::Forget | Step::Settled => None,
    };
    let answer_due = job.in_flight.as_ref().map(|flight| flight.until);
    let clock_check = job.cron.has_ticks().then(|| next_cron_check(job.next_tick, now));
    let has_profiles = job.desired.as_ref().is_some_and(|it| !it.profiles.is_empty());
    let in_grace = now.monotonic.since_start() < ADOPTION_GRACE;
    let grace_over = (in_grace && has_profiles).then(|| Monotonic::from_start(ADOPTION_GRACE));
    let rollback_over = job.rollback_over_at();
    let fall_back = job.fall_back_at(now.monotonic).filter(|at| *at > now.monotonic);
    let at = [at_step, answer_due, clock_check, grace_over, rollback_over, fall_back];
    at.into_iter().flatten().min()
}

/// Returns when to look at the wall clock again.
fn next_cron_check(next: Option<DateTime<Utc>>, now: Moment) -> Monotonic {
    let until_next = next.and_then(|next| (next - now.wall).to_std().ok());
    now.monotonic + until_next.map_or(CRON_CHECK_PERIOD, |wait| wait.min(CRON_CHECK_PERIOD))
}
