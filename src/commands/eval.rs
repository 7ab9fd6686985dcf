//! `eval`: what a condition of a profile comes to, given metrics, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use actors::profile_evaluator::local_clock;
use chrono::{DateTime, TimeZone, Utc};
use clap::{Arg, ArgAction, ArgMatches};
use grammar::{
    Condition, LocalTime, Lookup, Metric, Reading, SampleWindow, Truth, Unit, Window, is_printable,
};

use super::Answer;

/// Name of the command.
pub const NAME: &str = "eval";
/// Exit code of a question that has no answer, wrong usage included: 2 says unknown.
pub const FAILED: u8 = 3;

const EXPRESSION: &str = "EXPR";
const METRIC: &str = "metric";
const AT: &str = "at";

const HELP: &str = "\
The first line is true, false, unknown or error; below it stands why.
Exit codes: 0 true, 1 false, 2 unknown, 3 error, wrong usage included.

A metric that is not given is nil, as one that was never posted. Each metric has one sample,
posted this moment: a window such as avg(cpu, 1m) sees just that one, and rate(cpu, 1m), which
needs two, is nil. Of a condition with `for 30s` the answer is that of its expression: on the
device it counts once the expression has been true for 30 s without a break, and not before. One
with `until` is answered as it begins: it was not true before.

Examples:
  device-worker-ng eval 'cpu < 5% || cpu > 40%' --metric cpu=41
  device-worker-ng eval 'mem < 1GiB && temp < 65C' --metric mem=512MiB --metric temp=-3C
  TZ=Europe/Berlin device-worker-ng eval 'between 22:00 and 06:00' --at 2027-03-28T03:59:00Z";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    clap::Command::new(NAME)
        .about("Evaluate a condition of a profile: exit code 0 when true, 1 false, 2 unknown")
        .after_help(HELP)
        .arg(
            Arg::new(EXPRESSION)
                .required(true)
                .allow_hyphen_values(true)
                .help("The condition, in quotes: 'cpu > 80% for 30s'"),
        )
        .arg(
            Arg::new(METRIC)
                .long(METRIC)
                .value_name("NAME=VALUE[UNIT]")
                .action(ArgAction::Append)
                .help("A posted metric: cpu=41, mem=512MiB, temp=-3C; each name once"),
        )
        .arg(
            Arg::new(AT)
                .long(AT)
                .value_name("RFC3339")
                .value_parser(|text: &str| {
                    DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc))
                })
                .help("The time for days and hours, 2026-11-23T10:00:00Z [default: now]"),
        )
}

/// What is to be evaluated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The condition, as it would stand in a profile.
    pub expression: String,
    /// The metrics, `NAME=VALUE[UNIT]` each.
    pub metrics: Vec<String>,
    /// When; `None` is now.
    pub at: Option<DateTime<Utc>>,
}

impl From<&ArgMatches> for Question {
    fn from(matches: &ArgMatches) -> Self {
        Self {
            expression: matches.get_one(EXPRESSION).cloned().unwrap_or_default(),
            metrics: matches.get_many(METRIC).into_iter().flatten().cloned().collect(),
            at: matches.get_one(AT).copied(),
        }
    }
}

/// Evaluates the condition as of `now`, or of when the question says.
#[must_use]
pub fn answer(question: &Question, now: DateTime<Utc>, zone: &impl TimeZone) -> Answer {
    let local_time = local_clock(question.at.unwrap_or(now), zone);
    let (output, code) = match evaluate(question, local_time) {
        Ok((truth, why)) => (format!("{truth}\n{why}\n"), code_of(truth)),
        Err(Problem { what, why }) => (format!("error: {what}\n{why}\n"), FAILED),
    };
    Answer { output, code, ..Answer::default() }
}

const fn code_of(truth: Truth) -> u8 {
    match truth {
        Truth::True => 0,
        Truth::False => 1,
        Truth::Unknown => 2,
    }
}

