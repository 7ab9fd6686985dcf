//! When a cron job runs next: five fields in local time, as in crontab(5).
//!
//! `expression` reads the text, the crate `cron` finds the next local time that its fields name,
//! `crate::local_time` says when that time is, and `ticks` follows a wall clock that may jump.

pub(super) mod clock_trust;
mod error;
mod expression;
mod ticks;

#[cfg(test)]
mod tests;

use ::cron::Schedule;
use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Utc};

pub use self::error::CronError;
use self::expression::Expression;
pub use self::ticks::{CronTicks, Tick};
use super::report::events::EventBuffer;
use crate::clock::Moment;
use crate::local_time::{self, Occurrence};
use crate::workload::{EventReason, Workload};

/// The crate `cron` knows the years 1970 to 2100.
const YEARS: std::ops::RangeInclusive<i32> = 1970..=2100;

/// A workload's cron schedule: none, valid, or invalid.
#[derive(Debug)]
pub(crate) enum Cron {
    /// It runs whenever it may.
    None,
    /// It runs at these ticks.
    Ticks(Box<CronTicks>),
    /// Its author meant a time that cannot be read: it never runs. Says what is wrong.
    Invalid(String),
}

impl Cron {
    /// Returns the schedule of `workload` from `now` on; reports what is wrong with it.
    pub(crate) fn of(workload: &Workload, now: Moment, events: &mut EventBuffer) -> Self {
        let Some(text) = workload.cron.as_deref() else {
            return Self::None;
        };
        if workload.executor.is_cluster() {
            let message = "cron is ignored for k8s workloads".to_owned();
            events.add(EventReason::CronIgnored, &workload.name, message);
            return Self::None;
        }
        match CronSchedule::parse(text) {
            Ok(schedule) => {
                if let Some(warning) = schedule.warning() {
                    events.add(EventReason::CronUnusual, &workload.name, warning.to_owned());
                }
                Self::Ticks(Box::new(CronTicks::new(schedule, now)))
            }
            Err(error) => {
                let message = format!("cron {text:?} cannot be read: {error}");
                events.add(EventReason::CronInvalid, &workload.name, message.clone());
                Self::Invalid(message)
            }
        }
    }

    /// Returns whether it has a schedule, valid or not.
    pub(crate) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Returns whether it runs at ticks.
    pub(crate) const fn has_ticks(&self) -> bool {
        matches!(self, Self::Ticks(_))
    }

    /// Moves on to `now`, as [`CronTicks::advance`]. Nothing is ever due without ticks.
    pub(crate) fn advance(&mut self, now: Moment, is_trusted: bool, zone: &impl TimeZone) -> Tick {
        match self {
            Self::Ticks(ticks) => ticks.advance(now, is_trusted, zone),
            Self::None | Self::Invalid(_) => Tick::default(),
        }
    }

    /// Returns why the workload does not run now, if no tick asks for a run.
    pub(crate) fn why_it_waits(&self) -> &str {
        match self {
            Self::None | Self::Ticks(_) => "waits for its next cron run",
            Self::Invalid(message) => message,
        }
    }
}

/// A cron expression, ready to be asked for its next run.
#[derive(Clone, Debug, PartialEq)]
pub struct CronSchedule {
    /// One, or two when a day counts that either day field names: the crate wants both to name it.
    schedules: Vec<Schedule>,
    /// The hour is a wildcard: the job means elapsed time, not a time of day.
    every_hour: bool,
    /// The minute or the hour begins with a star: a clock that is put back is followed at once.
    is_wildcard: bool,
    warning: Option<String>,
}

