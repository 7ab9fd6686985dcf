//! Takes metrics and profiles, and sends the scheduler each verdict that changes.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Actor, AsyncContext, Context, Handler, Recipient, SpawnHandle, Supervised};
use chrono::Local;
use grammar::LocalTime;
use tracing::{info, warn};

use super::local_clock::local_clock;
use super::metrics::SharedMetrics;
use super::profiles::{Change, Profiles, UnitMissing};
use crate::clock::{Clock, Moment, Monotonic};
use crate::messages::{
    ClockTrusted, EvaluatorReport, EventRecorded, GetProfiles, MetricsReceived, MetricsRefused,
    ProfilesConfigured, ProfilesEvaluated, tell,
};
use crate::workload::{Event, EventReason, Profile, Verdict};

/// Shortest wait for the next moment at which a verdict can change; bounds the work per second
/// whatever spans the conditions have.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// Shortest time between two reports that only say how far objectives are from holding.
const SHORTFALL_PERIOD: Duration = Duration::from_secs(1);
/// Bodies that may wait to be taken.
const MAILBOX_CAPACITY: usize = 64;

/// What the evaluator is made of.
#[derive(Clone)]
pub struct EvaluatorDeps {
    /// Hears all verdicts when one changes.
    pub scheduler: Recipient<ProfilesEvaluated>,
    /// Hears of conditions that cannot be evaluated.
    pub events: Recipient<EventRecorded>,
    /// The wall clock and the monotonic one.
    pub clock: Clock,
    /// The metrics, which outlive this actor's restart.
    pub metrics: SharedMetrics,
    /// How long a sample counts that does not say so itself; `None` is for good.
    pub default_ttl: Option<Duration>,
}

/// Evaluates the conditions of the device's profiles against posted metrics.
pub struct ProfileEvaluator {
    deps: EvaluatorDeps,
    /// As last configured; `None` before that.
    configured: Option<Arc<[Profile]>>,
    profiles: Profiles,
    timer: Option<Timer>,
    /// When verdicts were last sent.
    published_at: Monotonic,
    /// They will be again within [`SHORTFALL_PERIOD`].
    publishes_soon: bool,
    /// Conditions may look at the wall clock.
    is_clock_trusted: bool,
}

struct Timer {
    handle: SpawnHandle,
    at: Monotonic,
}

impl ProfileEvaluator {
    /// Makes the evaluator; it publishes nothing before profiles are configured.
    #[must_use]
    pub fn new(deps: EvaluatorDeps) -> Self {
        Self {
            deps,
            configured: None,
            profiles: Profiles::default(),
            timer: None,
            published_at: Monotonic::default(),
            publishes_soon: false,
            is_clock_trusted: false,
        }
    }
}

impl Actor for ProfileEvaluator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
        if let Some(configured) = self.configured.take() {
            self.configure(configured, ctx);
        }
    }
}

impl Supervised for ProfileEvaluator {
    /// The timer died with the last life. Metrics, profiles and how long conditions have been true
    /// are kept: with them lost, a workload that should run would be stopped for the length of its
    /// `for`. `started` builds everything else anew from them.
    fn restarting(&mut self, _: &mut Self::Context) {
        self.timer = None;
        self.publishes_soon = false;
    }
}

impl Handler<ProfilesConfigured> for ProfileEvaluator {
    type Result = ();

    fn handle(&mut self, message: ProfilesConfigured, ctx: &mut Self::Context) {
        self.configure(message.profiles, ctx);
    }
}

impl Handler<MetricsReceived> for ProfileEvaluator {
    type Result = Result<(), MetricsRefused>;

    fn handle(&mut self, message: MetricsReceived, ctx: &mut Self::Context) -> Self::Result {
        let now = self.deps.clock.now();
        let (changes, measures) = {
            let metrics = &mut *self.deps.metrics.0.borrow_mut();
            let slots = metrics.post(message.samples, self.deps.default_ttl, now.monotonic)?;
            if self.profiles.have_calendar() {
                metrics.set_local_time(self.local_time(now));
            }
            let changes = self.profiles.metrics_posted(&slots, metrics, now.monotonic);
            (changes, self.profiles.measure_objective(&slots))
        };
        if changes.is_empty() && measures {
            self.publish_soon(now.monotonic, ctx);
        }
        self.publish_changes(&changes, Some(now.monotonic), now, ctx);
        Ok(())
    }
}

impl Handler<ClockTrusted> for ProfileEvaluator {
    type Result = ();

    fn handle(&mut self, _: ClockTrusted, ctx: &mut Self::Context) {
        if std::mem::replace(&mut self.is_clock_trusted, true) {
            return;
        }
        let now = self.deps.clock.now();
        let changes = {
            let metrics = &mut *self.deps.metrics.0.borrow_mut();
            metrics.set_local_time(self.local_time(now));
            self.profiles.clock_trusted(metrics, now.monotonic)
        };
        self.publish_changes(&changes, None, now, ctx);
    }
}

impl Handler<GetProfiles> for ProfileEvaluator {
    type Result = EvaluatorReport;

