//! What the jobs make of what the executors see. Pure.

use std::collections::BTreeMap;

use super::clock_trust::ClockTrust;
use super::jobs::{Jobs, pods_by_key};
use super::runtimes::Runtime;
use crate::messages::WorkloadsObserved;
use crate::workload::{ExecutorKind, ObservedPod, WorkloadName};

impl Jobs {
    /// Takes over whether cron may follow the wall clock.
    pub(crate) fn trust_clock(&mut self, clock: ClockTrust) {
        if clock == self.clock {
            return;
        }
        self.clock = clock;
        let by_clock = self.jobs.iter().filter(|(_, job)| job.cron.is_some());
        by_clock.for_each(|(name, _)| self.agenda.plan_now(name));
    }

    /// Adopts what an executor saw.
    pub(crate) fn observe(&mut self, observed: WorkloadsObserved) {
        let executor = observed.executor;
        let had_unheard = self.runtimes.has_unheard_podman();
        let pods = match observed.pods {
            Ok(pods) => pods,
            Err(unavailable) => {
                let message = unavailable.message;
                if self.runtimes.note(executor, Runtime::Unavailable { message }) {
                    self.touch_all_on(executor);
                }
                return self.stop_waiting_to_hear(had_unheard);
            }
        };
        let answers = observed.slow.map_or(Runtime::Available, |message| Runtime::Slow { message });
        if self.runtimes.note(executor, answers) {
            self.touch_all_on(executor);
        }
        self.stop_waiting_to_hear(had_unheard);
        let mut by_workload: BTreeMap<WorkloadName, Vec<ObservedPod>> = BTreeMap::new();
        for pod in pods {
            by_workload.entry(pod.workload.clone()).or_default().push(pod);
        }
        let old = self.seen.insert(executor, by_workload).unwrap_or_default();
        let new = self.seen.get(&executor);
        for (name, job) in &mut self.jobs {
            let seen = new.and_then(|new| new.get(name));
            let changed = seen != old.get(name);
            let differs = job.pods.keys().filter(|key| key.executor == executor).count()
                != seen.map_or(0, Vec::len);
            if changed || differs {
                job.pods.retain(|key, _| key.executor != executor);
                job.pods.extend(pods_by_key(executor, seen));
                self.agenda.plan_now(name);
            }
        }
        self.adopt_strangers();
    }

    /// Plans all jobs once every podman has been heard.
    fn stop_waiting_to_hear(&mut self, had_unheard: bool) {
        if had_unheard && !self.runtimes.has_unheard_podman() {
            self.jobs.keys().for_each(|name| self.agenda.plan_now(name));
        }
    }

    fn touch_all_on(&mut self, executor: ExecutorKind) {
        for (name, job) in &self.jobs {
            let wants = job.desired.as_ref().is_some_and(|w| w.executor == executor);
            if wants || job.pods.keys().any(|key| key.executor == executor) {
                self.agenda.plan_now(name);
            }
        }
    }
}
