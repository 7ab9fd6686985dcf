//! The connection to the cluster: made, watched, lost, and made anew.

use std::rc::Rc;
use std::time::Duration;

use actix::fut::WrapStream as _;
use actix::prelude::{
    ActorFutureExt as _, ActorStreamExt as _, AsyncContext as _, Context, WrapFuture as _,
};
use tracing::{info, warn};

use super::K8sExecutor;
use crate::k8s_executor::client::{ClusterApi, ClusterError, ClusterEvent};
use crate::workload::EventReason;

/// Changes within this time make one report.
const COALESCE: Duration = Duration::from_millis(100);

impl K8sExecutor {
    pub(super) fn connect(&mut self, ctx: &mut Context<Self>) {
        let connecting = (self.deps.connect)().into_actor(self);
        ctx.spawn(connecting.map(|connected, actor, ctx| match connected {
            Ok(api) => actor.connected(api, ctx),
            Err(error) => actor.lost(&error, ctx),
        }));
    }

    fn connected(&mut self, api: Rc<dyn ClusterApi>, ctx: &mut Context<Self>) {
        // Commands under way look at the same one.
        self.mirror.reset();
        self.follow(api, ctx);
    }

    /// Makes `api` the connection in use.
    fn follow(&mut self, api: Rc<dyn ClusterApi>, ctx: &mut Context<Self>) {
        let events = api.watch().into_actor(self);
        let events = events.map(|event, actor: &mut Self, ctx| match event {
            Ok(event) => actor.changed(&event, ctx),
            Err(error) => actor.lost(&error, ctx),
        });
        let watching = ctx.spawn(events.finish());
        if let Some(previous) = self.watching.replace(watching) {
            ctx.cancel_future(previous);
        }
        (self.api, self.renewal_failure) = (Some(api), None);
    }

    fn changed(&mut self, event: &ClusterEvent, ctx: &mut Context<Self>) {
        let was_complete = self.mirror.is_complete();
        self.mirror.apply(event);
        if !self.mirror.is_complete() {
            return;
        }
        if !was_complete {
            self.regained();
        }
        if !self.report_planned {
            self.report_planned = true;
            ctx.run_later(COALESCE, |actor, _| {
                actor.report_planned = false;
                actor.report();
            });
        }
    }

    fn regained(&mut self) {
        self.reconnect_delays.reset();
        info!("cluster answered");
        if self.outage.take().is_some() {
            let message = "the cluster answers again".to_owned();
            self.record(EventReason::ClusterReachable, None, message);
        }
    }

    fn lost(&mut self, error: &ClusterError, ctx: &mut Context<Self>) {
        let message = error.in_full();
        if self.outage.as_ref() != Some(&message) {
            warn!(error = %message, "cluster was lost");
            self.record(EventReason::ClusterUnreachable, None, message.clone());
        }
        self.api = None;
        self.outage = Some(message);
        self.report();
        self.pause_for(error.retry_after());
        let delay = self.reconnect_delays.next_delay();
        ctx.run_later(delay.max(self.quiet_for()), Self::connect);
    }

    /// Connects anew if the access was replaced. Until that has succeeded the old one serves: the
    /// new files may not be whole yet.
    pub(super) fn renew_access(&self, ctx: &mut Context<Self>) {
        let Some(api) = self.api.clone() else {
            return;
        };
        let connect = Rc::clone(&self.deps.connect);
        let renewing =
            async move { if api.is_current().await { None } else { Some(connect().await) } };
        ctx.spawn(renewing.into_actor(self).map(|renewed, actor, ctx| match renewed {
            Some(Ok(api)) if actor.api.is_some() => {
                info!("cluster access was renewed");
                // What is there stays known until the new watches have listed it.
                actor.follow(api, ctx);
            }
            Some(Err(error)) => actor.not_renewed(&error),
            // It is connected anew already, or soon.
            Some(Ok(_)) | None => {}
        }));
    }

    fn not_renewed(&mut self, error: &ClusterError) {
        let message = error.in_full();
        if self.renewal_failure.as_ref() != Some(&message) {
            warn!(error = %message, "cluster access was not renewed");
            self.renewal_failure = Some(message);
        }
    }
}
