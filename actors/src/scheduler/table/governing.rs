//! Connects the governor to the jobs: what it knows of them, and what its steps mean for them. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock::{Moment, Monotonic};
use crate::messages::{ActionKind, CommandError, Shortfall, UsageObserved};
use crate::scheduler::governor::restraint::Restraint;
use crate::scheduler::governor::{Candidate, Device, News, Progress, Reason, Standing, Step};
use crate::scheduler::job::{InFlight, Job, RunState};
use crate::scheduler::table::{Entry, JobTable};
use crate::workload::{
    ConditionName, EventReason, ExecutorKind, Limits, Objective, PROTECTION, ProfileName,
    RestraintReport, Rung, TargetState, Verdict, WorkloadName,
};

impl JobTable {
    /// Takes over what the device is to keep.
    pub(crate) fn keep_objectives(&mut self, objectives: &Arc<[Objective]>) {
        self.governor.configure(objectives);
    }

    /// Takes in how far broken objectives are from holding.
    pub(crate) fn measure(&mut self, shortfalls: BTreeMap<ConditionName, Shortfall>) {
        self.shortfalls = shortfalls;
    }

    /// Has the governor decide, and the jobs that it touches decided about anew.
    pub(crate) fn govern(&mut self, now: Moment) {
        if self.governor.is_idle() {
            return;
        }
        // Taken out, as it asks what the table knows.
        let mut governor = std::mem::take(&mut self.governor);
        let standing = |name: &ConditionName| self.standing(name);
        let is_broken =
            |objective: &Objective| matches!(standing(&objective.name), Standing::Broken { .. });
        let is_needed = governor.has_steps() || governor.objectives().any(is_broken);
        let jobs = self.jobs.iter().filter(|_| is_needed);
        let candidates: Vec<_> =
            jobs.filter_map(|(name, entry)| self.candidate(name, entry, now.monotonic)).collect();
        let progress = |step: &Step, is_in_force: bool| {
            let entry = self.jobs.get(&step.workload);
            entry.map_or(Progress::Done, |entry| progress(entry, step.rung, is_in_force))
        };
        let awaits_usage = self.usage.awaits(now.monotonic) && candidates.len() > 1;
        let device = Device {
            candidates: &candidates,
            standing: &standing,
            progress: &progress,
            awaits_usage,
        };
        let news = governor.advance(&device, now.monotonic);
        self.governor = governor;
        self.tell(news);
    }

    /// Returns how an objective stands by the last verdict on it.
    fn standing(&self, name: &ConditionName) -> Standing {
        let verdicts = self.verdicts.in_force();
        let verdicts = verdicts.and_then(|it| it.get(&ProfileName::from(PROTECTION)));
        match verdicts.and_then(|it| it.get(name)) {
            Some(Verdict::True) => Standing::Kept,
            Some(Verdict::False) => {
                let shortfall = self.shortfalls.get(name);
                shortfall.map_or(Standing::Unknown, |it| Standing::Broken {
                    shortfall: it.by,
                    measured_at: it.measured_at,
                })
            }
            Some(Verdict::Unknown | Verdict::Failed(_)) | None => Standing::Unknown,
        }
    }

    /// Returns whether the executors are to be asked what their pods use.
    pub(crate) fn wants_usage(&mut self, now: Moment) -> bool {
        let is_broken = self.governor.is_any_broken() && !self.shutdown.is_draining;
        self.usage.ask(is_broken, self.governor.is_searching(), now.monotonic)
    }

    /// Takes in what pods use.
    pub(crate) fn take_usage(&mut self, observed: UsageObserved) {
        let UsageObserved { executor, observed_at, pods } = observed;
        self.usage.answered(executor, observed_at.monotonic, pods);
    }

    fn candidate(&self, name: &WorkloadName, entry: &Entry, now: Monotonic) -> Option<Candidate> {
        let desired = entry.job.spec.desired.as_ref()?;
        // Its pod may be the previous specification's, on another runtime.
        let executor = entry.job.spec.wanted()?.executor;
        let can = |rung: Rung| match rung {
            // Other limits restart a pod of a cluster.
            Rung::Throttle | Rung::Squeeze | Rung::Freeze if executor.is_cluster() => false,
            Rung::Throttle | Rung::Squeeze | Rung::Freeze | Rung::Stop => {
                !self.unsupported.contains(&(executor, rung))
            }
        };
        let job = &entry.job;
        // One that nothing can be done to now would keep the others from being tried.
        let is_reached = self.runtimes.is_available(executor)
            && job.run.backoff.until <= now
            && !matches!(job.run.state, RunState::Waiting { .. });
        let runs = entry.decision.target.state() == TargetState::Running && job.is_alive();
        Some(Candidate {
            name: name.clone(),
            priority: desired.turn.priority,
            rungs: desired.rungs().only(can),
            runs: runs && is_reached,
            usage: job.spec.wanted().and_then(|key| self.usage.of(&key)),
        })
    }

