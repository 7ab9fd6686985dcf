//! The text of a cron expression: five fields or a macro.

use std::fmt::Write;

use super::error::{CronError, Word};

/// Most warnings about one expression.
const MAX_WARNINGS: usize = 5;

/// A cron expression, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expression {
    /// As expressions of the crate `cron`; a time counts that either of them names.
    pub(crate) for_the_crate: Vec<String>,
    /// The hour may be any.
    pub(crate) every_hour: bool,
    /// The minute or the hour begins with a star.
    pub(crate) is_wildcard: bool,
    /// What its author probably did not mean.
    pub(crate) warnings: Vec<String>,
}

/// What a field may hold.
struct Rule {
    name: &'static str,
    /// The least value.
    lowest: u32,
    /// Where `*` and `N/step` end.
    highest: u32,
    /// The greatest value that may be written.
    greatest: u32,
    /// Names of the values from `lowest` on.
    names: &'static [&'static str],
}

const MINUTE: Rule = Rule { name: "minute", lowest: 0, highest: 59, greatest: 59, names: &[] };
const HOUR: Rule = Rule { name: "hour", lowest: 0, highest: 23, greatest: 23, names: &[] };
const DAY_OF_MONTH: Rule =
    Rule { name: "day of month", lowest: 1, highest: 31, greatest: 31, names: &[] };
