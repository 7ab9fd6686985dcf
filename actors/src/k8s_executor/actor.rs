//! Keeps Deployments as commanded, and reports what the cluster makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::rc::Rc;
use std::time::Duration;

use actix::fut::WrapStream;
use actix::prelude::{
    Actor, ActorFutureExt, ActorStreamExt, AsyncContext, Context, Handler, Recipient, Supervised,
    WrapFuture,
};
use exponential_backoff::Backoff;
use futures_util::future::FutureExt as _;
use tracing::{Instrument, debug, info, info_span, warn};

use super::client::{ClusterApi, ClusterError, ClusterEvent, Connect};
use super::command::{self, Working, in_time};
use super::deployment::objects;
use super::mirror::Mirror;
use crate::clock::Clock;
use crate::command_ticket::CommandTicket;
use crate::messages::{
    Action, CommandError, CommandFinished, EventRecorded, ExecutorCommand, RuntimeUnavailable,
    WorkloadsObserved, tell,
};
use crate::supervisor::Vitals;
use crate::workload::{
    DeviceId, Event, EventKind, ExecutorKind, Limits, RestartPolicy, Workload, WorkloadId,
    WorkloadName,
};

/// Time between two reports of what is there when nothing changes.
const OBSERVE_PERIOD: Duration = Duration::from_secs(30);
/// Changes within this time make one report.
const COALESCE: Duration = Duration::from_millis(100);
/// First wait before another try to connect.
const MIN_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Longest such wait.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(30);
/// What [`K8sExecutor`] needs.
pub struct K8sDeps {
    /// Whose objects are looked at on the cluster.
    pub device_id: DeviceId,
    /// Receives the answer to each command.
    pub scheduler_commands: Recipient<CommandFinished>,
    /// Receives what is observed.
    pub observations: Recipient<WorkloadsObserved>,
    /// Told when the cluster goes and comes back.
    pub events: Recipient<EventRecorded>,
    /// Dates everything.
    pub clock: Clock,
    /// Told of commands under way.
    pub vitals: Vitals,
    /// Connects to the cluster; see [`super::kubernetes`].
    pub connect: Connect,
}

/// Runs `k8s` workloads: one Deployment each, which the cluster keeps running by itself.
pub struct K8sExecutor {
    deps: K8sDeps,
    /// The connection; none while the cluster is out of reach.
    api: Option<Rc<dyn ClusterApi>>,
    mirror: Mirror,
    /// Why the cluster was lost; none once both lists are here again.
    outage: Option<String>,
    reconnect_delays: exponential_backoff::IntoIter,
    report_planned: bool,
    /// Specifications whose restart policy was reported as ignored.
    told_of_policy: BTreeSet<WorkloadId>,
    /// How the last command for each specification failed; without those that succeeded.
    failures: BTreeMap<WorkloadId, String>,
}

