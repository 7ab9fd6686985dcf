//! Days and hours: pairs to calendars.

use pest::iterators::Pair;

use super::{Builder, Rule, parts};
use crate::ast::Expr;
use crate::calendar::{Calendar, Days, Hours, Weekday};
use crate::error::ConditionError;

const A_DAY: &str = "a day such as `sat`";

impl<'t> Builder<'t> {
    pub(super) fn calendar(&mut self, pair: Pair<'t, Rule>) -> Result<Expr, ConditionError> {
        let (mut days, mut hours) = (Days::ALL, None);
        for part in pair.into_inner() {
            if part.as_rule() == Rule::days {
                days = self.days(part)?;
            } else if part.as_rule() == Rule::hours {
                hours = Some(self.hours(part)?);
            }
        }
        let calendar = Calendar { days, hours };
        if !self.calendars.contains(&calendar) {
            self.calendars.push(calendar);
        }
        Ok(Expr::Calendar(calendar))
    }

    fn days(&self, pair: Pair<'t, Rule>) -> Result<Days, ConditionError> {
        let mut days = Days::NONE;
        for range in parts(pair, Rule::day_range) {
            let offset = range.as_span().start();
            let mut named = parts(range, Rule::day).map(|day| Weekday::of(day.as_str()));
            let first = named.next().flatten();
            let last = named.next().unwrap_or(first);
            let (Some(first), Some(last)) = (first, last) else {
                return Err(ConditionError::at(self.text, offset, A_DAY));
            };
            days = days.with(first, last);
        }
        Ok(days)
    }

    fn hours(&self, pair: Pair<'t, Rule>) -> Result<Hours, ConditionError> {
        const MIDNIGHT: u16 = 24 * 60;
        let offset = pair.as_span().start();
        let clocks: Vec<_> = parts(pair, Rule::clock).collect();
        let [from, to] = clocks.as_slice() else {
            return Err(ConditionError::at(self.text, offset, "two times of day"));
        };
        let mistake = |clock: &Pair<'t, Rule>, expected| {
            Err(ConditionError::at(self.text, clock.as_span().start(), expected))
        };
        let Some(first) = minutes(from.as_str()).filter(|minutes| *minutes < MIDNIGHT) else {
            return mistake(from, "a time of day from `0:00` to `23:59`");
        };
        let Some(last) = minutes(to.as_str()).filter(|minutes| *minutes <= MIDNIGHT) else {
            return mistake(to, "a time of day from `0:00` to `24:00`");
        };
        if first == last {
            return mistake(to, "another time than the first (a whole day is `0:00` to `24:00`)");
        }
        Ok(Hours { from: first, to: if last == 0 { MIDNIGHT } else { last } })
    }
}

/// Returns the minutes since midnight at which a clock reads `text`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u16>().ok()?, minutes.parse::<u16>().ok()?);
    (minutes < 60).then_some(hours * 60 + minutes)
}