impl CronSchedule {
    /// Reads five fields or a macro (`@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`,
    /// `@yearly`, `@annually`).
    ///
    /// `?` is `*`; `7` is Sunday; names are the first three letters in any case; `N/step` runs from
    /// N to the end of the range. A backslash before a step is read as a slash, with a
    /// [`warning`](Self::warning). When neither day field starts with a star, a day counts that
    /// either of them names, else a day that both name.
    ///
    /// # Errors
    /// The first place where the text is not a cron expression.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let expression = expression::parse(text)?;
        let mut warnings = expression.warnings;
        let schedules = expression
            .for_the_crate
            .iter()
            .map(|fields| {
                fields.parse().map_err(|error| CronError::untranslatable(text, fields, &error))
            })
            .collect::<Result<_, _>>()?;
        let Expression { every_hour, is_wildcard, .. } = expression;
        let mut schedule = Self { schedules, every_hour, is_wildcard, warning: None };
        if schedule.never_runs() {
            warnings.push("no year has such a day, so it never runs".to_owned());
        }
        schedule.warning = (!warnings.is_empty()).then(|| warnings.join("; "));
        Ok(schedule)
    }

    /// Returns what its author probably did not mean, in plain words.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Returns whether no date satisfies it, as 30 February.
    #[must_use]
    pub fn never_runs(&self) -> bool {
        self.next_local(DateTime::UNIX_EPOCH.naive_utc()).is_none()
    }

    /// Returns the first run strictly after `after`; `None` when there is none before the year 2101.
    ///
    /// A fixed time of day that a clock change skips runs at the first moment after the gap, and one
    /// that a clock change repeats runs in its first pass. With a wildcard as hour every moment that
    /// reads so on a local clock is a run, in both passes.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>, zone: &impl TimeZone) -> Option<DateTime<Utc>> {
        if after.year() > *YEARS.end() {
            return None;
        }
        let after = after.max(DateTime::UNIX_EPOCH - TimeDelta::seconds(1));
        if self.every_hour {
            self.next_by_elapsed_time(after, zone)
        } else {
            self.next_by_time_of_day(after, zone)
        }
    }

    fn next_by_time_of_day(
        &self,
        after: DateTime<Utc>,
        zone: &impl TimeZone,
    ) -> Option<DateTime<Utc>> {
        let mut local = local_time::at(after, zone);
        // More than one round only in the second pass of a repeated hour.
        loop {
            local = self.next_local(local)?;
            let run = match local_time::occurrence(local, zone) {
                Occurrence::Once(at) | Occurrence::Twice { first: at, .. } => at,
                Occurrence::Skipped => local_time::end_of_gap(local, zone),
            };
            if run > after {
                return Some(run);
            }
        }
    }

    fn next_by_elapsed_time(
        &self,
        after: DateTime<Utc>,
        zone: &impl TimeZone,
    ) -> Option<DateTime<Utc>> {
        let now = local_time::at(after, zone);
        // While the clock is put back, it reads an hour twice, and what it reads does not grow with
        // time: after 02:50 comes 02:10.
        //
        //   UTC          00:30  00:50 | 01:10  01:30  02:10
        //   local clock  02:30  02:50 | 02:10  02:30  03:10
        //
        // So at 02:50 of the first pass the next run of `10 * * * *` reads 02:10, less than now. The
        // search begins as much earlier as the clock is put back, takes of each reading the
        // occurrence that is still to come, and keeps the earliest. It ends at the first reading
        // past the present one: all that follow occur later.
        let repeated = match local_time::occurrence(now, zone) {
            Occurrence::Twice { first, second } => second - first,
            Occurrence::Once(_) | Occurrence::Skipped => TimeDelta::zero(),
        };
        let mut local = now - repeated;
        let mut earliest = None;
        loop {
            let Some(next) = self.next_local(local) else {
                return earliest;
            };
            local = next;
            let run = match local_time::occurrence(local, zone) {
                Occurrence::Once(at) => Some(at),
                Occurrence::Twice { first, .. } if first > after => Some(first),
                Occurrence::Twice { second, .. } => Some(second),
                Occurrence::Skipped => None,
            };
            let run = run.filter(|run| *run > after);
            earliest = earliest.into_iter().chain(run).min();
            if local > now && earliest.is_some() {
                return earliest;
            }
        }
    }

    /// Returns the next reading of a local clock that the fields name.
    fn next_local(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        self.schedules
            .iter()
            .filter_map(|schedule| schedule.after(&after.and_utc()).next())
            .map(|next| next.naive_utc())
            .min()
    }
}

/// Returns the next `count` runs of `expression` strictly after `from`, fewer when it never runs
/// again.
///
/// # Errors
/// `expression` is not a cron expression.
pub fn describe_next<Z: TimeZone>(
    expression: &str,
    from: DateTime<Utc>,
    count: usize,
    zone: &Z,
) -> Result<Vec<DateTime<Z>>, CronError> {
    let schedule = CronSchedule::parse(expression)?;
    let first = schedule.next_after(from, zone);
    let runs = std::iter::successors(first, |run| schedule.next_after(*run, zone));
    Ok(runs.take(count).map(|run| run.with_timezone(zone)).collect())
}
