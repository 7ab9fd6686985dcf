//! The table of jobs: takes in verdicts, listings and answers. Pure.

mod configure;
mod dispatch;
mod governing;
pub(crate) mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::cron::clock_trust::{ClockTrust, CronClock};
use super::decision::Decision;
use super::dependencies::Dependencies;
use super::eligibility::turns::Turns;
use super::eligibility::{LatestVerdicts, undefined, verdicts_differ};
use super::governor::Governor;
use super::governor::usage::UsageBook;
use super::halt::Shutdown;
use super::job::Job;
use super::observed::{Listings, Runtime, Runtimes};
use super::queue::{StartBudget, WorkQueue};
use super::report::events::EventBuffer;
use crate::clock::{Moment, Monotonic};
use crate::messages::{CommandFinished, Shortfall, WorkloadsObserved};
use crate::workload::{
    ConditionName, Event, EventReason, ExecutorKind, ObservedPod, Profile, RetryPolicy, Rung,
    Verdicts, Workload, WorkloadName,
};

/// Settings of the scheduler.
#[derive(Clone, Debug)]
pub struct SchedulerSettings {
    /// The retry of workloads that bring none.
    pub retry: RetryPolicy,
    /// How many pulls, and how many starts, may be under way on the device at once; at least 1.
    pub start_budget: usize,
    /// How long the device settles after workloads of one priority were stopped, or started again, before
    /// those of the next one are.
    pub settling: Duration,
    /// When cron follows the wall clock.
    pub cron_clock: CronClock,
    /// Runtimes without an executor, each with a hint how to get it.
    pub unconfigured: BTreeMap<ExecutorKind, String>,
}

/// A job, and what was last decided about it.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) job: Job,
    pub(crate) decision: Decision,
}

impl Entry {
    fn new(job: Job) -> Box<Self> {
        Box::new(Self { job, decision: Decision::default() })
    }
}

/// All jobs, and what they share.
#[derive(Debug)]
pub(crate) struct JobTable {
    pub(crate) settings: SchedulerSettings,
    /// Boxed: a map that grows in order leaves half of its places free.
    pub(crate) jobs: BTreeMap<WorkloadName, Box<Entry>>,
    pub(crate) listings: Listings,
    pub(crate) runtimes: Runtimes,
    pub(crate) verdicts: LatestVerdicts,
    /// Workloads of the configuration that were refused, and why.
    pub(crate) rejected: BTreeMap<WorkloadName, String>,
    pub(crate) dependencies: Dependencies,
    /// Whether workloads have different priorities.
    pub(crate) has_priorities: bool,
    pub(crate) turns: Turns,
    pub(crate) governor: Governor,
    /// What pods use, while an objective is broken.
    pub(crate) usage: UsageBook,
    /// How far the objectives that are broken are from holding.
    pub(crate) shortfalls: BTreeMap<ConditionName, Shortfall>,
    /// Steps of the governor that a runtime has refused as impossible.
    pub(crate) unsupported: BTreeSet<(ExecutorKind, Rung)>,
    /// A newer configuration may exist: nothing is removed because this one does not have it.
    pub(crate) outdated: bool,
    /// Nothing is decided before a configuration is known.
    pub(crate) configured: bool,
    pub(crate) shutdown: Shutdown,
    /// Whether cron may follow the wall clock.
    pub(crate) clock: ClockTrust,
    pub(crate) queue: WorkQueue,
    pub(crate) budget: StartBudget,
    pub(crate) next_command: u64,
    pub(crate) random: fastrand::Rng,
    pub(crate) events: EventBuffer,
}

impl JobTable {
    /// Returns an empty table.
    pub(crate) fn new(settings: SchedulerSettings, seed: u64) -> Self {
        Self {
            runtimes: Runtimes::new(&settings.unconfigured),
            turns: Turns::new(settings.settling),
            governor: Governor::default(),
            usage: UsageBook::default(),
            shortfalls: BTreeMap::new(),
            unsupported: BTreeSet::new(),
            budget: StartBudget::new(settings.start_budget),
            settings,
            jobs: BTreeMap::new(),
            listings: Listings::default(),
            verdicts: LatestVerdicts::default(),
            rejected: BTreeMap::new(),
            dependencies: Dependencies::default(),
            has_priorities: false,
            outdated: false,
            configured: false,
            shutdown: Shutdown::default(),
            clock: ClockTrust::Trusted,
            queue: WorkQueue::default(),
            next_command: 1,
            random: fastrand::Rng::with_seed(seed),
            events: EventBuffer::default(),
        }
    }

    /// Forgets every decision. Facts stay: the pods that were listed or may exist, and the commands
    /// in flight, whose answers are still to come.
    pub(crate) fn reset(&mut self) {
        let mut fresh = Self::new(self.settings.clone(), self.random.u64(..));
        fresh.next_command = self.next_command;
        fresh.shutdown = std::mem::take(&mut self.shutdown);
        if fresh.shutdown.is_draining {
            // Pods are halted in this order, and no configuration comes any more.
            fresh.dependencies = std::mem::take(&mut self.dependencies);
        }
        fresh.clock = self.clock.clone();
        fresh.unsupported = std::mem::take(&mut self.unsupported);
        fresh.verdicts = std::mem::take(&mut self.verdicts);
        fresh.shortfalls = std::mem::take(&mut self.shortfalls);
        fresh.listings = std::mem::take(&mut self.listings);
        std::mem::swap(&mut fresh.runtimes, &mut self.runtimes);
        std::mem::swap(&mut fresh.budget, &mut self.budget);
        fresh.budget.clear_waiting();
        for (name, entry) in std::mem::take(&mut self.jobs) {
            let mut bare = Job::orphan(name.clone(), self.settings.retry);
            bare.take_facts(entry.job);
            fresh.jobs.insert(name, Entry::new(bare));
        }
        *self = fresh;
    }

