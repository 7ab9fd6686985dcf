//! Whether podman answers, and in time: each change is logged, and sent as an event and an observation.

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tracing::{info, warn};

use super::{Availability, LISTING_PERIOD, LastWords, PodmanExecutor};
use crate::clock::Monotonic;
use crate::messages::{RuntimeUnavailable, WorkloadsObserved, tell};
use crate::podman_executor::libpod::api::{PodmanApi as _, PodmanError};
use crate::podman_executor::libpod::refusal::in_plain_words;
use crate::workload::EventReason;

/// A service that was only restarted is back by then.
const SEEK_WORDS_AFTER: Duration = Duration::from_secs(5);
/// Time to the next look: a new reason takes the place of one that was mended.
const SEEK_WORDS_PERIOD: Duration = Duration::from_secs(3 * 60);

impl PodmanExecutor {
    pub(super) fn available(&mut self) {
        self.last_words = LastWords::default();
        let before = std::mem::replace(&mut self.availability, Availability::Available);
        match before {
            Availability::Available => {}
            Availability::Unreported => info!(executor = %self.deps.kind, "runtime answered"),
            Availability::Unavailable { .. } => {
                info!(executor = %self.deps.kind, "runtime answered again");
                let message = format!("{} answers again", self.deps.kind);
                self.record(EventReason::RuntimeAvailable, None, message);
            }
        }
    }

    /// Returns why podman is too slow although it answers; the beginning and the end of that are logged
    /// and reported.
    pub(super) fn slowness(&mut self) -> Option<String> {
        let slow = self.context.api.complaint();
        if slow.is_some() != self.is_slow {
            self.is_slow = slow.is_some();
            match &slow {
                Some(message) => {
                    warn!(executor = %self.deps.kind, detail = message, "runtime was too slow");
                    self.record(EventReason::RuntimeSlow, None, message.clone());
                }
                None => {
                    info!(executor = %self.deps.kind, "runtime was quick again");
                    let message = format!("{} answers in time again", self.deps.kind);
                    self.record(EventReason::RuntimeAvailable, None, message);
                }
            }
        }
        slow
    }

    /// Reports that podman does not answer: at each change, and once a period. A reason that changes
    /// with each attempt is logged once a period, podman's own word at once.
    pub(super) fn unavailable(&mut self, error: &PodmanError, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        let said = match error {
            PodmanError::Connect { .. } | PodmanError::Cut { .. } | PodmanError::Timeout { .. } => {
                self.seek_last_words(now.monotonic, ctx);
                self.last_words.found.as_deref()
            }
            // It runs.
            PodmanError::Foreign { .. }
            | PodmanError::Garbled { .. }
            | PodmanError::Refused { .. } => None,
        };
        let message = in_plain_words(self.deps.kind, &error.chain(), said);
        let is_news = said.is_some() && std::mem::take(&mut self.last_words.is_news);
        let fresh = |at: &Monotonic| now.monotonic.saturating_since(*at) < LISTING_PERIOD;
        let logged_at = match &self.availability {
            Availability::Unavailable { message: reported, reported_at, logged_at }
                if *reported == message =>
            {
                if fresh(reported_at) {
                    return;
                }
                Some(*logged_at)
            }
            Availability::Unavailable { logged_at, .. } => {
                Some(*logged_at).filter(fresh).filter(|_| !is_news)
            }
            Availability::Unreported | Availability::Available => None,
        };
        if logged_at.is_none() {
            warn!(executor = %self.deps.kind, error = message, "runtime did not answer");
            self.record(EventReason::RuntimeUnavailable, None, message.clone());
        }
        self.availability = Availability::Unavailable {
            message: message.clone(),
            reported_at: now.monotonic,
            logged_at: logged_at.unwrap_or(now.monotonic),
        };
        let observed = WorkloadsObserved {
            executor: self.deps.kind,
            observed_at: now,
            pods: Err(RuntimeUnavailable { message }),
            slow: None,
        };
        tell(&self.deps.observations, observed);
    }

    /// Looks now and then for why podman does not start.
    fn seek_last_words(&mut self, now: Monotonic, ctx: &mut Context<Self>) {
        let since = *self.last_words.since.get_or_insert(now);
        let due = self.last_words.sought_at.map_or(SEEK_WORDS_AFTER, |_| SEEK_WORDS_PERIOD);
        let last = self.last_words.sought_at.unwrap_or(since);
        if now.saturating_since(last) < due {
            return;
        }
        self.last_words.sought_at = Some(now);
        let api = Rc::clone(&self.context.api);
        let seeking = async move { api.last_words().await };
        ctx.spawn(seeking.into_actor(self).map(move |found, actor, _| {
            // What was found belongs to a trouble that has passed, if that began later.
            if actor.last_words.since == Some(since) {
                actor.last_words.is_news = found != actor.last_words.found;
                actor.last_words.found = found;
            }
        }));
    }
}