impl K8sExecutor {
    /// Makes the executor; it connects when it starts.
    #[must_use]
    pub fn new(deps: K8sDeps) -> Self {
        Self {
            deps,
            api: None,
            mirror: Mirror::default(),
            outage: None,
            reconnect_delays: reconnect_delays(),
            report_planned: false,
            told_of_policy: BTreeSet::new(),
            failures: BTreeMap::new(),
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let connecting = (self.deps.connect)().into_actor(self);
        ctx.spawn(connecting.map(|connected, actor, ctx| match connected {
            Ok(api) => actor.connected(api, ctx),
            Err(error) => actor.lost(&error, ctx),
        }));
    }

    fn connected(&mut self, api: Rc<dyn ClusterApi>, ctx: &mut Context<Self>) {
        let events = api.watch().into_actor(self);
        let events = events.map(|event, actor: &mut Self, ctx| match event {
            Ok(event) => actor.changed(&event, ctx),
            Err(error) => actor.lost(&error, ctx),
        });
        ctx.spawn(events.finish());
        // Commands under way look at the same one.
        self.mirror.reset();
        self.api = Some(api);
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
        self.reconnect_delays = reconnect_delays();
        info!("cluster answered");
        if self.outage.take().is_some() {
            let message = "the cluster answers again".to_owned();
            self.record(EventKind::Normal, "ClusterReachable", None, message);
        }
    }

    fn lost(&mut self, error: &ClusterError, ctx: &mut Context<Self>) {
        let message = error.in_full();
        if self.outage.as_ref() != Some(&message) {
            warn!(error = %message, "cluster was lost");
            self.record(EventKind::Warn, "ClusterUnreachable", None, message.clone());
        }
        self.api = None;
        self.outage = Some(message);
        self.report();
        let delay = self.reconnect_delays.next().flatten();
        ctx.run_later(delay.unwrap_or(MAX_RECONNECT_DELAY), Self::connect);
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.report();
        ctx.run_later(OBSERVE_PERIOD, Self::tick);
    }

    fn report(&self) {
        let pods = if self.api.is_some() && self.mirror.is_complete() {
            Ok(self.mirror.observed())
        } else {
            Err(RuntimeUnavailable { message: self.unavailable() })
        };
        let observed = WorkloadsObserved {
            executor: ExecutorKind::K8s,
            observed_at: self.deps.clock.now(),
            pods,
        };
        tell(&self.deps.observations, observed);
    }

    fn unavailable(&self) -> String {
        let first = "the cluster has not answered yet";
        self.outage.clone().unwrap_or_else(|| first.to_owned())
    }

    fn start(&mut self, workload: &Workload, limits: Limits) -> Working {
        let Some(api) = self.api.clone() else {
            return self.refuse();
        };
        self.tell_of_policy(workload);
        let objects = objects(workload, limits, &self.deps.device_id);
        command::start(api, self.mirror.view(), objects).boxed_local()
    }

    fn stop(&self, id: WorkloadId) -> Working {
        match self.api.clone() {
            Some(api) => command::stop(api, self.mirror.view(), id).boxed_local(),
            None => self.refuse(),
        }
    }

    fn refuse(&self) -> Working {
        let message = self.unavailable();
        ready(Err(CommandError::Unavailable { message })).boxed_local()
    }

    /// Says once that the cluster restarts a pod against its specification's wish.
    fn tell_of_policy(&mut self, workload: &Workload) {
        if workload.restart_policy == RestartPolicy::Always
            || !self.told_of_policy.insert(workload.id.clone())
        {
            return;
        }
        let message = "restartPolicy is ignored: a k8s workload is a Deployment, whose pods the \
            cluster always restarts";
        let name = Some(workload.name.clone());
        self.record(EventKind::Warn, "RestartPolicyIgnored", name, message.into());
    }

    /// Warns of a failed command, once until it fails in another way or succeeds.
    fn log_failure(&mut self, id: WorkloadId, error: Option<&CommandError>) {
        let Some(error) = error.map(ToString::to_string) else {
            self.failures.remove(&id);
            return;
        };
        if self.failures.get(&id) == Some(&error) {
            debug!(error, "command failed again");
        } else {
            warn!(error, "command failed");
            self.failures.insert(id, error);
        }
    }

    fn record(
        &self,
        kind: EventKind,
        reason: &'static str,
        workload: Option<WorkloadName>,
        message: String,
    ) {
        let event = Event { kind, reason, workload, message, at: self.deps.clock.now().wall };
        tell(&self.deps.events, EventRecorded { event });
    }
}

fn reconnect_delays() -> exponential_backoff::IntoIter {
    let mut backoff = Backoff::new(u32::MAX, MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY);
    backoff.set_factor(2);
    backoff.set_jitter(0.1);
    backoff.iter()
}

impl Actor for K8sExecutor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.connect(ctx);
        ctx.run_later(OBSERVE_PERIOD, Self::tick);
    }
}

impl Supervised for K8sExecutor {
    /// Connection, watches and commands went with the actor's futures; all is made anew.
    fn restarting(&mut self, _ctx: &mut Self::Context) {
        self.api = None;
        self.mirror = Mirror::default();
        self.reconnect_delays = reconnect_delays();
        self.report_planned = false;
    }
}

impl Handler<ExecutorCommand> for K8sExecutor {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, ctx: &mut Self::Context) {
        let ticket = CommandTicket::new(
            ExecutorKind::K8s,
            &command,
            self.deps.scheduler_commands.clone(),
            self.deps.clock.clone(),
            &self.deps.vitals,
        );
        let left = command.deadline.saturating_since(self.deps.clock.now().monotonic);
        if left.is_zero() {
            return ticket.finish(Err(CommandError::Expired));
        }
        let span = info_span!(
            "command",
            job_id = %command.action.workload_id(),
            workload = %command.action.workload_name(),
            executor = %ExecutorKind::K8s,
        );
        let (log, id) = (span.clone(), command.action.workload_id().clone());
        let working = match command.action {
            // The nodes of the cluster pull for themselves.
            Action::Pull { workload: _ } => return ticket.finish(Ok(())),
            Action::Start { workload, limits } => self.start(&workload, limits),
            // To a Deployment, other limits are another pod: the cluster would restart it.
            Action::Limit { .. } => return ticket.finish(Err(command::limits_wait())),
            // The grace period of a Deployment's pods is that of their specification.
            Action::Stop { id, .. } => self.stop(id),
        };
        let working = in_time(working, left).instrument(span).into_actor(self);
        ctx.spawn(working.map(move |result, actor, _| {
            log.in_scope(|| actor.log_failure(id, result.as_ref().err()));
            actor.report();
            ticket.finish(result);
        }));
    }
}

#[cfg(test)]
mod tests;
