//! The actor's view of podman: the event stream and the observations that follow it.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::debug;

use super::PodmanExecutor;
use super::state::{Link, Listing, MAX_RECONNECT_DELAY, MIN_OBSERVATION_GAP};
use crate::clock::Moment;
use crate::messages::{WorkloadsObserved, tell};
use crate::podman_executor::commands::limits::mend_lifted_limits;
use crate::podman_executor::libpod::api::{EventStream, PodmanApi as _, PodmanError};
use crate::podman_executor::observer::Observation;
use crate::workload::{ObservedPod, WorkloadId};

/// Longest such time while a look takes less.
const MAX_OBSERVATION_GAP: Duration = Duration::from_secs(2);
/// Minimum gap between listings, as a multiple of the last one's duration: a burst of events must not
/// keep podman busy with being looked at.
const GAP_PER_LISTING: u32 = 8;
/// Time to the next look at a process that is gone and that podman has not noted, or at a podman that
/// did not answer.
const UNSETTLED_PERIOD: Duration = Duration::from_secs(1);
/// Longest delay while nothing listens on the socket: an attempt costs nothing.
const MAX_ABSENT_DELAY: Duration = Duration::from_secs(1);
/// A stream of at least this length resets the delays between connections.
const STEADY_AFTER: Duration = Duration::from_secs(10);

impl PodmanExecutor {
    // ---- the event stream ---------------------------------------------------------------------

    /// Opens the stream before the first look, so that nothing happens unseen between the two.
    pub(super) fn connect(&mut self, ctx: &mut Context<Self>) {
        let (api, since) = (Rc::clone(&self.context.api), self.since);
        let opening = async move { api.events(since).await };
        ctx.spawn(opening.into_actor(self).map(|opened, actor, ctx| match opened {
            Ok(stream) => actor.connected(stream, ctx),
            Err(error) => actor.not_connected(&error, ctx),
        }));
    }

    fn connected(&mut self, stream: EventStream, ctx: &mut Context<Self>) {
        debug!("event stream opened");
        if std::mem::take(&mut self.absent) {
            self.reconnects.reset();
        }
        let stream = ctx.add_stream(stream);
        let since = self.deps.clock.now().monotonic;
        self.link = Link::Up { stream, since };
        self.observe_soon(ctx);
    }

    fn not_connected(&mut self, error: &PodmanError, ctx: &mut Context<Self>) {
        match error {
            PodmanError::Connect { .. } | PodmanError::Foreign { .. } => {
                self.unavailable(error, ctx)
            }
            // The listing decides: without events it is only later.
            PodmanError::Timeout { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }
            | PodmanError::Refused { .. } => self.observe_soon(ctx),
        }
        self.reconnect_later(error, ctx);
    }

    pub(super) fn stream_ended(&mut self, error: Option<&PodmanError>, ctx: &mut Context<Self>) {
        let Link::Up { stream, since } = std::mem::replace(&mut self.link, Link::Down) else {
            return;
        };
        ctx.cancel_future(stream);
        // It was restarted, or is about to be.
        self.context.api.forget();
        let lived = self.deps.clock.now().monotonic.saturating_since(since);
        if lived >= STEADY_AFTER {
            self.reconnects.reset();
        }
        debug!(error = error.map(PodmanError::chain), "event stream ended");
        let delay = self.next_delay(MAX_RECONNECT_DELAY);
        ctx.run_later(delay, Self::connect);
    }

    fn reconnect_later(&mut self, error: &PodmanError, ctx: &mut Context<Self>) {
        let longest = match error {
            PodmanError::Connect { .. } => {
                self.absent = true;
                MAX_ABSENT_DELAY
            }
            PodmanError::Foreign { .. }
            | PodmanError::Timeout { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }
            | PodmanError::Refused { .. } => MAX_RECONNECT_DELAY,
        };
        let delay = self.next_delay(longest);
        ctx.run_later(delay, Self::connect);
    }

    fn next_delay(&mut self, longest: Duration) -> Duration {
        self.reconnects.next_delay().min(longest)
    }

    // ---- observations -------------------------------------------------------------------------

    /// Looks at once, or as soon as the gap to the last look has passed.
    pub(super) fn observe_soon(&mut self, ctx: &mut Context<Self>) {
        match self.listing {
            Listing::Planned | Listing::Stale => {}
            Listing::Running => self.listing = Listing::Stale,
            Listing::Idle => {
                let (observer, now) = (Rc::clone(&self.observer), self.deps.clock.now());
                let last = self.observed_at.unwrap_or_default();
                let gap = self.gap.saturating_sub(now.monotonic.saturating_since(last));
                if self.observed_at.is_some() && !gap.is_zero() {
                    return self.observe_after(gap, ctx);
                }
                self.listing = Listing::Running;
                let look = async move { observer.observe().await };
                ctx.spawn(look.into_actor(self).map(Self::looked));
            }
        }
    }

