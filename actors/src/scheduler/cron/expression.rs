//! The text of a cron expression: five fields or a macro.

use std::fmt::Write;

/// How many characters of an expression an error shows around the place that it is about.
const SHOWN: usize = 60;

/// A text that is not a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "failed to read the cron expression: {field}, column {column}: found {found}, expected {expected}"
)]
pub struct CronError {
    field: &'static str,
    column: usize,
    found: String,
    expected: String,
    text: String,
    width: usize,
}

impl CronError {
    /// Returns the name of the field that is wrong, as in crontab(5).
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Returns where the wrong part starts, in characters from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }

    /// Returns what stands there.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }

    /// Returns what may stand there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// Returns two lines: the expression, and carets under the wrong part. A long expression is
    /// shown in part.
    #[must_use]
    pub fn picture(&self) -> String {
        let start = self.column - 1;
        let first = start.saturating_sub(SHOWN / 2);
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        let shown: String = self.text.chars().skip(first).take(SHOWN).collect();
        let before = if first > 0 { "…" } else { "" };
        let cut = self.text.chars().nth(first + SHOWN).is_some();
        let after = if cut { "…" } else { "" };
        let mut picture =
            format!("{before}{}{after}\n", shown.chars().map(printable).collect::<String>());
        let indent = start - first + before.chars().count();
        let carets = "^".repeat(self.width.clamp(1, SHOWN - (start - first)));
        // Writing to a String cannot fail.
        let _ = write!(picture, "{:indent$}{carets}", "");
        picture
    }

    /// The crate `cron` does not take what we made of a sound expression: a mistake of ours.
    pub(super) fn untranslatable(text: &str, fields: &str, error: &::cron::error::Error) -> Self {
        Word { column: 1, text }.error(
            "expression",
            text,
            format!("one that can be scheduled; {fields} cannot: {error}"),
        )
    }
}

/// A cron expression, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    /// As expressions of the crate `cron`; a time counts that either of them names.
    pub(super) for_the_crate: Vec<String>,
    /// The hour may be any.
    pub(super) every_hour: bool,
    /// What its author probably did not mean.
    pub(super) warnings: Vec<String>,
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
        let wanted: Vec<u32> =
            (rule.lowest..=rule.highest).filter(|value| self.0 & (1 << value) != 0).collect();
        if self.is_all(rule) {
            return "*".to_owned();
        }
        let texts: Vec<String> = wanted.iter().map(|value| (value + shift).to_string()).collect();
        texts.join(",")
    }

    fn is_all(self, rule: &Rule) -> bool {
        (rule.lowest..=rule.highest).all(|value| self.0 & (1 << value) != 0)
    }
}

/// A part of the text and where it starts, in characters from 1.
#[derive(Clone, Copy)]
struct Word<'a> {
    column: usize,
    text: &'a str,
}

impl<'a> Word<'a> {
    /// Splits at every `separator`.
    fn split(self, separator: impl Fn(char) -> bool + Copy) -> impl Iterator<Item = Word<'a>> {
        let mut column = self.column;
        self.text.split(separator).map(move |text| {
            let word = Word { column, text };
            column += text.chars().count() + 1;
            word
        })
    }

    /// Splits at the first `separator`, if there is one.
    fn split_once(self, separator: impl Fn(char) -> bool) -> (Self, Option<(char, Self)>) {
        let Some((at, found)) = self.text.char_indices().find(|(_, c)| separator(*c)) else {
            return (self, None);
        };
        let (before, rest) = self.text.split_at(at);
        let after = Word {
            column: self.column + before.chars().count() + 1,
            text: rest.strip_prefix(found).unwrap_or(rest),
        };
        let before = Word { column: self.column, text: before };
        (before, Some((found, after)))
    }

    fn error(self, field: &'static str, text: &str, expected: String) -> CronError {
        let shown: String = self.text.chars().take(SHOWN).collect();
        CronError {
            field,
            column: self.column,
            found: if shown.is_empty() { "nothing".to_owned() } else { format!("{shown:?}") },
            expected,
            text: text.to_owned(),
            width: self.text.chars().count(),
        }
    }
}

/// Reads five fields or a macro.
pub(super) fn parse(text: &str) -> Result<Expression, CronError> {
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
                    self.warnings.push(format!(
                        "read \"{base}\\{step}\" in the {} as \"{base}/{step}\"",
                        rule.name
                    ));
                }
                self.step(rule, step)?
            }
        };
        if step > last - first && first < last {
            self.warnings.push(format!(
                "a step of {step} leaves the {} range {first}-{last} at once: only {first} counts",
                rule.name
            ));
        }
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Ok((first..=last).step_by(step).fold(0, |values, value| values | 1 << value))
    }

    /// Returns the first and the last value.
    fn span(&self, rule: &Rule, span: Word<'_>, has_step: bool) -> Result<(u32, u32), CronError> {
        if matches!(span.text, "*" | "?") {
            return Ok((rule.lowest, rule.highest));
        }
        let (first, last) = span.split_once(|c| c == '-');
        let whole_if_empty = |part: Word<'_>| -> bool { part.text.is_empty() };
        let first = if whole_if_empty(first) { span } else { first };
        let first_value = self.value(rule, first)?;
        let last_value = match last {
            Some((_, last)) => self.value(rule, if whole_if_empty(last) { span } else { last })?,
            None if has_step => rule.highest.max(first_value),
            None => first_value,
        };
        if first_value > last_value {
            let expected = "a range from the lower to the higher value; \
                            one that wraps around is written as two, as in \"22-23,0-4\"";
            return Err(span.error(rule.name, self.text, expected.to_owned()));
        }
        Ok((first_value, last_value))
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