const MONTH: Rule = Rule {
    name: "month",
    lowest: 1,
    highest: 12,
    greatest: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const DAY_OF_WEEK: Rule = Rule {
    name: "day of week",
    lowest: 0,
    highest: 6,
    // 0 and 7 are Sunday.
    greatest: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The values that a field names, one bit each.
#[derive(Clone, Copy)]
struct Values(u64);

impl Values {
    /// Returns the values as a list for the crate `cron`, each moved up by `shift`.
    fn list(self, rule: &Rule, shift: u32) -> String {
        if self.is_all(rule) {
            return "*".to_owned();
        }
        let values: Vec<String> = (rule.lowest..=rule.highest)
            .filter(|value| self.has(*value))
            .map(|value| (value + shift).to_string())
            .collect();
        values.join(",")
    }

    fn is_all(self, rule: &Rule) -> bool {
        (rule.lowest..=rule.highest).all(|value| self.has(value))
    }

    const fn has(self, value: u32) -> bool {
        self.0 & (1 << value) != 0
    }
}

/// Reads five fields or a macro.
pub(crate) fn parse(text: &str) -> Result<Expression, CronError> {
    let whole = Word { column: 1, text };
    let words: Vec<Word<'_>> =
        whole.split(char::is_whitespace).filter(|word| !word.text.is_empty()).collect();
    match words.as_slice() {
        [name, rest @ ..] if name.text.starts_with('@') => {
            let fields = expand(*name, text)?;
            match rest.first() {
                None => parse(fields),
                Some(extra) => {
                    Err(extra.error("macro", text, format!("nothing after {}", name.text)))
                }
            }
        }
        [minute, hour, day_of_month, month, day_of_week] => {
            let mut reader = Reader { text, warnings: Vec::new() };
            let minutes = reader.field(&MINUTE, *minute)?;
            let hours = reader.field(&HOUR, *hour)?;
            let days_of_month = reader.field(&DAY_OF_MONTH, *day_of_month)?;
            let months = reader.field(&MONTH, *month)?;
            let days_of_week = reader.field(&DAY_OF_WEEK, *day_of_week)?;
            let days_of_week = Values(days_of_week.0 | days_of_week.0 >> 7);

            // The crate's week starts with Sunday = 1.
            let (by_month, by_week) =
                (days_of_month.list(&DAY_OF_MONTH, 0), days_of_week.list(&DAY_OF_WEEK, 1));
            let translate = |day_of_month: &str, day_of_week: &str| {
                let (minutes, hours) = (minutes.list(&MINUTE, 0), hours.list(&HOUR, 0));
                let months = months.list(&MONTH, 0);
                format!("0 {minutes} {hours} {day_of_month} {months} {day_of_week}")
            };
            let for_the_crate = if is_open(*day_of_month) || is_open(*day_of_week) {
                vec![translate(&by_month, &by_week)]
            } else {
                vec![translate(&by_month, "*"), translate("*", &by_week)]
            };
            Ok(Expression {
                for_the_crate,
                every_hour: hours.is_all(&HOUR),
                is_wildcard: is_open(*minute) || is_open(*hour),
                warnings: reader.warnings,
            })
        }
        [_, _, _, _, _, extra, ..] => Err(extra.error(
            "sixth field",
            text,
            "five fields only: there is none for seconds or years".to_owned(),
        )),
        fewer => {
            let names = [&MINUTE, &HOUR, &DAY_OF_MONTH, &MONTH, &DAY_OF_WEEK];
            let end = Word { column: text.trim_end().chars().count() + 1, text: "" };
            let missing = names.get(fewer.len()).map_or("expression", |rule| rule.name);
            let expected = "five fields: minute, hour, day of month, month, day of week";
            Err(end.error(missing, text, expected.to_owned()))
        }
    }
}

/// Returns the five fields that a macro stands for.
fn expand(name: Word<'_>, text: &str) -> Result<&'static str, CronError> {
    match name.text.to_ascii_lowercase().as_str() {
        "@hourly" => Ok("0 * * * *"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@monthly" => Ok("0 0 1 * *"),
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        _ => Err(name.error(
            "macro",
            text,
            "@hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually".to_owned(),
        )),
    }
}

/// Returns whether a day field leaves the day to the other one: it starts with a star.
fn is_open(field: Word<'_>) -> bool {
    field.text.starts_with(['*', '?'])
}

/// Reads fields and gathers warnings.
struct Reader<'a> {
    text: &'a str,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// Keeps the first few: a list may repeat one slip a hundred times.
    fn warn(&mut self, warning: String) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// `item ("," item)*`
    fn field(&mut self, rule: &Rule, field: Word<'_>) -> Result<Values, CronError> {
        let mut values = 0;
        for item in field.split(|c| c == ',') {
            values |= self.item(rule, item)?;
        }
        Ok(Values(values))
    }

    /// `("*" | "?" | value ["-" value]) ["/" step]`
    fn item(&mut self, rule: &Rule, item: Word<'_>) -> Result<u64, CronError> {
        let (span, step) = item.split_once(|c| c == '/' || c == '\\');
        let (first, last) = self.span(rule, span, step.is_some())?;
        let step = match step {
            None => 1,
            Some((separator, step)) => {
                if separator == '\\' {
                    let (base, step) = (span.text, step.text);
                    self.warn(format!(
                        "read \"{base}\\{step}\" in the {} as \"{base}/{step}\"",
                        rule.name
                    ));
                }
                self.step(rule, step)?
            }
        };
        if step > last - first && first < last {
            self.warn(format!(
                "the {} step {step} is longer than {first}-{last}, so only {first} counts",
                rule.name
            ));
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Ok((first..=last).step_by(step).fold(0, |values, value| values | 1 << value))
    }

    /// Returns the first and the last value.
    fn span<'a>(
        &self,
        rule: &Rule,
        span: Word<'a>,
        has_step: bool,
    ) -> Result<(u32, u32), CronError> {
        if matches!(span.text, "*" | "?") {
            return Ok((rule.lowest, rule.highest));
        }
        let (first, last) = span.split_once(|c| c == '-');
        // Where an end is missing, as in "-1", the whole says more than nothing.
        let or_whole = |end: Word<'a>| if end.text.is_empty() { span } else { end };
        let first = self.value(rule, or_whole(first))?;
        let last = match last {
            Some((_, last)) => self.value(rule, or_whole(last))?,
            None if has_step => rule.highest.max(first),
            None => first,
        };
        if first > last {
            let expected = "a range from the lower to the higher value; \
                            one that wraps around is written as two, as in \"22-23,0-4\"";
            return Err(span.error(rule.name, self.text, expected.to_owned()));
        }
        Ok((first, last))
    }

    /// Returns the value of a number or a name.
    fn value(&self, rule: &Rule, word: Word<'_>) -> Result<u32, CronError> {
        let named =
            (rule.lowest..).zip(rule.names).find(|(_, name)| word.text.eq_ignore_ascii_case(name));
        if let Some((value, _)) = named {
            return Ok(value);
        }
        number(word.text).filter(|value| (rule.lowest..=rule.greatest).contains(value)).ok_or_else(
            || {
                let mut expected = format!("a number from {} to {}", rule.lowest, rule.greatest);
                if let (Some(first), Some(last)) = (rule.names.first(), rule.names.last()) {
                    let _ = write!(expected, " or a name from {first} to {last}");
                }
                word.error(rule.name, self.text, expected)
            },
        )
    }

    /// Returns the number after a slash.
    fn step(&self, rule: &Rule, word: Word<'_>) -> Result<u32, CronError> {
        number(word.text).filter(|step| *step > 0).ok_or_else(|| {
            let expected = "a step: a number from 1".to_owned();
            word.error(rule.name, self.text, expected)
        })
    }
}

/// Reads digits; one that is too large for any field is as large as can be.
fn number(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