    fn tell(&mut self, news: Vec<News>) {
        for news in news {
            let (workload, reason, message) = match news {
                News::Taken(step) => {
                    let message = format!("{} for {}", step.rung.done(), self.cause(&step));
                    (Some(step.workload), EventReason::WorkloadRestrained, message)
                }
                News::TakenBack(step, why) => {
                    let message =
                        format!("no longer {}: {}", step.rung.done(), self.why(&step, why));
                    (Some(step.workload), EventReason::RestraintLifted, message)
                }
                News::Exhausted(objective) => {
                    let message = format!(
                        "objective {objective} is broken, and no workload is left that may be \
                         restrained and whose restraint helps"
                    );
                    (None, EventReason::ObjectiveBroken, message)
                }
            };
            match workload {
                Some(name) => {
                    self.queue.make_due(&name);
                    self.events.add(reason, &name, message);
                }
                None => self.events.add_of_device(reason, message),
            }
        }
    }

    /// Says which objective a step was taken for.
    fn cause(&self, step: &Step) -> String {
        let mut objectives = self.governor.objectives();
        let keep = objectives.find(|it| it.name == step.objective).map(|it| &it.keep);
        let keep = keep.map(|keep| format!(", {keep}")).unwrap_or_default();
        format!("objective {}{keep}", step.objective)
    }

    fn why(&self, step: &Step, reason: Reason) -> String {
        let cause = self.cause(step);
        match reason {
            Reason::NoEffect => format!("it did not help {cause}"),
            Reason::Interrupted => "a more urgent objective is broken".to_owned(),
            Reason::NotDone => "its runtime did not come to it".to_owned(),
            Reason::Calm => format!("{cause} has held long enough"),
            Reason::Obsolete => format!("{cause}, or the permission for it, is gone"),
        }
    }

    /// Returns how `name` is restrained now.
    pub(crate) fn restraint(&self, name: &WorkloadName) -> Restraint {
        let mut restraint =
            Restraint { may_be_left: !self.governor.is_idle(), ..Restraint::default() };
        for step in self.governor.steps_of(name) {
            match step.rung {
                Rung::Throttle => restraint.throttled = true,
                Rung::Squeeze => restraint.squeezed = true,
                Rung::Freeze => restraint.frozen = true,
                Rung::Stop => {
                    restraint.stopped_for = Some(format!("stopped for {}", self.cause(step)));
                }
            }
        }
        restraint
    }

    /// Says how a workload that may run is restrained, if it is.
    pub(crate) fn restrained_because(&self, name: &WorkloadName) -> Option<String> {
        let told: Vec<_> = self
            .governor
            .steps_of(name)
            // Of one that is stopped the reason says so already.
            .filter(|step| step.rung != Rung::Stop)
            .map(|step| format!("{} for {}", step.rung.done(), self.cause(step)))
            .collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Returns what is done to a workload, for the status.
    pub(crate) fn restraints(&self, name: &WorkloadName, now: Moment) -> Vec<RestraintReport> {
        let report = |step: &Step| RestraintReport {
            step: step.rung,
            objective: step.objective.clone(),
            since: now.wall_at(step.since),
        };
        self.governor.steps_of(name).map(report).collect()
    }

    /// Notes that a runtime cannot do what a command asked of it, if it was for a step.
    pub(crate) fn note_unsupported(
        &mut self,
        executor: ExecutorKind,
        name: &WorkloadName,
        flight: &InFlight,
        error: &CommandError,
        now: Monotonic,
    ) {
        let rung = match flight.kind {
            ActionKind::Freeze => Some(Rung::Freeze),
            ActionKind::Limit if flight.limits.squeezed => Some(Rung::Squeeze),
            ActionKind::Limit
            | ActionKind::Pull
            | ActionKind::Start
            | ActionKind::Stop
            | ActionKind::Suspend
            | ActionKind::Thaw
            | ActionKind::Halt => None,
        };
        if let (Some(rung), CommandError::Unsupported { message }) = (rung, error) {
            self.unsupported.insert((executor, rung));
            if self.governor.unsupported(name, rung, now) {
                let message = format!("no longer {}: {message}", rung.done());
                self.events.add(EventReason::RestraintLifted, name, message);
            }
        }
    }
}

/// Returns how far a step has been carried out for a job, or undone where it is no longer in force.
fn progress(entry: &Entry, rung: Rung, is_in_force: bool) -> Progress {
    let Entry { job, decision } = entry;
    if job.run.in_flight.is_some() {
        return Progress::UnderWay;
    }
    let is_done = match (rung, is_in_force) {
        (Rung::Throttle | Rung::Squeeze, true) => {
            let is_asked_for = decision.limits.squeezed || decision.limits.cpu.is_some();
            !job.is_alive() || is_asked_for && !lacks_limits(job, decision.limits)
        }
        (Rung::Throttle | Rung::Squeeze, false) => {
            !job.is_alive() || !lacks_limits(job, decision.limits)
        }
        (Rung::Freeze, true) => !job.is_alive() || job.is_frozen(),
        (Rung::Freeze, false) => !job.is_frozen(),
        (Rung::Stop, true) => !job.is_any_pod_alive(),
        (Rung::Stop, false) => job.is_alive() || decision.target.state() != TargetState::Running,
    };
    if is_done { Progress::Done } else { Progress::Pending }
}

fn lacks_limits(job: &Job, limits: Limits) -> bool {
    let workload = job.spec.effective();
    workload.is_some_and(|it| job.run.drift.next_write(it, limits, false).is_some())
}