/// Why there is no answer: in one line, and in detail.
struct Problem {
    what: String,
    why: String,
}

fn evaluate(
    question: &Question,
    local_time: Option<LocalTime>,
) -> Result<(Truth, String), Problem> {
    let mut posted = Posted { local_time, ..Posted::read(&question.metrics)? };
    let condition = Condition::parse(&question.expression)
        .map_err(|error| Problem { what: error.to_string(), why: error.picture() })?;
    posted.fill_windows(&condition);
    let mut why = condition.explain(&posted);
    why += &memory(&condition);
    match condition.evaluate(&posted) {
        Ok(truth) => Ok((truth, why)),
        Err(error) => Err(Problem { what: error.to_string(), why }),
    }
}

/// Returns what the condition remembers on a device, which a single look cannot show; a line or nothing.
fn memory(condition: &Condition) -> String {
    let lasting = |hold: Option<Duration>| match hold {
        Some(hold) => format!("has been true for {hold:?}"),
        None => "is true".to_owned(),
    };
    let begin = lasting(condition.hold());
    if condition.has_end() {
        let end = lasting(condition.end_hold());
        return format!(
            "\non the device it begins once what stands before `until` {begin}, and stays true until \
             what stands after it {end}"
        );
    }
    match condition.hold() {
        Some(_) => format!("\non the device it counts once that {begin}"),
        None => String::new(),
    }
}

/// One sample of each metric, and the windows that see it.
#[derive(Default)]
struct Posted {
    samples: BTreeMap<String, (f64, Option<Unit>)>,
    /// In the condition's order.
    windows: Vec<SampleWindow>,
    local_time: Option<LocalTime>,
}

impl Posted {
    fn read(metrics: &[String]) -> Result<Self, Problem> {
        let mut posted = Self::default();
        for text in metrics {
            let (name, sample) = read_metric(text).ok_or_else(|| Problem {
                what: format!("--metric {text:?} is not NAME=VALUE[UNIT]"),
                why: "write cpu=41, mem=512MiB or temp=-3C, each name as in the condition".into(),
            })?;
            if posted.samples.insert(name.to_owned(), sample).is_some() {
                return Err(Problem {
                    what: format!("--metric {text:?} gives {name} a second value"),
                    why: "each metric has one sample here".to_owned(),
                });
            }
        }
        Ok(posted)
    }

    fn fill_windows(&mut self, condition: &Condition) {
        let samples = &self.samples;
        let fill = |window: &Window| {
            let mut seen = SampleWindow::new(window.span());
            if let Some((value, unit)) = samples.get(window.metric().name()) {
                seen.push(Duration::ZERO, *value, unit.as_ref());
            }
            seen
        };
        self.windows = condition.windows().iter().map(fill).collect();
    }
}

impl Lookup for Posted {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        let (value, unit) = self.samples.get(metric.name())?;
        Some(Reading { value: *value, unit: unit.as_ref() })
    }

    fn samples(&self, window: &Window) -> Option<&SampleWindow> {
        self.windows.get(usize::try_from(window.slot()).ok()?)
    }

    fn local_time(&self) -> Option<LocalTime> {
        self.local_time
    }
}

/// Reads `NAME=VALUE[UNIT]`; a name is one that a condition can name, a value is finite.
fn read_metric(text: &str) -> Option<(&str, (f64, Option<Unit>))> {
    let (name, quantity) = text.split_once('=')?;
    let named = Condition::parse(&format!("{name} == nil")).ok()?;
    if !named.metrics().iter().map(Metric::name).eq([name]) {
        return None;
    }
    let (number, unit) = quantity.split_at(number_length(quantity));
    let value: f64 = number.parse().ok()?;
    // A rest that starts with a digit or a dot is a number gone wrong: 1.2.3, 0x10.
    let is_unit = unit.chars().all(|c| match c.is_ascii() {
        true => c.is_ascii_alphabetic() || matches!(c, '%' | '/'),
        false => is_printable(c) && !c.is_whitespace(),
    });
    (value.is_finite() && is_unit).then(|| (name, (value, Unit::new(unit))))
}

