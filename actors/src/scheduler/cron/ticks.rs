//! Which runs of a cron job are due, on a wall clock that may jump.

use chrono::{DateTime, TimeDelta, TimeZone, Utc};

use super::CronSchedule;
use crate::clock::Moment;

/// 2020-01-01: a wall clock that reads less was never set. Unix time in seconds.
const EARLIEST_BELIEVED: i64 = 1_577_836_800;
/// A wall clock that jumps further was wrong before, or is wrong now: nothing that it passed over
/// was meant to run.
const MAX_CREDIBLE_JUMP: TimeDelta = TimeDelta::days(1);

/// One cron job's place in time.
///
/// | what happened since the last look | what is due |
/// |---|---|
/// | the clock ran, or jumped forward by up to a day | one run, however many ticks were passed |
/// | the clock jumped by more than a day, either way | nothing |
/// | the clock jumped back by up to a day | nothing, until the last run's tick is passed again |
/// | the clock was not set, or is not set | nothing |
/// | the agent was down | nothing: a new `CronTicks` starts from now |
#[derive(Clone, Debug, PartialEq)]
pub struct CronTicks {
    schedule: CronSchedule,
    seen: Moment,
    /// Every tick up to here has run, or was passed together with one that ran.
    run_until: Option<DateTime<Utc>>,
}

/// What [`CronTicks::advance`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// A run is due now; the tick that it belongs to, the first one if several were passed.
    pub due: Option<DateTime<Utc>>,
    /// The next tick; `None` when there is none, or none can be known yet.
    pub next: Option<DateTime<Utc>>,
    /// The wall clock is not set, so that no tick can be known.
    pub waiting_for_clock: bool,
}

impl CronTicks {
    /// Starts at `now`: no earlier tick is made up.
    #[must_use]
    pub const fn new(schedule: CronSchedule, now: Moment) -> Self {
        Self { schedule, seen: now, run_until: None }
    }

    /// Returns the schedule that it follows.
    #[must_use]
    pub const fn schedule(&self) -> &CronSchedule {
        &self.schedule
    }

    /// Returns whether the wall clock was not set at the last look.
    #[must_use]
    pub const fn waiting_for_clock(&self) -> bool {
        !is_believed(self.seen.wall)
    }

    /// Moves on to `now`. To be called at [`Tick::next`], and every minute, so that a jump of the
    /// clock or another time zone is noticed. The answer's `due` is given once.
    pub fn advance(&mut self, now: Moment, zone: &impl TimeZone) -> Tick {
        let seen = std::mem::replace(&mut self.seen, now);
        if !is_believed(now.wall) {
            return Tick { waiting_for_clock: true, ..Tick::default() };
        }
        let credible = is_believed(seen.wall) && jump(seen, now).abs() <= MAX_CREDIBLE_JUMP;
        let due = if credible {
            self.first_after(seen.wall, zone).filter(|tick| *tick <= now.wall)
        } else {
            None
        };
        if due.is_some() {
            self.run_until = Some(now.wall);
        }
        Tick { due, next: self.first_after(now.wall, zone), waiting_for_clock: false }
    }

    /// Returns the first tick after `wall` that has not run.
    fn first_after(&self, wall: DateTime<Utc>, zone: &impl TimeZone) -> Option<DateTime<Utc>> {
        // A run further ahead belongs to a clock that was wrong: nobody should wait for its return.
        let run_until = self.run_until.filter(|run_until| *run_until - wall <= MAX_CREDIBLE_JUMP);
        let from = run_until.map_or(wall, |run_until| run_until.max(wall));
        self.schedule.next_after(from, zone)
    }
}

/// Returns whether a wall clock that reads `wall` was ever set.
const fn is_believed(wall: DateTime<Utc>) -> bool {
    wall.timestamp() >= EARLIEST_BELIEVED
}

/// Returns how much further the wall clock moved than time did; negative when it was put back.
fn jump(from: Moment, to: Moment) -> TimeDelta {
    let elapsed = to.monotonic.saturating_since(from.monotonic);
    let elapsed = TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
    (to.wall - from.wall).checked_sub(&elapsed).unwrap_or(TimeDelta::MIN)
}

#[cfg(test)]
mod tests;
