//! When images are cared for: with each new configuration, and once an hour. With a new
//! configuration volumes of pods that are gone are removed as well; what of them could not be removed
//! is tried again.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::debug;

use super::PodmanExecutor;
use crate::messages::WorkloadsConfigured;
use crate::podman_executor::commands::pull::image_names;
use crate::workload::WorkloadId;

/// Interval at which unused images are looked for.
const MAX_CARE_PERIOD: Duration = Duration::from_secs(60 * 60);
/// Shortest one, whatever the setting is.
const MIN_CARE_PERIOD: Duration = Duration::from_secs(1);
/// Time to the next try to remove volumes that could not be removed.
const REMOVAL_PERIOD: Duration = Duration::from_secs(10 * 60);

impl Handler<WorkloadsConfigured> for PodmanExecutor {
    type Result = ();

    /// Notes which images are wanted: those of inactive workloads too, unlike what runs.
    fn handle(&mut self, configured: WorkloadsConfigured, ctx: &mut Self::Context) {
        if configured.is_outdated {
            return;
        }
        // What may come back must find its images.
        let all = || configured.workloads.iter().chain(configured.updates.previous());
        let kind = self.deps.kind;
        let ours = || all().filter(|workload| workload.executor == kind);
        let wanted: BTreeSet<_> = ours().flat_map(|workload| image_names(workload)).collect();
        if self.context.images.want(wanted) {
            self.prune(ctx);
        }
        let workloads = all().map(AsRef::as_ref);
        self.context.writers.borrow_mut().configure(workloads, &self.deps.volumes_root);
        // Those that may come back keep what they wrote.
        let ids: BTreeSet<_> = all().map(|workload| workload.id.clone()).collect();
        self.learn_probes(ours(), &ids, ctx);
        self.context.configured.replace(ids.clone());
        self.sweep_volumes(ids, ctx);
    }
}

impl PodmanExecutor {
    /// Looks for images to prune, again and again.
    pub(super) fn care_for_images(&mut self, ctx: &mut Context<Self>) {
        let Some(after) = self.deps.image_prune_after else {
            return;
        };
        ctx.run_later(after.clamp(MIN_CARE_PERIOD, MAX_CARE_PERIOD), |actor, ctx| {
            actor.prune(ctx);
            actor.care_for_images(ctx);
        });
    }

    /// Tries to remove volumes that could not be removed, again and again.
    pub(super) fn care_for_volumes(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(REMOVAL_PERIOD, |actor, ctx| {
            actor.context.remove_volumes_again();
            actor.care_for_volumes(ctx);
        });
    }

    fn sweep_volumes(&mut self, configured: BTreeSet<WorkloadId>, ctx: &mut Context<Self>) {
        let context = Rc::clone(&self.context);
        let sweeping = async move {
            if let Err(error) = context.sweep_volumes(&configured).await {
                debug!(error, "volumes of removed pods were not swept");
            }
        };
        ctx.spawn(sweeping.into_actor(self));
    }

    fn prune(&mut self, ctx: &mut Context<Self>) {
        let Some(after) = self.deps.image_prune_after else { return };
        let context = Rc::clone(&self.context);
        let pruning = async move {
            let now = context.clock.now();
            context.images.prune(&*context.api, now, after).await;
        };
        ctx.spawn(pruning.into_actor(self));
    }
}
