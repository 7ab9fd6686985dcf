//! Days of the week and hours of the day. What the local clock reads comes from outside.

use std::fmt;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Days after which everything comes again.
const WEEK: usize = 7;

/// What the local clock reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The day of the week.
    pub weekday: Weekday,
    /// The time of day, on a clock that shows hours, minutes and seconds.
    pub since_midnight: Duration,
    /// For how long the clock is certain to run on evenly: until it is put forward or back, or until
    /// somebody looks again whether it was.
    pub even_for: Duration,
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.since_midnight.as_secs() / MINUTE.as_secs();
        write!(f, "{} {:02}:{:02}", self.weekday, minutes / 60, minutes % 60)
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

impl Weekday {
    /// Each of them, in the order of the week.
    pub const ALL: [Self; WEEK] = [
        Self::Monday,
        Self::Tuesday,
        Self::Wednesday,
        Self::Thursday,
        Self::Friday,
        Self::Saturday,
        Self::Sunday,
    ];

    /// Returns the word of the language.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
            Self::Sunday => "sun",
        }
    }

    /// Returns the day with that name, of which three letters in any case are enough.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let short = name.get(..3)?;
        Self::ALL.into_iter().find(|day| day.as_str().eq_ignore_ascii_case(short))
    }
}

impl fmt::Display for Weekday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Days of the week, and hours of those days, as in `on mon-fri between 8:00 and 18:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub(crate) days: Days,
    /// `None` is from midnight to midnight.
    pub(crate) hours: Option<Hours>,
}

/// Some days of the week, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days(u8);

/// Hours that begin on a day and end on the same or the next one, in minutes since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hours {
    /// At most 23:59.
    pub(crate) from: u16,
    /// Not `from`; at most 24:00, which is how 0:00 is kept.
    pub(crate) to: u16,
}

impl Days {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(0x7f);

    /// Returns these and the days from `first` to `last`, over the end of the week if need be.
    pub(crate) fn with(self, first: Weekday, last: Weekday) -> Self {
        let mut days = self.0;
        let mut day = first as usize;
        loop {
            days |= 1 << day;
            if day == last as usize {
                return Self(days);
            }
            day = (day + 1) % WEEK;
        }
    }

    /// Returns whether the day is among them that is so many days after a Monday.
    const fn has(self, day: usize) -> bool {
        self.0 >> (day % WEEK) & 1 == 1
    }
}

impl Calendar {
    /// Returns whether `time` is within.
    #[must_use]
    pub fn contains(&self, time: &LocalTime) -> bool {
        self.contains_reading(time.weekday as usize, time.since_midnight)
    }

    /// Returns how long it takes from `time` on until it is another answer, or none that is certain.
    #[must_use]
    pub fn changes_in(&self, time: &LocalTime) -> Duration {
        let now = self.contains(time);
        let (from, to) = self.hours.map_or((0, 0), |hours| (hours.from, hours.to));
        let is_other = |at: &Duration| {
            let days = (at.as_secs() / DAY.as_secs()) as usize;
            let rest = Duration::from_secs(at.as_secs() % DAY.as_secs());
            self.contains_reading(time.weekday as usize + days, rest) != now
        };
        let midnights = (0_u32..=8).map(|day| DAY * day);
        let turns = midnights.flat_map(|day| [day, day + minutes(from), day + minutes(to)]);
        let changes = turns.filter(|at| *at > time.since_midnight && is_other(at)).min();
        let wait = changes.map_or(Duration::MAX, |at| at.saturating_sub(time.since_midnight));
        wait.min(time.even_for)
    }

    /// Hours over midnight belong to the day on which they begin.
    fn contains_reading(&self, weekday: usize, since_midnight: Duration) -> bool {
        let is_today = self.days.has(weekday);
        let Some(Hours { from, to }) = self.hours else {
            return is_today;
        };
        let (has_begun, has_ended) =
            (since_midnight >= minutes(from), since_midnight >= minutes(to));
        if from < to {
            is_today && has_begun && !has_ended
        } else {
            (is_today && has_begun) || (self.days.has(weekday + WEEK - 1) && !has_ended)
        }
    }
}

fn minutes(count: u16) -> Duration {
    MINUTE * u32::from(count)
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Hours { from, to }) = self.hours else {
            return write!(f, "on {}", self.days);
        };
        if self.days != Days::ALL {
            write!(f, "on {} ", self.days)?;
        }
        let (from, to) = ((from / 60, from % 60), (to / 60, to % 60));
        write!(f, "between {:02}:{:02} and {:02}:{:02}", from.0, from.1, to.0, to.1)
    }
}

impl fmt::Display for Days {
    /// Writes three days or more that follow each other as a range.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut day = 0;
        let mut separator = "";
        while let Some(first) = Weekday::ALL.get(day) {
            let run = (day..WEEK).take_while(|day| self.has(*day)).count();
            match Weekday::ALL.get(day + run.saturating_sub(1)) {
                Some(last) if run >= 3 => write!(f, "{separator}{first}-{last}")?,
                Some(_) | None => {
                    for day in Weekday::ALL.iter().skip(day).take(run) {
                        write!(f, "{separator}{day}")?;
                        separator = ", ";
                    }
                }
            }
            if run > 0 {
                separator = ", ";
            }
            day += run + 1;
        }
        Ok(())
    }
}
