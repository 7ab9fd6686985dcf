//! Keeps the local listener open, whatever else uses its address meanwhile.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt, AsyncContext, Context, Recipient, Supervised, WrapFuture,
};
use actix_web::web;
use tokio::sync::watch;
use tracing::{info, warn};

use super::http::{self, Clients, Opening, PassedSockets, Peers, Service, Socket};
use super::listen::{Bound, Listen, own_addresses};
use super::status::About;
use crate::clock::Clock;
use crate::messages::{
    EventRecorded, GetControlPlane, GetJobs, GetProfiles, MetricsReceived, tell,
};
use crate::workload::{Event, EventReason};

/// First wait before an address that could not be opened is tried again.
const MIN_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Longest such wait.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

/// What [`MetricsIngest`] needs.
pub struct IngestDeps {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// The sockets of these places that are open already.
    pub passed: PassedSockets,
    /// Takes posted samples, and says whether it did.
    pub evaluator: Recipient<MetricsReceived>,
    /// Knows profiles and metrics.
    pub profiles: Recipient<GetProfiles>,
    /// Knows the jobs.
    pub jobs: Recipient<GetJobs>,
    /// Knows the control plane, the actors and the events.
    pub control_plane: Recipient<GetControlPlane>,
    /// What the status says of the agent itself.
    pub about: About,
    /// Told when an address cannot be opened.
    pub events: Recipient<EventRecorded>,
    /// Dates events and answers.
    pub clock: Clock,
}

/// Owns the local listener. Posts do not pass through its mailbox, only through its server.
pub struct MetricsIngest {
    events: Recipient<EventRecorded>,
    clock: Clock,
    listen: Vec<Listen>,
    passed: Rc<PassedSockets>,
    service: web::Data<Service>,
    clients: Rc<Clients>,
    bound: watch::Sender<Vec<Bound>>,
    /// Addresses that are not open, and why, as last reported.
    closed: BTreeMap<Listen, Option<String>>,
    retry_delay: Duration,
    /// Whether a try to open what is closed is planned or under way.
    retrying: bool,
}

impl MetricsIngest {
    /// Makes the actor; it opens its addresses when it starts.
    #[must_use]
    pub fn new(deps: IngestDeps) -> Self {
        let own = own_addresses(&deps.listen);
        let peers =
            Peers { profiles: deps.profiles, jobs: deps.jobs, control_plane: deps.control_plane };
        let clock = deps.clock.clone();
        let service = Service::new(deps.evaluator, peers, deps.about, clock, own);
        Self {
            events: deps.events,
            closed: all_closed(&deps.listen),
            listen: deps.listen,
            passed: Rc::new(deps.passed),
            service: web::Data::new(service),
            clients: Clients::new(deps.clock.clone()),
            clock: deps.clock,
            bound: watch::Sender::default(),
            retry_delay: MIN_RETRY_DELAY,
            retrying: false,
        }
    }

    /// Returns where it listens now, and each change of it.
    #[must_use]
    pub fn bound(&self) -> watch::Receiver<Vec<Bound>> {
        self.bound.subscribe()
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        self.retrying = true;
        let closed: Vec<Listen> = self.closed.keys().cloned().collect();
        let passed = Rc::clone(&self.passed);
        let opening = async move {
            let mut opened = Vec::new();
            for listen in closed {
                let opening = http::bind(&listen, &passed).await;
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
        self.retrying = false;
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
        let serving = http::serve(sockets, self.service.clone(), Rc::clone(&self.clients));
        ctx.spawn(serving.into_actor(self));
    }

    fn retry_later(&mut self, ctx: &mut Context<Self>) {
        if self.retrying {
            return;
        }
        self.retrying = true;
        ctx.run_later(self.retry_delay, Self::open);
        self.retry_delay = (self.retry_delay * 2).min(MAX_RETRY_DELAY);
    }

    /// Reports a closed address once for each reason.
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
        ctx.spawn(Rc::clone(&self.clients).look_after().into_actor(self));
        self.open(ctx);
    }
}

impl Supervised for MetricsIngest {
    /// The servers are gone with the actor's futures, and their sockets with them. Counters stay.
    fn restarting(&mut self, _ctx: &mut Self::Context) {
        self.closed = all_closed(&self.listen);
        self.retry_delay = MIN_RETRY_DELAY;
        self.retrying = false;
        self.bound.send_replace(Vec::new());
    }
}

#[cfg(test)]
mod tests;
