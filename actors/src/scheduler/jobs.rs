//! The table of jobs: adopts configurations, verdicts and observations, and yields commands. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agenda::Agenda;
use super::clock_trust::ClockTrust;
use super::clockwork::Cron;
use super::dependencies::Dependencies;
use super::eligibility::verdicts_differ;
use super::halt::Ending;
use super::job::Job;
use super::judgement::Judgement;
use super::notices::Notices;
use super::report::{rejected, report};
use super::run::PodKey;
use super::runtimes::Runtimes;
use super::settings::SchedulerSettings;
use super::start_budget::StartBudget;
use crate::clock::Moment;
use crate::messages::WorkloadsConfigured;
use crate::workload::{
    Event, EventReason, ExecutorKind, JobReport, ObservedPod, Profile, Verdicts, Workload,
    WorkloadName,
};

/// All jobs.
#[derive(Debug)]
pub(crate) struct Jobs {
    settings: SchedulerSettings,
    /// Boxed, as a map that grows in order leaves half of its places free.
    pub(super) jobs: BTreeMap<WorkloadName, Box<Job>>,
    /// What every executor saw last; pods of workloads that have no job yet among them.
    pub(super) seen: BTreeMap<ExecutorKind, BTreeMap<WorkloadName, Vec<ObservedPod>>>,
    pub(super) runtimes: Runtimes,
    pub(super) judgement: Judgement,
    /// Workloads of the configuration that were refused, and why.
    rejected: BTreeMap<WorkloadName, String>,
    pub(super) dependencies: Dependencies,
    /// The configuration may lack what is wanted: nothing goes for not being in it.
    pub(super) outdated: bool,
    /// Nothing is decided before a configuration is known.
    pub(super) configured: bool,
    /// The agent stops: no command is sent any more.
    pub(super) ending: Ending,
    pub(super) agenda: Agenda,
    pub(super) budget: StartBudget,
    pub(super) next_command: u64,
    random: fastrand::Rng,
    pub(super) notices: Notices,
    pub(super) clock: ClockTrust,
}

impl Jobs {
    /// Returns an empty table.
    pub(crate) fn new(settings: SchedulerSettings, seed: u64) -> Self {
        Self {
            runtimes: Runtimes::new(&settings.unconfigured),
            budget: StartBudget::new(settings.start_budget),
            settings,
            jobs: BTreeMap::new(),
            seen: BTreeMap::new(),
            judgement: Judgement::default(),
            rejected: BTreeMap::new(),
            dependencies: Dependencies::default(),
            outdated: false,
            configured: false,
            ending: Ending::default(),
            agenda: Agenda::default(),
            next_command: 1,
            random: fastrand::Rng::with_seed(seed),
            notices: Notices::default(),
            clock: ClockTrust::Trusted,
        }
    }

    /// Forgets every decision. Facts stay: the pods that were seen or may exist, and the commands
    /// in flight, whose answers are still to come.
    pub(crate) fn reset(&mut self) {
        let mut fresh = Self::new(self.settings.clone(), self.random.u64(..));
        fresh.next_command = self.next_command;
        fresh.go_on_ending(self);
        fresh.clock = self.clock.clone();
        fresh.judgement = std::mem::take(&mut self.judgement);
        fresh.seen = std::mem::take(&mut self.seen);
        std::mem::swap(&mut fresh.runtimes, &mut self.runtimes);
        std::mem::swap(&mut fresh.budget, &mut self.budget);
        fresh.budget.clear_waiting();
        for (name, job) in std::mem::take(&mut self.jobs) {
            let mut bare = Box::new(Job::orphan(name.clone(), self.settings.retry));
            bare.take_facts(*job);
            fresh.jobs.insert(name, bare);
        }
        *self = fresh;
    }

    /// Adopts a configuration: new jobs, changed jobs, jobs to be removed.
    pub(crate) fn configure(&mut self, configured: &WorkloadsConfigured, now: Moment) {
        self.notices.set_time(now.wall);
        self.configured = true;
        self.outdated = configured.is_outdated;
        self.judge_by(&configured.profiles);
        let names: BTreeSet<_> = configured.workloads.iter().map(|w| w.name.clone()).collect();
        let former = configured.former.iter().map(|former| (&former.name, former)).collect();
        for workload in &configured.workloads {
            self.adopt(workload, &former, now);
        }
        self.order(configured);
        self.adopt_strangers();
        for (name, job) in &mut self.jobs {
            if std::mem::replace(&mut job.outdated, self.outdated) != self.outdated {
                self.agenda.plan_now(name);
            }
            if !names.contains(name) && !self.outdated {
                job.remove();
                self.agenda.plan_now(name);
            }
        }
        self.reject(configured);
    }

    fn adopt(
        &mut self,
        workload: &Arc<Workload>,
        former: &BTreeMap<&WorkloadName, &Arc<Workload>>,
        now: Moment,
    ) {
        let name = &workload.name;
        if self.jobs.get(name).is_some_and(|job| job.desired.as_ref() == Some(workload)) {
            return;
        }
        if let Some(way_out) = self.settings.unconfigured.get(&workload.executor) {
            self.notices.add(EventReason::RuntimeNotConfigured, name, way_out.clone());
        }
        let cron = Cron::of(workload, now, &mut self.notices);
        let (retry, seed) = (self.settings.retry, self.random.u64(..));
        let job = self.job(name);
        let is_new = job.desired.is_none();
        job.configure(workload, cron, retry, seed, now);
        if let Some(former) = former.get(name).filter(|_| is_new) {
            job.rollback.recall(former);
        }
        self.agenda.plan_now(name);
    }

