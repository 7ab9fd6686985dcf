//! Decides about the jobs that are due, and makes commands of what is decided. Pure.

use chrono::TimeZone;

use crate::clock::{Moment, Monotonic};
use crate::messages::{Action, ActionKind, CommandId, ExecutorCommand};
use crate::scheduler::decision::{Inputs, Step};
use crate::scheduler::halt::Halt;
use crate::scheduler::job::{InFlight, given_up_at};
use crate::scheduler::observed::PodKey;
use crate::scheduler::plan::plan;
use crate::scheduler::report::updates::Waiting;
use crate::scheduler::table::JobTable;
use crate::workload::{EventReason, ExecutorKind, WorkloadName};

impl JobTable {
    /// Decides about every job that something happened to, or whose time has come; returns the
    /// commands that are to be sent.
    pub(crate) fn plan<Z: TimeZone>(
        &mut self,
        now: Moment,
        zone: &Z,
    ) -> Vec<(ExecutorKind, ExecutorCommand)> {
        if !self.configured || self.shutdown.is_draining {
            return Vec::new();
        }
        self.events.set_time(now.wall);
        self.queue.ring(now.monotonic);
        self.govern(now);
        let mut commands = Vec::new();
        // This ends: alarms that are set meanwhile ring at the next call. So a job comes up again only
        // when one that it waits for is ready for the first time, when one that goes before it has gone or
        // cannot, or when its turn in the budget has come, and then it takes its place or gives it up.
        while let Some(name) = self.next_due(now) {
            commands.extend(self.decide(&name, now, zone));
        }
        commands
    }

    /// Returns the next job that is due, as one is whose turn in the budget has come.
    fn next_due(&mut self, now: Moment) -> Option<WorkloadName> {
        for name in self.budget.called(now.monotonic) {
            self.queue.make_due(&name);
        }
        self.queue.next_due()
    }

    fn decide<Z: TimeZone>(
        &mut self,
        name: &WorkloadName,
        now: Moment,
        zone: &Z,
    ) -> Option<(ExecutorKind, ExecutorCommand)> {
        self.note_turn(name, now);
        let waits_for = self.first_missing(name);
        let waits = self.waits(name, now);
        let mut gates = self.gates(name, now);
        // What its profiles turn away is stopped, of whatever specification it is.
        if !waits.denying.is_empty() {
            gates.replace = None;
        }
        let restraint = self.restraint(name);
        let was_going = self.jobs.get(name).is_some_and(|entry| entry.decision.is_going);
        let Some(entry) = self.jobs.get_mut(name) else {
            self.budget.wait(name, None);
            return None;
        };
        let (job, last) = (&mut entry.job, &entry.decision);
        if let Some(executor) = job.overdue(now) {
            self.listings.command_ended(executor, name, now.monotonic);
        }
        let inputs = Inputs {
            verdicts: self.verdicts.in_force(),
            runtimes: &self.runtimes,
            budget: &self.budget,
            clock: &self.clock,
            outdated: self.outdated,
            waits_for: waits_for.as_ref(),
            waits: &waits,
            awaits_turn_since: last.awaits_turn_since,
            settling: self.turns.settling(),
            gates: &gates,
            restraint: &restraint,
            now,
        };
        let demand = job.update(last, &inputs, zone, &mut self.events);
        let decision = plan(job, &demand, &inputs);
        if decision.is_ready_for_others() && !last.is_ready_for_others() {
            for waiting in self.dependencies.waiting_for(name) {
                self.queue.make_due(waiting);
            }
        }
        self.queue.make_due_at(name, decision.next_look);
        if let Some(gate) = decision.gate().filter(|_| last.gate().is_none()) {
            let message = Waiting { job, gate }.to_string();
            self.events.add(EventReason::UpdateWaits, name, message);
        }
        let step = decision.step.clone();
        entry.decision = decision;
        let command = self.take(step, name, now);
        self.note_going(name, was_going, now);
        command
    }

    /// Has those decided about anew that wait for another to go, once `name` does not any more.
    fn note_going(&mut self, name: &WorkloadName, was_going: bool, now: Moment) {
        let is_going = self.is_going(name, now);
        if let Some(entry) = self.jobs.get_mut(name) {
            entry.decision.is_going = is_going;
        }
        if was_going && !is_going {
            for (waiting, entry) in &self.jobs {
                if entry.decision.awaits_turn_since.is_some() {
                    self.queue.make_due(waiting);
                }
            }
        }
    }

