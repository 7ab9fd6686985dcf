//! The actor that owns the listener: opens its sockets, and tries again where that fails.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt, AsyncContext, Context, Recipient, Supervised, WrapFuture,
};
use tokio::sync::watch;
use tracing::{info, warn};

use super::http::{self, Connections, Service, StatusSources};
use super::listen::{Bound, Listen, OwnHosts};
use super::sockets::{self, Opening, PassedSockets, Socket};
use super::status::About;
use crate::clock::Clock;
use crate::messages::{
    EventRecorded, GetControlPlane, GetJobs, GetProfiles, MetricsReceived, tell,
};
use crate::workload::{Event, EventReason};

/// First delay before what could not be opened is tried again.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest such delay.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// What [`MetricsIngest`] needs.
pub struct IngestDeps {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Names and addresses by which clients may call the listener, besides its own.
    pub hosts: Vec<String>,
    /// Sockets that are open already.
    pub passed: PassedSockets,
    /// Stores posted samples.
    pub evaluator: Recipient<MetricsReceived>,
    /// Reports profiles and metrics.
    pub profiles: Recipient<GetProfiles>,
    /// Reports the jobs.
    pub jobs: Recipient<GetJobs>,
    /// Reports the control plane, the health of actors and the events.
    pub control_plane: Recipient<GetControlPlane>,
    /// Facts for the status.
    pub about: About,
    /// Records an event when a socket cannot be opened.
    pub events: Recipient<EventRecorded>,
    /// Dates events and answers.
    pub clock: Clock,
}

/// Owns the listener. Requests do not pass through its mailbox: the server runs as a future of its
/// context, and sends posts to the evaluator itself.
pub struct MetricsIngest {
    events: Recipient<EventRecorded>,
    clock: Clock,
    listen: Vec<Listen>,
    passed: Rc<PassedSockets>,
    service: Rc<Service>,
    connections: Rc<Connections>,
    bound: watch::Sender<Vec<Bound>>,
    /// What is not open, and the reason that was reported last.
    closed: BTreeMap<Listen, Option<String>>,
    retry_delay: Duration,
    /// Whether an attempt to open what is closed is scheduled or under way.
    is_retrying: bool,
}

impl MetricsIngest {
    /// Returns the actor; it opens its sockets when it starts.
    #[must_use]
    pub fn new(deps: IngestDeps) -> Self {
        let own = OwnHosts::new(&deps.listen, &deps.hosts);
        let sources = StatusSources {
            profiles: deps.profiles,
            jobs: deps.jobs,
            control_plane: deps.control_plane,
        };
        let clock = deps.clock.clone();
        Self {
            events: deps.events,
            closed: all_closed(&deps.listen),
            listen: deps.listen,
            passed: Rc::new(deps.passed),
            service: Service::new(deps.evaluator, sources, deps.about, clock, own),
            connections: Connections::new(deps.clock.clone()),
            clock: deps.clock,
            bound: watch::Sender::default(),
            retry_delay: MIN_RETRY_DELAY,
            is_retrying: false,
        }
    }

    /// Returns a watch on where it listens.
    #[must_use]
    pub fn bound(&self) -> watch::Receiver<Vec<Bound>> {
        self.bound.subscribe()
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        self.is_retrying = true;
        let closed: Vec<Listen> = self.closed.keys().cloned().collect();
        let passed = Rc::clone(&self.passed);
        let opening = async move {
            let mut opened = Vec::new();
            for listen in closed {
                let opening = sockets::open(&listen, &passed).await;
                opened.push((listen, opening));
            }
            opened
        };
        let opened = opening.into_actor(self);
        ctx.spawn(opened.map(|opened, actor, ctx| actor.opened(opened, ctx)));
    }

    fn opened(&mut self, tried: Vec<(Listen, Opening)>, ctx: &mut Context<Self>) {
        let mut sockets = Vec::new();
        for (listen, Opening { opened, failed }) in tried {
            if failed.iter().all(|(place, _)| *place != listen) {
                self.closed.remove(&listen);
            }
            for (place, error) in failed {
                self.report(place, &error);
            }
            sockets.extend(opened);
        }
        if !sockets.is_empty() {
            self.serve(sockets, ctx);
        }
        self.is_retrying = false;
        if self.closed.is_empty() {
            self.retry_delay = MIN_RETRY_DELAY;
        } else {
            self.retry_later(ctx);
        }
    }

    fn serve(&mut self, sockets: Vec<Socket>, ctx: &mut Context<Self>) {
        let bound: Vec<Bound> = sockets.iter().filter_map(Socket::bound).collect();
        for address in &bound {
            info!(%address, "listener opened");
        }
        self.bound.send_modify(|all| all.extend(bound));
        let serving = http::serve(sockets, Rc::clone(&self.service), Rc::clone(&self.connections));
        ctx.spawn(serving.into_actor(self));
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>) {
        if self.is_retrying {
            return;
        }
        self.is_retrying = true;
        ctx.run_later(self.retry_delay, Self::open);
        self.retry_delay = (self.retry_delay * 2).min(MAX_RETRY_DELAY);
    }

    /// Reports a place that could not be opened, once for each reason.
    fn report(&mut self, listen: Listen, error: &std::io::Error) {
        let reason = error.to_string();
        let known = self.closed.entry(listen.clone()).or_default();
        if known.as_ref() == Some(&reason) {
            return;
        }
        warn!(address = %listen, error = %reason, "listener could not be opened");
        let message = format!(
            "failed to listen at {listen}: {reason}; it is tried again, and METRICS_LISTEN \
             names another address"
        );
        let at = self.clock.now().wall;
        let event = Event::new(EventReason::MetricsListenFailed, None, message, at);
        *known = Some(reason);
        tell(&self.events, EventRecorded { event });
    }
}

fn all_closed(listen: &[Listen]) -> BTreeMap<Listen, Option<String>> {
    listen.iter().map(|listen| (listen.clone(), None)).collect()
}

impl Actor for MetricsIngest {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Rc::clone(&self.connections).enforce_deadlines().into_actor(self));
        self.open(ctx);
    }
}

impl Supervised for MetricsIngest {
    /// The servers ended with the context's futures, and closed their sockets. Counters are kept.
    fn restarting(&mut self, _ctx: &mut Self::Context) {
        self.closed = all_closed(&self.listen);
        self.retry_delay = MIN_RETRY_DELAY;
        self.is_retrying = false;
        self.bound.send_replace(Vec::new());
    }
}

#[cfg(test)]
mod tests;