    /// Takes over who waits for whom; says what is wrong with it, once for each change.
    fn order(&mut self, configured: &WorkloadsConfigured) {
        let named =
            configured.workloads.iter().map(|workload| (&workload.name, &workload.after[..]));
        let new = Dependencies::new(named);
        if new == self.dependencies {
            return;
        }
        for name in new.circular() {
            let message = "it waits for itself in a circle, so its order is ignored".to_owned();
            self.notices.add(EventReason::DependencyCircle, name, message);
        }
        for (name, what) in new.unknown() {
            let message = format!("it waits for {what}: ignored");
            self.notices.add(EventReason::DependencyUnknown, name, message);
        }
        self.dependencies = new;
        for name in self.jobs.keys() {
            self.agenda.plan_now(name);
        }
    }

    /// Returns the job of that name, made anew with the pods that are there.
    fn job(&mut self, name: &WorkloadName) -> &mut Job {
        let retry = self.settings.retry;
        let seen = &self.seen;
        self.jobs.entry(name.clone()).or_insert_with(|| {
            let mut job = Box::new(Job::orphan(name.clone(), retry));
            for (executor, workloads) in seen {
                job.pods.extend(pods_by_key(*executor, workloads.get(name)));
            }
            job
        })
    }

    /// Pods of ours that no configuration wants get a job that removes them, but only once a
    /// configuration is known.
    pub(super) fn adopt_strangers(&mut self) {
        if !self.configured || self.outdated {
            return;
        }
        let names: BTreeSet<_> = self.seen.values().flat_map(BTreeMap::keys).cloned().collect();
        for name in names {
            if !self.jobs.contains_key(&name) {
                self.job(&name);
                self.agenda.plan_now(&name);
            }
        }
    }

    fn reject(&mut self, configured: &WorkloadsConfigured) {
        let rejected: BTreeMap<_, _> =
            configured.rejected.iter().map(|r| (r.name.clone(), r.reason.clone())).collect();
        for (name, reason) in &rejected {
            if self.rejected.get(name) != Some(reason) {
                self.notices.add(EventReason::WorkloadRejected, name, reason.clone());
            }
        }
        for (name, job) in &mut self.jobs {
            job.rejected = rejected.get(name).cloned();
        }
        self.rejected = rejected;
    }

    /// Adopts the profiles of the configuration, on which there may be no verdicts yet.
    fn judge_by(&mut self, profiles: &Arc<[Profile]>) {
        let were_there = self.judgement.in_force().is_some();
        self.judgement.configure(profiles);
        if self.judgement.in_force().is_some() != were_there {
            self.plan_those_with_profiles();
        }
    }

    /// Adopts verdicts on `profiles`: the jobs that name a profile whose verdicts changed are
    /// planned anew.
    pub(crate) fn evaluate(&mut self, verdicts: Verdicts, profiles: Arc<[Profile]>) {
        let were_there = self.judgement.in_force().is_some();
        let old = self.judgement.evaluate(verdicts, profiles);
        if self.judgement.in_force().is_some() != were_there {
            self.plan_those_with_profiles();
        }
        let Some(new) = self.judgement.in_force() else { return };
        for (name, job) in &mut self.jobs {
            let profiles = job.desired.as_ref().map_or(&[][..], |workload| &workload.profiles);
            if verdicts_differ(profiles, old.as_ref(), Some(new)) {
                self.agenda.plan_now(name);
            }
            job.note_undefined(new, &mut self.notices);
        }
    }

    fn plan_those_with_profiles(&mut self) {
        for (name, job) in &self.jobs {
            if job.desired.as_ref().is_some_and(|workload| !workload.profiles.is_empty()) {
                self.agenda.plan_now(name);
            }
        }
    }

    /// Returns the events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.notices.take()
    }

    /// Returns the reports on all workloads, in order of name.
    pub(crate) fn reports(&self, now: Moment) -> Vec<JobReport> {
        let mut reports: BTreeMap<&WorkloadName, JobReport> =
            self.rejected.iter().map(|(name, reason)| (name, rejected(name, reason))).collect();
        for (name, job) in &self.jobs {
            if let Some(report) = report(job, &self.runtimes, now) {
                reports.insert(name, report);
            }
        }
        reports.into_values().collect()
    }

    /// Returns the runtimes that a workload needs and that do not answer, or too late.
    pub(crate) fn silent_runtimes(&self) -> BTreeSet<ExecutorKind> {
        let wanted = self.jobs.values().filter_map(|job| job.desired.as_ref());
        let needed = wanted.map(|workload| workload.executor);
        needed.filter(|kind| self.runtimes.is_silent(*kind)).collect()
    }
}

pub(super) fn pods_by_key(
    executor: ExecutorKind,
    pods: Option<&Vec<ObservedPod>>,
) -> impl Iterator<Item = (PodKey, Box<ObservedPod>)> {
    let keyed =
        move |pod: &ObservedPod| (PodKey { executor, id: pod.id.clone() }, Box::new(pod.clone()));
    pods.into_iter().flatten().map(keyed)
}