    /// Takes `step`; returns the command for it, if it needs one.
    fn take(
        &mut self,
        step: Step,
        name: &WorkloadName,
        now: Moment,
    ) -> Option<(ExecutorKind, ExecutorCommand)> {
        let awaited = match &step {
            Step::AwaitPlace(kind, pod) => Some((pod.executor, *kind)),
            Step::Act(..)
            | Step::AwaitGate(..)
            | Step::ResumePull(_)
            | Step::Forget
            | Step::WaitUntil(_)
            | Step::Settled => None,
        };
        self.budget.wait(name, awaited);
        if let Step::Act(ActionKind::Pull, pod) | Step::AwaitPlace(ActionKind::Pull, pod) = &step {
            self.jobs.get_mut(name)?.job.run.images.forget_overdue(pod);
        }
        match step {
            Step::Act(kind, pod) => self.command(kind, pod, name, now),
            Step::ResumePull(pod) => {
                self.jobs.get_mut(name)?.job.run.resume_pull(&pod);
                None
            }
            Step::Forget => {
                self.jobs.remove(name);
                None
            }
            Step::AwaitPlace(..) | Step::AwaitGate(..) | Step::WaitUntil(_) | Step::Settled => None,
        }
    }

    /// Makes the command that does that to `pod`.
    fn command(
        &mut self,
        kind: ActionKind,
        pod: PodKey,
        name: &WorkloadName,
        now: Moment,
    ) -> Option<(ExecutorKind, ExecutorCommand)> {
        let entry = self.jobs.get_mut(name)?;
        let (job, limits) = (&mut entry.job, entry.decision.limits);
        let mut action = job.spec.action(kind, name, &pod, limits)?;
        let mut deadline = now.monotonic + job.spec.time_for(kind, &pod);
        if let Action::Stop { grace, evidence, .. } = &mut action {
            *evidence = job.evidence(&pod);
            // A probe that ends a run may have a grace period of its own.
            if let Some(own) = job.observed.get(&pod).and_then(|pod| pod.health.grace()) {
                deadline = deadline + own.saturating_sub(*grace);
                *grace = own;
            }
        }
        let until = given_up_at(deadline);
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let executor = pod.executor;
        self.budget.spend(id, (executor, kind), until);
        let sent_at = now.monotonic;
        job.sent(InFlight { command: id, kind, pod, limits, sent_at, until }, now);
        Some((executor, ExecutorCommand { id, deadline, action }))
    }

    /// Returns the first of those that must have been ready before `name` starts, and have not.
    pub(crate) fn first_missing(&self, name: &WorkloadName) -> Option<WorkloadName> {
        let was_ready = |other: &&WorkloadName| {
            let other = self.jobs.get(*other);
            other.is_some_and(|it| it.job.run.was_ready || it.decision.is_ready_for_others())
        };
        self.dependencies.of(name).iter().find(|other| !was_ready(other)).cloned()
    }

    /// Makes no more commands; returns how many are in flight.
    pub(crate) fn drain(&mut self) -> usize {
        self.shutdown.is_draining = true;
        self.jobs.values().filter(|entry| entry.job.run.in_flight.is_some()).count()
    }

    /// Returns how many workloads have pods of this machine that may run, and the commands that halt
    /// those that no other waits for. Nothing else is sent from here on.
    pub(crate) fn halt(&mut self, now: Moment) -> (usize, Vec<(ExecutorKind, ExecutorCommand)>) {
        self.shutdown.is_draining = true;
        let jobs = self.jobs.iter().map(|(name, entry)| (name, &entry.job));
        let (left, halts) = self.shutdown.next(jobs, &self.dependencies, now);
        let command = |Halt { pod, deadline, action }| {
            let id = CommandId(self.next_command);
            self.next_command += 1;
            let executor = pod.executor;
            self.shutdown.sent(id, pod, deadline);
            (executor, ExecutorCommand { id, deadline, action })
        };
        (left, halts.into_iter().map(command).collect())
    }

    /// Returns when [`Self::plan`] has to be called though nothing happens.
    pub(crate) fn next_alarm(&self) -> Option<Monotonic> {
        if !self.configured || self.shutdown.is_draining {
            return None;
        }
        let alarms = [
            self.queue.next_alarm(),
            self.budget.next_alarm(),
            self.governor.next_look(),
            self.usage.next_question(),
        ];
        alarms.into_iter().flatten().min()
    }
}
