//! Takes in configurations: jobs come, change and go. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::clock::Moment;
use crate::messages::WorkloadsConfigured;
use crate::scheduler::cron::Cron;
use crate::scheduler::dependencies::Dependencies;
use crate::scheduler::table::JobTable;
use crate::workload::{EventReason, Profile, Update, Workload};

impl JobTable {
    /// Takes in a configuration: new jobs, changed jobs, jobs to be removed.
    pub(crate) fn configure(&mut self, configured: &WorkloadsConfigured, now: Moment) {
        self.events.set_time(now.wall);
        self.configured = true;
        let was_outdated = std::mem::replace(&mut self.outdated, configured.is_outdated);
        self.adopt_profiles(&configured.profiles);
        self.keep_objectives(&configured.objectives);
        let names: BTreeSet<_> = configured.workloads.iter().map(|w| w.name.clone()).collect();
        for workload in &configured.workloads {
            self.adopt(workload, configured.updates.of(workload), now);
        }
        self.order(configured);
        let mut priorities = configured.workloads.iter().map(|workload| workload.turn.priority);
        let first = priorities.next();
        self.has_priorities = priorities.any(|priority| Some(priority) != first);
        // Who goes first may be another now.
        let waiting = self.jobs.iter().filter(|(_, it)| it.decision.awaits_turn_since.is_some());
        waiting.for_each(|(name, _)| self.queue.make_due(name));
        self.adopt_orphans();
        for (name, entry) in &mut self.jobs {
            let is_removed = !names.contains(name) && !self.outdated;
            if is_removed {
                entry.job.remove();
            }
            if is_removed || was_outdated != self.outdated {
                self.queue.make_due(name);
            }
        }
        self.reject(configured);
    }

    fn adopt(&mut self, workload: &Arc<Workload>, update: Option<&Update>, now: Moment) {
        let name = &workload.name;
        if self.jobs.get(name).is_some_and(|it| it.job.spec.desired.as_ref() == Some(workload)) {
            return;
        }
        if let Some(hint) = self.settings.unconfigured.get(&workload.executor) {
            self.events.add(EventReason::RuntimeNotConfigured, name, hint.clone());
        }
        let cron = Cron::of(workload, now, &mut self.events);
        let (retry, seed) = (self.settings.retry, self.random.u64(..));
        let job = self.job(name);
        job.configure(workload, update, cron, retry, seed, now);
        self.queue.make_due(name);
    }

    /// Takes over which workloads wait for which others; reports what is wrong with that, once for
    /// each change.
    fn order(&mut self, configured: &WorkloadsConfigured) {
        let named =
            configured.workloads.iter().map(|workload| (&workload.name, &workload.after[..]));
        let new = Dependencies::new(named);
        if new == self.dependencies {
            return;
        }
        new.report(&mut self.events);
        self.dependencies = new;
        self.make_due(|_| true);
    }

    fn reject(&mut self, configured: &WorkloadsConfigured) {
        let rejected: BTreeMap<_, _> =
            configured.rejected.iter().map(|r| (r.name.clone(), r.reason.clone())).collect();
        for (name, reason) in &rejected {
            if self.rejected.get(name) != Some(reason) {
                self.events.add(EventReason::WorkloadRejected, name, reason.clone());
            }
        }
        self.rejected = rejected;
    }

    /// Takes in the profiles of the configuration, on which there may be no verdicts yet.
    fn adopt_profiles(&mut self, profiles: &Arc<[Profile]>) {
        let were_there = self.verdicts.in_force().is_some();
        self.verdicts.configure(profiles);
        if self.verdicts.in_force().is_some() != were_there {
            self.make_due(|job| job.spec.has_profiles());
        }
    }
}