    /// Takes in verdicts on `profiles`: the jobs that name a profile whose verdicts changed are
    /// decided about anew.
    pub(crate) fn evaluate(&mut self, verdicts: Verdicts, profiles: Arc<[Profile]>) {
        let were_there = self.verdicts.in_force().is_some();
        let old = self.verdicts.evaluate(verdicts, profiles);
        if self.verdicts.in_force().is_some() != were_there {
            self.make_due(|job| job.spec.has_profiles());
        }
        let Some(new) = self.verdicts.in_force() else { return };
        for (name, entry) in &mut self.jobs {
            let spec = &mut entry.job.spec;
            if spec.looked_at().any(|it| verdicts_differ(it, old.as_ref(), Some(new))) {
                self.queue.make_due(name);
            }
            // Reported once for each change.
            let undefined = spec.looked_at().find_map(|it| undefined(it, new));
            if let Some(message) = undefined.as_ref().filter(|_| undefined != spec.undefined) {
                self.events.add(EventReason::ProfileUnknown, name, message.clone());
            }
            spec.undefined = undefined;
        }
    }

    /// Takes in whether cron may follow the wall clock.
    pub(crate) fn trust_clock(&mut self, clock: ClockTrust) {
        if clock != self.clock {
            self.clock = clock;
            self.make_due(|job| job.run.cron.is_some());
        }
    }

    /// Takes in what an executor listed.
    pub(crate) fn observe(&mut self, observed: WorkloadsObserved) {
        let executor = observed.executor;
        let (runtime, pods) = match observed.pods {
            Ok(pods) => {
                let slow = observed.slow.map(|message| Runtime::Slow { message });
                (slow.unwrap_or(Runtime::Available), Some(pods))
            }
            Err(unavailable) => (Runtime::Unavailable { message: unavailable.message }, None),
        };
        let was_syncing = self.runtimes.has_unknown_podman();
        if self.runtimes.note(executor, runtime) {
            self.make_due(|job| {
                let is_wanted_there = |it: &Arc<Workload>| it.executor == executor;
                job.spec.desired.as_ref().is_some_and(is_wanted_there)
                    || job.observed.count_on(executor) > 0
            });
        }
        if was_syncing && !self.runtimes.has_unknown_podman() {
            self.make_due(|_| true);
        }
        if let Some(pods) = pods {
            self.take_listing(executor, observed.observed_at.monotonic, pods);
        }
    }

    fn take_listing(&mut self, executor: ExecutorKind, at: Monotonic, pods: Vec<ObservedPod>) {
        let before = self.listings.replace(executor, at, pods);
        let Some((listed, late)) = self.listings.last(executor) else { return };
        for (name, entry) in &mut self.jobs {
            if late.contains_key(name) {
                continue;
            }
            let observed = &mut entry.job.observed;
            let listed = listed.get(name);
            let changed = listed != before.get(name);
            // Commands have added or removed pods of the job since the last listing.
            let differs = observed.count_on(executor) != listed.map_or(0, Vec::len);
            if changed || differs {
                observed.replace(executor, listed.map_or(&[], Vec::as_slice));
                self.queue.make_due(name);
            }
        }
        self.adopt_orphans();
    }

    /// Returns the job of that name, made anew with the pods that are there.
    pub(crate) fn job(&mut self, name: &WorkloadName) -> &mut Job {
        let retry = self.settings.retry;
        let listings = &self.listings;
        let entry = self.jobs.entry(name.clone()).or_insert_with(|| {
            let mut job = Job::orphan(name.clone(), retry);
            for executor in ExecutorKind::ALL {
                job.observed.replace(executor, listings.pods(executor, name));
            }
            Entry::new(job)
        });
        &mut entry.job
    }

    /// Makes jobs that remove the pods of workloads that are not configured, but only once a
    /// configuration is known.
    pub(crate) fn adopt_orphans(&mut self) {
        if !self.configured || self.outdated {
            return;
        }
        for name in self.listings.workloads() {
            if !self.jobs.contains_key(&name) {
                self.job(&name);
                self.queue.make_due(&name);
            }
        }
    }

    /// Takes in the answer to a command.
    pub(crate) fn finish(&mut self, finished: CommandFinished, now: Moment) {
        self.events.set_time(now.wall);
        self.budget.release(finished.id);
        if self.shutdown.finished(finished.id) {
            return;
        }
        let CommandFinished { executor, workload, finished_at, .. } = &finished;
        self.listings.command_ended(*executor, workload, finished_at.monotonic);
        let Some(entry) = self.jobs.get_mut(&finished.workload) else { return };
        let flight = entry.job.run.in_flight.clone().filter(|it| it.command == finished.id);
        let target = &entry.decision.target;
        let error = finished.result.as_ref().err().cloned();
        entry.job.finished(finished.id, finished.result, target, now, &mut self.events);
        self.queue.make_due(&finished.workload);
        if let (Some(flight), Some(error)) = (flight, error) {
            self.note_unsupported(
                flight.pod.executor,
                &finished.workload,
                &flight,
                &error,
                now.monotonic,
            );
        }
    }

    /// Has the jobs that `are_concerned` decided about.
    pub(crate) fn make_due(&mut self, are_concerned: impl Fn(&Job) -> bool) {
        for (name, entry) in &self.jobs {
            if are_concerned(&entry.job) {
                self.queue.make_due(name);
            }
        }
    }

    /// Returns the events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.events.take()
    }
}
