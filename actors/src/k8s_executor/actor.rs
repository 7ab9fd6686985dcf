//! Keeps Deployments as commanded, and reports what the cluster makes of them.

use std::collections::BTreeSet;
use std::future::ready;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, SpawnHandle, Supervised,
    WrapFuture,
};
use futures_util::future::FutureExt as _;
use tracing::{Instrument as _, info_span};

use super::client::{ClusterApi, Connect};
use super::command::{self, Failed, Working, in_time, log_result};
use super::deployment::objects;
use super::mirror::{Mirror, View};
use crate::backoff::Backoff;
use crate::clock::{Clock, Monotonic};
use crate::command_ticket::CommandTicket;
use crate::messages::{
    Action, CommandError, CommandFinished, EventRecorded, ExecutorCommand, RuntimeUnavailable,
    WorkloadsObserved, tell,
};
use crate::supervisor::Vitals;
use crate::workload::{DeviceId, ExecutorKind, Limits, Workload, WorkloadId};

/// Time between two reports of what is there when nothing changes.
const OBSERVE_PERIOD: Duration = Duration::from_secs(30);
/// First wait before another try to connect.
const MIN_RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Longest such wait.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(30);

/// What [`K8sExecutor`] needs.
pub struct K8sDeps {
    /// The device whose objects on the cluster are managed.
    pub device_id: DeviceId,
    /// Receives the answer to each command.
    pub command_results: Recipient<CommandFinished>,
    /// Receives what is observed.
    pub observations: Recipient<WorkloadsObserved>,
    /// Receives an event when the cluster becomes unreachable, and when it answers again.
    pub events: Recipient<EventRecorded>,
    /// Dates everything.
    pub clock: Clock,
    /// Knows which commands are under way.
    pub vitals: Vitals,
    /// Connects to the cluster; see [`super::kubernetes`].
    pub connect: Connect,
}

/// Runs `k8s` workloads: one Deployment each, which the cluster keeps running by itself.
pub struct K8sExecutor {
    deps: K8sDeps,
    /// The connection; none while the cluster is unreachable.
    api: Option<Rc<dyn ClusterApi>>,
    /// Its watches.
    watching: Option<SpawnHandle>,
    /// Why it was not renewed when its files were replaced.
    renewal_failure: Option<String>,
    mirror: Mirror,
    /// Why the cluster was lost; none once both lists are here again.
    outage: Option<String>,
    reconnect_delays: Backoff,
    /// No request is sent before: the cluster asked for that.
    quiet_until: Monotonic,
    report_planned: bool,
    /// Specifications whose restart policy was reported as ignored, as long as the cluster holds them.
    reported_policies: BTreeSet<WorkloadId>,
}