    fn handle(&mut self, _: GetProfiles, _: &mut Self::Context) -> Self::Result {
        let now = self.deps.clock.now();
        let metrics = &mut *self.deps.metrics.0.borrow_mut();
        metrics.set_local_time(self.local_time(now));
        let now = now.monotonic;
        EvaluatorReport {
            conditions: self.profiles.report(metrics, now),
            metrics: metrics.report(now),
            samples_taken: metrics.samples_taken(),
        }
    }
}

impl ProfileEvaluator {
    /// Returns what the local clock reads, once it may be followed.
    fn local_time(&self, now: Moment) -> Option<LocalTime> {
        self.is_clock_trusted.then(|| local_clock(now.wall, &Local)).flatten()
    }

    fn configure(&mut self, configured: Arc<[Profile]>, ctx: &mut Context<Self>) {
        if self.configured.as_ref() == Some(&configured) {
            // Those who compare find the same Arc.
            self.configured = Some(configured);
            self.publish(None, self.deps.clock.now().monotonic);
            return;
        }
        let now = self.deps.clock.now();
        let (profiles, changes) = {
            let metrics = &mut *self.deps.metrics.0.borrow_mut();
            metrics.set_local_time(self.local_time(now));
            self.profiles.reconfigured(&configured, metrics, now.monotonic)
        };
        self.profiles = profiles;
        self.configured = Some(configured);
        self.record(&changes, now);
        self.publish(None, now.monotonic);
        self.wait_for_next(now.monotonic, ctx);
    }

    fn time_passed(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        let now = self.deps.clock.now();
        let changes = {
            let metrics = &mut *self.deps.metrics.0.borrow_mut();
            metrics.set_local_time(self.local_time(now));
            self.profiles.time_passed(metrics, now.monotonic)
        };
        self.publish_changes(&changes, None, now, ctx);
    }

    fn publish_changes(
        &mut self,
        changes: &[Change],
        posted_at: Option<Monotonic>,
        now: Moment,
        ctx: &mut Context<Self>,
    ) {
        self.record(changes, now);
        if !changes.is_empty() {
            self.publish(posted_at, now.monotonic);
        }
        self.wait_for_next(now.monotonic, ctx);
    }

    /// Publishes how far objectives are from holding, not too often, and not too late either: what is posted
    /// last counts.
    fn publish_soon(&mut self, now: Monotonic, ctx: &mut Context<Self>) {
        let due = self.published_at + SHORTFALL_PERIOD;
        if due <= now {
            self.publish(None, now);
        } else if !std::mem::replace(&mut self.publishes_soon, true) {
            ctx.run_later(due.saturating_since(now), |actor, _| {
                actor.publishes_soon = false;
                actor.publish(None, actor.deps.clock.now().monotonic);
            });
        }
    }

    fn publish(&mut self, posted_at: Option<Monotonic>, now: Monotonic) {
        self.published_at = now;
        let verdicts = self.profiles.verdicts().clone();
        let shortfalls = self.profiles.shortfalls(&mut self.deps.metrics.0.borrow_mut(), now);
        let profiles = self.configured.clone().unwrap_or_default();
        let evaluated = ProfilesEvaluated { verdicts, profiles, shortfalls, posted_at };
        tell(&self.deps.scheduler, evaluated);
    }

    /// Logs what changed or may not be meant, and reports what cannot be evaluated.
    fn record(&mut self, changes: &[Change], now: Moment) {
        for UnitMissing { profile, condition, detail } in self.profiles.take_units_missing() {
            info!(%profile, %condition, detail, "sample has no unit");
        }
        for change in changes {
            let Change { profile, condition, verdict, explanation } = change;
            match verdict {
                Verdict::True | Verdict::False | Verdict::Unknown => {
                    let verdict = verdict.as_str();
                    info!(%profile, %condition, verdict, explanation, "verdict changed");
                }
                Verdict::Failed(_) => {
                    warn!(%profile, %condition, error = explanation, "condition failed");
                    tell(&self.deps.events, EventRecorded { event: failure(change, now) });
                }
            }
        }
    }

    /// Sets the one timer, for the earliest moment at which a verdict can change. One that is set
    /// for an earlier moment is left to fire: that is cheaper than a new one at each post.
    fn wait_for_next(&mut self, now: Monotonic, ctx: &mut Context<Self>) {
        let Some(at) = self.profiles.next_due() else {
            return;
        };
        if let Some(timer) = self.timer.take_if(|timer| at < timer.at) {
            ctx.cancel_future(timer.handle);
        }
        if self.timer.is_none() {
            let wait = at.saturating_since(now).max(MIN_WAIT);
            let handle = ctx.run_later(wait, |actor, ctx| actor.time_passed(ctx));
            self.timer = Some(Timer { handle, at });
        }
    }
}

fn failure(change: &Change, now: Moment) -> Event {
    let message = format!(
        "condition {} of profile {} does not count: {}",
        change.condition, change.profile, change.explanation
    );
    Event::new(EventReason::ConditionFailed, None, message, now.wall)
}

#[cfg(test)]
mod tests;
