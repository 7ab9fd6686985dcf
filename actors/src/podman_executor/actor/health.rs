//! The health of pods: probes are run for as long as their containers do, and what they find is sent with the
//! pods. Hooks are learnt beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use actix::prelude::*;

use super::{Availability, PodmanExecutor};
use crate::messages::Action;
use crate::pod_manifest::hooks::pod_hooks;
use crate::pod_manifest::probes::pod_probes;
use crate::workload::{ContainerHealth, Health, PodHealth, Workload, WorkloadId};

impl PodmanExecutor {
    /// Notes the probes and hooks of `workloads`, those of this podman that are configured or may come
    /// back. `configured` are the ids of all that are.
    pub(super) fn learn_probes<'a>(
        &mut self,
        workloads: impl Iterator<Item = &'a Arc<Workload>>,
        configured: &BTreeSet<WorkloadId>,
        ctx: &mut Context<Self>,
    ) {
        let mut is_news = false;
        for workload in workloads {
            is_news |= self.learn_probes_of(workload);
        }
        let context = &self.context;
        self.health.keep_only(|id| configured.contains(id) || context.is_busy_with(id));
        // Those of a pod that is to be removed are needed until it is.
        let is_gone =
            |id: &WorkloadId| context.table.borrow().is_absent(id) && !context.is_busy_with(id);
        context.hooks.borrow_mut().keep_only(|id| configured.contains(id) || !is_gone(id));
        if is_news {
            self.send_again(ctx);
        }
    }

    /// Notes the probes of a pod before it is started.
    pub(super) fn learn_probes_to_start(&mut self, action: &Action) {
        if let Action::Start { workload, .. } = action {
            self.learn_probes_of(workload);
        }
    }

    fn learn_probes_of(&mut self, workload: &Workload) -> bool {
        // One that cannot be read was refused with the configuration, and cannot be started.
        if let Ok(hooks) = pod_hooks(&workload.pod, self.deps.kind) {
            self.context.hooks.borrow_mut().know(&workload.id, hooks);
        }
        let probes = pod_probes(&workload.pod, self.deps.kind);
        probes.is_ok_and(|probes| self.health.know(&workload.id, probes))
    }

    /// Runs the probes of each container that runs, and of no other.
    pub(super) fn follow_containers(&mut self, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        let followed = self.health.follow(self.context.table.borrow().live(), now);
        for run in followed.ended {
            if let Some(probing) = self.probing.remove(&run) {
                ctx.cancel_future(probing);
            }
        }
        for (run, probing) in followed.begun {
            let probing = ctx.spawn(probing.into_actor(self));
            self.probing.insert(run, probing);
        }
    }

    /// Sends all pods again whenever the health of one has changed.
    pub(super) fn await_health(&mut self, ctx: &mut Context<Self>) {
        let change = self.health.next_change();
        ctx.spawn(change.into_actor(self).map(|(), actor, ctx| {
            actor.send_again(ctx);
            actor.await_health(ctx);
        }));
    }

    /// Returns the health of each pod that has any. A container has not started while its `postStart`
    /// runs.
    pub(super) fn healths(&self) -> BTreeMap<WorkloadId, PodHealth> {
        let mut healths = self.health.by_pod();
        for (pod, containers) in self.context.hooks.borrow().starting() {
            let PodHealth(of_pod) = healths.entry(pod.clone()).or_default();
            of_pod.retain(|it| !containers.contains(&it.container));
            of_pod.extend(containers.iter().map(|container| ContainerHealth {
                container: container.clone(),
                health: Health::Starting { reason: Some("lifecycle.postStart runs".to_owned()) },
            }));
        }
        healths
    }

    /// Sends the pods as they were last sent, with the health that they have now. Not while podman does
    /// not answer: that would pass for an answer, and the first one after it sends them anyway.
    pub(super) fn send_again(&mut self, ctx: &mut Context<Self>) {
        if !matches!(self.availability, Availability::Available) {
            return;
        }
        let snapshot = self.context.table.borrow_mut().again();
        if let Some(snapshot) = snapshot {
            self.send(snapshot, ctx);
        }
    }
}