/// Returns the length of the number that `text` starts with: `-1.5e3` of `-1.5e3ms`.
fn number_length(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.bytes().take_while(u8::is_ascii_digit).count()
    };
    let is_at =
        |at: usize, signs: &[u8]| text.as_bytes().get(at).is_some_and(|b| signs.contains(b));
    let mut end = digits(usize::from(is_at(0, b"+-")));
    if is_at(end, b".") {
        end = digits(end + 1);
    }
    if is_at(end, b"eE") {
        let exponent = end + 1 + usize::from(is_at(end + 1, b"+-"));
        if digits(exponent) > exponent {
            end = digits(exponent);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(expression: &str, metrics: &[&str]) -> Answer {
        let metrics = metrics.iter().map(|text| (*text).to_owned()).collect();
        let question = Question { expression: expression.to_owned(), metrics, at: None };
        ask_at(question, "2026-11-23T09:59:30Z")
    }

    fn ask_at(question: Question, now: &str) -> Answer {
        let zone = chrono::FixedOffset::east_opt(5 * 3_600 + 1_800).unwrap();
        answer(&question, now.parse().unwrap(), &zone)
    }

    fn lines(answer: &Answer) -> Vec<&str> {
        answer.output.lines().collect()
    }

    #[test]
    fn the_first_line_is_the_outcome_and_the_next_says_why() {
        for (metrics, code, expected) in [
            (
                &["cpu=41"][..],
                0,
                ["true", "cpu > 40% is true: cpu = 41 without a unit, compared with 40"],
            ),
            (&["cpu=20%"], 1, ["false", "cpu > 40% is false: cpu = 20%"]),
            (&[], 2, ["unknown", "cpu > 40% is unknown: never posted"]),
        ] {
            let answer = ask("cpu > 40%", metrics);
            assert_eq!((lines(&answer), answer.code), (expected.to_vec(), code));
        }
    }

    #[test]
    fn a_unit_is_taken_as_people_write_it() {
        for unit in ["\u{b0}C", "\u{ba}C", "\u{2103}", "\u{2070}C", "degC", "C"] {
            let answer = ask("temp < 75C", &[&format!("temp=21.5{unit}")]);
            assert_eq!((lines(&answer)[0], answer.code), ("true", 0), "{unit}");
        }
        assert_eq!(ask("temp < 75\u{b0}C", &["temp=21.5C"]).code, 0);
        assert_eq!(ask("load < 5ms", &["load=300\u{b5}s"]).code, 0);
        assert_eq!(ask("disk < 5GB", &["disk=300KB"]).code, 0);
    }

    #[test]
    fn a_mistake_is_shown_with_a_caret() {
        let answer = ask("cpu > 20 & mem < 3", &[]);
        let expected = [
            "error: column 10: found `&`, expected `&&`, `||`, `for`, `until` or the end",
            "cpu > 20 & mem < 3",
            "         ^ expected `&&`, `||`, `for`, `until` or the end",
        ];
        assert_eq!((lines(&answer), answer.code), (expected.to_vec(), FAILED));
    }

    #[test]
    fn units_that_do_not_fit_are_an_error() {
        let answer = ask("mem < 1GiB", &["mem=70C"]);
        assert!(answer.output.starts_with("error: `mem < 1GiB` compares "), "{answer:?}");
        assert_eq!(answer.code, FAILED);
    }

    #[test]
    fn a_window_sees_the_one_sample() {
        let answer = ask("avg(cpu, 1m) > 80%", &["cpu=81%"]);
        let why = "avg(cpu, 1m) > 80% is true: avg(cpu, 1m) = 81% over 1 sample";
        assert_eq!(lines(&answer), ["true", why]);
        let answer = ask("rate(cpu, 1m) == nil", &["cpu=81"]);
        assert_eq!(lines(&answer)[0], "true");
    }

    #[test]
    fn for_is_answered_by_its_expression_and_said_to_need_its_time() {
        let answer = ask("cpu > 80% for 30s", &["cpu=81%"]);
        let needs = "on the device it counts once that has been true for 30s";
        assert_eq!(lines(&answer), ["true", "cpu > 80% is true: cpu = 81%", needs]);
    }

    #[test]
    fn until_is_answered_as_it_begins_and_said_to_stay() {
        let answer = ask("cpu < 60% until cpu > 85% for 10s", &["cpu=50%"]);
        let stays = "on the device it begins once what stands before `until` is true, and stays true \
                     until what stands after it has been true for 10s";
        assert_eq!(lines(&answer)[0], "true");
        assert_eq!(lines(&answer)[2], stays);
        assert_eq!(lines(&ask("x < 60 until y > 1", &["x=50", "y=2"]))[0], "false");
        assert_eq!(lines(&ask("x < 60 until y > 1", &["x=50"]))[0], "unknown");
    }

    #[test]
    fn days_and_hours_are_those_of_the_zone_now_or_as_asked() {
        let answer = ask("on mon between 15:00 and 16:00", &[]);
        let why = "on mon between 15:00 and 16:00 is true: it is mon 15:29";
        assert_eq!((lines(&answer), answer.code), (vec!["true", why], 0));
        let at = Some("2026-11-23T23:30:00Z".parse().unwrap());
        let expression = "on mon".to_owned();
        let question = Question { expression, at, ..Question::default() };
        assert_eq!(lines(&ask_at(question.clone(), "1970-01-01T00:00:00Z"))[0], "false");
        let unset = ask_at(Question { at: None, ..question }, "1970-01-01T00:00:00Z");
        assert_eq!((lines(&unset)[0], unset.code), ("unknown", 2));
    }

    #[test]
    fn a_metric_is_a_name_a_number_and_perhaps_a_unit() {
        for (text, name, value, unit) in [
            ("cpu=-3", "cpu", -3.0, None),
            ("cpu=+3", "cpu", 3.0, None),
            ("mem=512MiB", "mem", 512.0, Some("MiB")),
            ("net.rx=1.5e3kB/s", "net.rx", 1500.0, Some("kB/s")),
            ("temp=21.5\u{b0}C", "temp", 21.5, Some("\u{b0}C")),
            ("pm=3\u{b5}g/m\u{b3}", "pm", 3.0, Some("\u{b5}g/m\u{b3}")),
            ("x=.5", "x", 0.5, None),
            ("x=1E", "x", 1.0, Some("E")),
            ("x=2e-1%", "x", 0.2, Some("%")),
        ] {
            let expected = Some((name, (value, unit.and_then(Unit::new))));
            assert_eq!(read_metric(text), expected, "{text}");
        }
    }

    #[test]
    fn a_malformed_metric_is_named() {
        for text in [
            "cpu",
            "cpu=",
            "=3",
            "cpu=%",
            "cpu=1.2.3",
            "cpu==3",
            "cpu=nan",
            "cpu=1e999",
            "nil=3",
            " x=3",
            "(x=3",
            "x-y=3",
            "x == 1 || y=3",
            "avg(x, 1m)=3",
            "x=3 MiB",
            "x=\u{b2}",
        ] {
            let answer = ask("cpu > 40%", &[text]);
            let expected = format!("error: --metric {text:?} is not NAME=VALUE[UNIT]");
            assert_eq!((lines(&answer)[0], answer.code), (expected.as_str(), FAILED));
        }
    }

    #[test]
    fn a_metric_given_twice_is_an_error() {
        let answer = ask("cpu > 40%", &["cpu=1", "cpu=41"]);
        let expected = "error: --metric \"cpu=41\" gives cpu a second value";
        assert_eq!((lines(&answer)[0], answer.code), (expected, FAILED));
    }
}
