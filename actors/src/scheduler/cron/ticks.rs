//! Which runs of a cron job are due, on a wall clock that may jump.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use super::CronSchedule;
use crate::clock::{Moment, is_set};

/// A wall clock that jumps further was wrong before, or is wrong now: nothing that it passed over
/// was meant to run.
const MAX_CREDIBLE_JUMP: TimeDelta = TimeDelta::days(1);
/// A clock that is put back further was wrong before, see cron(8): every job follows the new time.
const MAX_REPETITION: TimeDelta = TimeDelta::hours(3);
/// A clock that was put back by less than this only trembles.
const TREMOR: TimeDelta = TimeDelta::seconds(1);
/// No expression means that two runs are nearer to each other: so far apart they are though a tick
/// comes again.
const MIN_GAP: Duration = Duration::from_secs(60);

/// One cron job's place in time. A clock that is put back is followed as cron(8) does.
///
/// | what happened since the last look | what is due |
/// |---|---|
/// | the clock ran, or jumped forward by up to a day | one run, however many ticks were passed |
/// | the clock jumped forward by more than a day | nothing |
/// | the clock jumped back, and the minute or the hour begins with a star | what the new time says |
/// | the clock jumped back by more than three hours | the same |
/// | the clock jumped back by less, and the job has a time of day | nothing, until the last run's tick is passed again |
/// | the clock was not trusted or not set, or is not | nothing |
/// | the agent was down | nothing: a new `CronTicks` starts from now |
#[derive(Clone, Debug, PartialEq)]
pub struct CronTicks {
    schedule: CronSchedule,
    seen: Moment,
    /// Whether the wall clock was trusted when it was last looked at.
    was_trusted: bool,
    /// Every tick up to here has run, or was passed together with one that ran.
    last_run: Option<Moment>,
}

/// What [`CronTicks::advance`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// A run is due now; the tick that it belongs to, the first one if several were passed.
    pub due: Option<DateTime<Utc>>,
    /// The next tick; `None` when there is none, or none can be known yet.
    pub next: Option<DateTime<Utc>>,
    /// The wall clock is not trusted or not set, so that no tick can be known.
    pub waiting_for_clock: bool,
}

impl CronTicks {
    /// Starts at `now`: no earlier tick is made up.
    #[must_use]
    pub const fn new(schedule: CronSchedule, now: Moment) -> Self {
        Self { schedule, seen: now, was_trusted: true, last_run: None }
    }

    /// Returns the schedule that it follows.
    #[must_use]
    pub const fn schedule(&self) -> &CronSchedule {
        &self.schedule
    }

    /// Moves on to `now`, on a clock that is trusted or not. To be called at [`Tick::next`], and every
    /// minute, so that a jump of the clock or another time zone is noticed. The answer's `due` is given
    /// once.
    pub fn advance(&mut self, now: Moment, is_trusted: bool, zone: &impl TimeZone) -> Tick {
        let seen = std::mem::replace(&mut self.seen, now);
        let is_trusted = is_trusted && is_set(now.wall);
        let was_trusted = std::mem::replace(&mut self.was_trusted, is_trusted) && is_set(seen.wall);
        if !is_trusted {
            return Tick { waiting_for_clock: true, ..Tick::default() };
        }
        let is_credible = was_trusted && jump(seen, now) <= MAX_CREDIBLE_JUMP;
        let due = if is_credible {
            // Where the clock was put back: what it would have read at the last look.
            let elapsed = TimeDelta::from_std(now.monotonic.saturating_since(seen.monotonic));
            let by_now = elapsed.ok().and_then(|elapsed| now.wall.checked_sub_signed(elapsed));
            let from = by_now.map_or(seen.wall, |by_now| by_now.min(seen.wall));
            let first = self.first_after(from, now, zone);
            first.filter(|tick| *tick <= now.wall && self.barred(now).is_zero())
        } else {
            None
        };
        if due.is_some() {
            self.last_run = Some(now);
        }
        // One that comes at the very end of that time may run.
        let barred = (self.barred(now) - TimeDelta::nanoseconds(1)).max(TimeDelta::zero());
        let from = now.wall.checked_add_signed(barred).unwrap_or(now.wall);
        Tick { due, next: self.first_after(from, now, zone), waiting_for_clock: false }
    }

    /// Returns the first tick after `wall` that has not run.
    fn first_after(
        &self,
        wall: DateTime<Utc>,
        now: Moment,
        zone: &impl TimeZone,
    ) -> Option<DateTime<Utc>> {
        // A wildcard means that time goes by: waiting for the old time to return would be a pause.
        let tolerated = if self.schedule.is_wildcard { TREMOR } else { MAX_REPETITION };
        let holds = |run: &Moment| jump(*run, now) >= -tolerated;
        let from = self.last_run.filter(holds).map_or(wall, |run| run.wall.max(wall));
        self.schedule.next_after(from, zone)
    }

    /// Returns the time for which no tick may run, as it may be one that comes again.
    fn barred(&self, now: Moment) -> TimeDelta {
        let put_back = self.last_run.filter(|run| jump(*run, now) < -TREMOR);
        let left = put_back.map(|run| (run.monotonic + MIN_GAP).saturating_since(now.monotonic));
        left.and_then(|left| TimeDelta::from_std(left).ok()).unwrap_or_default()
    }
}

/// Returns how much further the wall clock moved than time did; negative when it was put back.
fn jump(from: Moment, to: Moment) -> TimeDelta {
    let elapsed = to.monotonic.saturating_since(from.monotonic);
    let elapsed = TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
    (to.wall - from.wall).checked_sub(&elapsed).unwrap_or(TimeDelta::MIN)
}

#[cfg(test)]
mod tests;
