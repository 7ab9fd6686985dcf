//! The actor's view of podman: the event stream, and the listings that follow its events.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::debug;

use super::PodmanExecutor;
use super::state::{Link, Listings, MAX_RECONNECT_DELAY, MIN_LISTING_GAP};
use crate::messages::{WorkloadsObserved, tell};
use crate::podman_executor::commands::limits::mend_lifted_limits;
use crate::podman_executor::libpod::api::{EventStream, PodmanApi as _, PodmanError};
use crate::podman_executor::observer::Listing;
use crate::podman_executor::pod_table::Snapshot;

/// Minimum gap between listings, as a multiple of the last one's duration: a burst of events must not
/// keep podman busy with listings.
const GAP_PER_LISTING: u32 = 8;
/// Longest gap, unless a listing takes more than half of it.
const MAX_LISTING_GAP: Duration = Duration::from_secs(2);
/// Time to the next listing when a process is gone and podman has not noted it, or when podman did not
/// answer the last one in time.
const UNSETTLED_PERIOD: Duration = Duration::from_secs(1);
/// Longest delay while nothing listens on the socket: an attempt costs nothing.
const MAX_ABSENT_DELAY: Duration = Duration::from_secs(1);
/// A stream of at least this length resets the delays between connections.
const STEADY_AFTER: Duration = Duration::from_secs(10);

impl PodmanExecutor {
    // ---- the event stream ---------------------------------------------------------------------

    /// Opens the stream before the first listing, so that nothing happens unseen between the two.
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
        if std::mem::take(&mut self.was_unreachable) {
            self.reconnects.reset();
        }
        let stream = ctx.add_stream(stream);
        let since = self.deps.clock.now().monotonic;
        self.link = Link::Up { stream, since };
        self.list_soon(ctx);
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
            | PodmanError::Refused { .. } => self.list_soon(ctx),
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
                self.was_unreachable = true;
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

    // ---- listings -----------------------------------------------------------------------------

    /// Lists all containers at once, or as soon as the gap after the last listing has passed.
    pub(super) fn list_soon(&mut self, ctx: &mut Context<Self>) {
        match self.listings {
            Listings::Scheduled | Listings::RunningAndWanted => {}
            Listings::Running => self.listings = Listings::RunningAndWanted,
            Listings::Idle => {
                let last = self.context.table.borrow().listed_at();
                let since = last.map(|last| self.context.since(last));
                match since.map_or(Duration::ZERO, |since| self.listing_gap.saturating_sub(since)) {
                    Duration::ZERO => self.list(ctx),
                    gap => self.list_after(gap, ctx),
                }
            }
        }
    }

    fn list(&mut self, ctx: &mut Context<Self>) {
        self.listings = Listings::Running;
        let observer = Rc::clone(&self.observer);
        let listing = async move { observer.list().await };
        ctx.spawn(listing.into_actor(self).map(Self::listing_ended));
    }

    fn list_after(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        self.listings = Listings::Scheduled;
        ctx.run_later(delay, |actor, ctx| {
            actor.listings = Listings::Idle;
            actor.list_soon(ctx);
        });
    }

    fn listing_ended(
        listing: Result<Listing, PodmanError>,
        actor: &mut Self,
        ctx: &mut Context<Self>,
    ) {
        let is_wanted = actor.listings == Listings::RunningAndWanted;
        actor.listings = Listings::Idle;
        let is_unsettled = listing.as_ref().is_ok_and(|listing| listing.is_unsettled);
        actor.listed(listing, ctx);
        if is_wanted {
            actor.list_after(actor.listing_gap, ctx);
        } else if is_unsettled {
            actor.list_after(UNSETTLED_PERIOD, ctx);
        }
    }

    /// Takes in what a listing came to, be it the executor's own or that of a command.
    pub(super) fn listed(
        &mut self,
        listing: Result<Listing, PodmanError>,
        ctx: &mut Context<Self>,
    ) {
        match listing {
            Ok(listing) => {
                let took = self.context.since(listing.begun.monotonic);
                // A slow podman is left alone for as long as it was busy with the listing.
                let longest = MAX_LISTING_GAP.max(took * 2);
                self.listing_gap = (took * GAP_PER_LISTING).clamp(MIN_LISTING_GAP, longest);
                if !std::mem::replace(&mut self.has_mended_limits, true) {
                    self.mend_lifted_limits(ctx);
                }
                if let Some(pods) = listing.news {
                    self.send(pods, ctx);
                }
            }
            Err(error) => self.listing_failed(&error, ctx),
        }
    }

    fn listing_failed(&mut self, error: &PodmanError, ctx: &mut Context<Self>) {
        self.unavailable(error, ctx);
        match error {
            // It may still be working on the list: an event on the stream shows when it is done. The
            // same question waits for the last one's end.
            PodmanError::Timeout { .. } if matches!(self.link, Link::Up { .. }) => {
                if self.listings == Listings::Idle {
                    self.list_after(UNSETTLED_PERIOD, ctx);
                }
            }
            // A podman that does not list does not send events either.
            PodmanError::Timeout { .. }
            | PodmanError::Connect { .. }
            | PodmanError::Foreign { .. }
            | PodmanError::Cut { .. }
            | PodmanError::Garbled { .. }
            | PodmanError::Refused { .. } => self.stream_ended(Some(error), ctx),
        }
    }

    /// Sends every pod to the scheduler.
    pub(super) fn send(&mut self, mut snapshot: Snapshot, ctx: &mut Context<Self>) {
        self.available();
        self.follow_containers(ctx);
        self.learn_digests(ctx);
        let (mut healths, mut running) = (self.healths(), self.running());
        for pod in &mut snapshot.pods {
            pod.containers = running.remove(&pod.id).unwrap_or_default();
            pod.health = healths.remove(&pod.id).unwrap_or_default();
        }
        let observed = WorkloadsObserved {
            executor: self.deps.kind,
            observed_at: snapshot.observed_at,
            pods: Ok(snapshot.pods),
            slow: self.slowness(),
        };
        tell(&self.deps.observations, observed);
    }

    /// Looks once at the limits that an earlier process of the agent left.
    fn mend_lifted_limits(&self, ctx: &mut Context<Self>) {
        let context = Rc::clone(&self.context);
        let rows = context.table.borrow().all_live_containers();
        let mending = async move { mend_lifted_limits(&context, &rows).await };
        ctx.spawn(mending.into_actor(self));
    }

    /// Looks for pods that have no containers, which no listing of containers shows.
    pub(super) fn look_for_partial_pods(&mut self, ctx: &mut Context<Self>) {
        let observer = Rc::clone(&self.observer);
        let look = async move { observer.look_for_partial_pods().await };
        ctx.spawn(look.into_actor(self).map(|looked, actor, ctx| match looked {
            Ok(()) => actor.list_soon(ctx),
            // A pod is being stopped, or podman is away: the next period does.
            Err(error) => debug!(error = error.chain(), "pods were not listed"),
        }));
    }
}