impl K8sExecutor {
    /// Makes the executor; it connects when it starts.
    #[must_use]
    pub fn new(deps: K8sDeps) -> Self {
        Self {
            deps,
            api: None,
            watching: None,
            renewal_failure: None,
            mirror: Mirror::default(),
            outage: None,
            reconnect_delays: Backoff::new(MIN_RECONNECT_DELAY, MAX_RECONNECT_DELAY),
            quiet_until: Monotonic::default(),
            report_planned: false,
            reported_policies: BTreeSet::new(),
        }
    }

    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.report();
        self.renew_access(ctx);
        ctx.run_later(OBSERVE_PERIOD, Self::tick);
    }

    fn report(&mut self) {
        let pods = if self.api.is_some() && self.mirror.is_complete() {
            Ok(self.mirror.observed())
        } else {
            Err(RuntimeUnavailable { message: self.unavailable() })
        };
        if let Ok(pods) = &pods {
            self.reported_policies.retain(|id| pods.iter().any(|pod| pod.id == *id));
        }
        let observed = WorkloadsObserved {
            executor: ExecutorKind::K8s,
            observed_at: self.deps.clock.now(),
            pods,
            slow: None,
        };
        tell(&self.deps.observations, observed);
    }

    fn unavailable(&self) -> String {
        let first = "the cluster has not answered yet";
        self.outage.clone().unwrap_or_else(|| first.to_owned())
    }

    /// Sends no request for `span`, if the cluster asked for that.
    fn pause_for(&mut self, span: Option<Duration>) {
        let until = self.deps.clock.now().monotonic + span.unwrap_or_default();
        self.quiet_until = self.quiet_until.max(until);
    }

    fn quiet_for(&self) -> Duration {
        self.quiet_until.saturating_since(self.deps.clock.now().monotonic)
    }

    /// Returns the connection, if it may be used now.
    fn usable_api(&self) -> Result<Rc<dyn ClusterApi>, CommandError> {
        let quiet_for = self.quiet_for();
        let api = self.api.as_ref().filter(|_| quiet_for.is_zero());
        api.map(Rc::clone).ok_or_else(|| CommandError::Unavailable {
            message: if quiet_for.is_zero() {
                self.unavailable()
            } else {
                format!("the cluster wants no requests for {} s more", quiet_for.as_secs() + 1)
            },
        })
    }

    fn working(
        &self,
        id: WorkloadId,
        work: impl FnOnce(Rc<dyn ClusterApi>, View) -> Working,
    ) -> Working {
        match self.usable_api() {
            Ok(api) => work(api, self.mirror.view(id)),
            Err(error) => ready(Err(error.into())).boxed_local(),
        }
    }

    fn apply(&self, workload: &Workload, limits: Limits) -> Working {
        let objects = objects(workload, limits, &self.deps.device_id);
        self.working(workload.id.clone(), |api, view| {
            command::start(api, view, objects).boxed_local()
        })
    }

    /// Reports what the command has changed before it answers, so that the next decision rests on it.
    fn answer(&mut self, ticket: CommandTicket, action: &Action, result: Result<(), Failed>) {
        log_result(action, result.as_ref().err());
        if let (Action::Start { workload, .. } | Action::Limit { workload, .. }, Ok(())) =
            (action, &result)
        {
            self.report_ignored_policy(workload);
        }
        self.pause_for(result.as_ref().err().and_then(|failed| failed.retry_after));
        self.report();
        ticket.finish(result.map_err(|failed| failed.error));
    }
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
        (self.api, self.watching, self.renewal_failure) = (None, None, None);
        self.mirror = Mirror::default();
        self.reconnect_delays.reset();
        self.report_planned = false;
    }
}

impl Handler<ExecutorCommand> for K8sExecutor {
    type Result = ();

    fn handle(&mut self, command: ExecutorCommand, ctx: &mut Self::Context) {
        let ticket = CommandTicket::new(
            ExecutorKind::K8s,
            &command,
            self.deps.command_results.clone(),
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
        let id = command.action.workload_id().clone();
        let working = match &command.action {
            // The nodes of the cluster pull for themselves.
            Action::Pull { workload: _ } => return ticket.finish(Ok(())),
            Action::Halt { .. } => return ticket.finish(Ok(())),
            Action::Freeze { .. } => return ticket.finish(Err(cannot("freeze a pod"))),
            // None is frozen.
            Action::Thaw { .. } => return ticket.finish(Ok(())),
            Action::Start { workload, limits } | Action::Limit { workload, limits } => {
                self.apply(workload, *limits)
            }
            // The grace period of a Deployment's pods is that of their specification.
            Action::Stop { .. } => {
                self.working(id.clone(), |api, view| command::stop(api, view, id).boxed_local())
            }
            Action::Suspend { .. } => {
                self.working(id.clone(), |api, view| command::suspend(api, view, id).boxed_local())
            }
        };
        let working = in_time(working, left).instrument(span).into_actor(self);
        ctx.spawn(working.map(move |result, actor, _| {
            let result = result.and_then(|()| refuse_squeeze(&command.action));
            actor.answer(ticket, &command.action, result);
        }));
    }
}

/// Refuses to squeeze a pod, once it has all else that `action` asks for.
fn refuse_squeeze(action: &Action) -> Result<(), Failed> {
    match action {
        Action::Limit { limits: Limits { squeezed: true, .. }, .. } => {
            Err(cannot("take memory back from a pod").into())
        }
        Action::Limit { .. }
        | Action::Pull { .. }
        | Action::Start { .. }
        | Action::Freeze { .. }
        | Action::Thaw { .. }
        | Action::Stop { .. }
        | Action::Suspend { .. }
        | Action::Halt { .. } => Ok(()),
    }
}

/// Returns the error of what no API of a cluster offers.
fn cannot(what: &str) -> CommandError {
    let message = format!("a cluster offers no way to {what}; run the workload on podman");
    CommandError::Unsupported { message }
}

mod connection;
mod events;

#[cfg(test)]
mod tests;