    /// Looks again at a podman that did not answer; the same question waits for the last one's end.
    fn observe_later(&mut self, ctx: &mut Context<Self>) {
        if self.listing == Listing::Idle {
            self.observe_after(UNSETTLED_PERIOD, ctx);
        }
    }

    fn observe_after(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        self.listing = Listing::Planned;
        ctx.run_later(delay, |actor, ctx| {
            actor.listing = Listing::Idle;
            actor.observe_soon(ctx);
        });
    }

    fn looked(seen: Result<Observation, PodmanError>, actor: &mut Self, ctx: &mut Context<Self>) {
        let again = actor.listing == Listing::Stale;
        actor.listing = Listing::Idle;
        let unsettled = seen.as_ref().is_ok_and(|seen| seen.unsettled);
        actor.seen(seen, ctx);
        if again {
            actor.observe_after(actor.gap, ctx);
        } else if unsettled {
            actor.observe_after(UNSETTLED_PERIOD, ctx);
        }
    }

    /// Sends an observation, unless a younger one was sent.
    pub(super) fn seen(&mut self, seen: Result<Observation, PodmanError>, ctx: &mut Context<Self>) {
        match seen {
            Ok(seen) if self.observed_at.is_some_and(|last| last > seen.at.monotonic) => {}
            Ok(seen) => {
                let took = self.deps.clock.now().monotonic.saturating_since(seen.at.monotonic);
                // A slow podman is left alone for as long as it was busy with being looked at.
                let longest = MAX_OBSERVATION_GAP.max(took * 2);
                self.gap = (took * GAP_PER_LISTING).clamp(MIN_OBSERVATION_GAP, longest);
                // What a command did since that look began, it does not show, or half of it.
                self.touched.retain(|_, at| *at > seen.at.monotonic);
                let is_shown = |pod: &ObservedPod| !self.touched.contains_key(&pod.id);
                let mut pods: Vec<_> = seen.pods.into_iter().filter(is_shown).collect();
                let told = self.told.take().unwrap_or_default();
                pods.extend(told.into_iter().filter(|pod| !is_shown(pod)));
                self.observed_at = Some(seen.at.monotonic);
                if !std::mem::replace(&mut self.has_seen, true) {
                    self.mend_lifted_limits(ctx);
                }
                self.tell_pods(seen.at, pods);
            }
            Err(error) => {
                self.unavailable(&error, ctx);
                match error {
                    // It may still be working on the list: an event on the stream shows when it is done.
                    PodmanError::Timeout { .. } if matches!(self.link, Link::Up { .. }) => {
                        self.observe_later(ctx);
                    }
                    // A podman that does not list does not send events either.
                    PodmanError::Timeout { .. }
                    | PodmanError::Connect { .. }
                    | PodmanError::Foreign { .. }
                    | PodmanError::Cut { .. }
                    | PodmanError::Garbled { .. }
                    | PodmanError::Refused { .. } => self.stream_ended(Some(&error), ctx),
                }
            }
        }
    }

    /// Looks once at what an agent before this one left.
    fn mend_lifted_limits(&self, ctx: &mut Context<Self>) {
        let (context, rows) = (Rc::clone(&self.context), self.observer.all_live_containers());
        let mending = async move { mend_lifted_limits(&context, &rows).await };
        ctx.spawn(mending.into_actor(self));
    }

    /// Sends what a command made of its pod; the others are as they were last sent.
    pub(super) fn seen_one(&mut self, at: Moment, id: &WorkloadId, pod: Option<ObservedPod>) {
        // Without the others nothing is sent: the listing that follows each command sends all.
        if let Some(mut pods) = self.told.take() {
            pods.retain(|other| other.id != *id);
            pods.extend(pod);
            self.touched.insert(id.clone(), at.monotonic);
            self.tell_pods(at, pods);
        }
    }

    fn tell_pods(&mut self, at: Moment, pods: Vec<ObservedPod>) {
        self.told = Some(pods.clone());
        self.available();
        let (executor, slow) = (self.deps.kind, self.slowness());
        let observed = WorkloadsObserved { executor, observed_at: at, pods: Ok(pods), slow };
        tell(&self.deps.observations, observed);
    }

    pub(super) fn look_for_partial_pods(&mut self, ctx: &mut Context<Self>) {
        let observer = Rc::clone(&self.observer);
        let look = async move { observer.look_for_partial_pods().await };
        ctx.spawn(look.into_actor(self).map(|looked, actor, ctx| match looked {
            Ok(()) => actor.observe_soon(ctx),
            // A pod is being stopped, or podman is away: the next period does.
            Err(error) => debug!(error = error.chain(), "pods were not listed"),
        }));
    }
}
