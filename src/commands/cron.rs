//! `cron`: when a cron expression runs next.

use actors::scheduler::cron::{CronError, CronSchedule, describe_next};
use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::Answer;

/// Name of the command.
pub const NAME: &str = "cron";

/// Exit code of an expression that never runs again.
const NEVER: u8 = 1;
/// Exit code of a text that is no cron expression; 2 is wrong usage.
const FAILED: u8 = 3;

const EXPRESSION: &str = "EXPR";
const FROM: &str = "from";
const COUNT: &str = "count";
const IN_UTC: &str = "utc";

/// Runs that are shown unless more or fewer are asked for.
const DEFAULT_COUNT: &str = "5";
/// Runs that are shown at most.
const MAX_COUNT: u64 = 10_000;

const HELP: &str = "\
Prints one RFC 3339 time a line, or never when no day before the year 2101 satisfies it.
What is doubtful or wrong with the expression goes to standard error.
Exit codes: 0 it runs, 1 it never runs, 2 wrong usage, 3 no cron expression.

Examples:
  device-worker-ng cron '*/5 * * * *' --count 3
  TZ=Europe/Berlin device-worker-ng cron '30 2 * * *' --from 2027-03-27T12:00:00Z";

/// Returns how the command is used.
pub fn usage() -> clap::Command {
    clap::Command::new(NAME)
        .about("Show when a cron expression runs next, in local time")
        .after_help(HELP)
        .arg(
            Arg::new(EXPRESSION)
                .required(true)
                .allow_hyphen_values(true)
                .help("Five fields or a macro, in quotes: '0 4 * * mon', @daily"),
        )
        .arg(
            Arg::new(FROM)
                .long(FROM)
                .value_name("RFC3339")
                .value_parser(|text: &str| {
                    DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc))
                })
                .help("Show the runs after this time, 2026-11-23T10:00:00Z [default: now]"),
        )
        .arg(
            Arg::new(COUNT)
                .long(COUNT)
                .value_name("N")
                .value_parser(value_parser!(u64).range(1..=MAX_COUNT))
                .default_value(DEFAULT_COUNT)
                .help("How many runs to show"),
        )
        .arg(
            Arg::new(IN_UTC)
                .long(IN_UTC)
                .action(ArgAction::SetTrue)
                .help("Run by the clock of UTC, not by that of the local time zone"),
        )
}

/// What is to be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The cron expression.
    pub expression: String,
    /// Show the runs after it; `None` is now.
    pub from: Option<DateTime<Utc>>,
    /// How many runs.
    pub count: usize,
    /// Whether the clock of UTC counts, not that of the local time zone.
    pub in_utc: bool,
}

impl From<&ArgMatches> for Question {
    fn from(matches: &ArgMatches) -> Self {
        let count = matches.get_one::<u64>(COUNT).copied().unwrap_or_default();
        Self {
            expression: matches.get_one(EXPRESSION).cloned().unwrap_or_default(),
            from: matches.get_one(FROM).copied(),
            count: usize::try_from(count).unwrap_or(usize::MAX),
            in_utc: matches.get_flag(IN_UTC),
        }
    }
}

/// Lists the next runs after `now`, or after what the question says.
#[must_use]
pub fn answer(question: &Question, now: DateTime<Utc>, local: &impl TimeZone) -> Answer {
    let listed =
        if question.in_utc { list(question, now, &Utc) } else { list(question, now, local) };
    listed.unwrap_or_else(|error| Answer {
        remarks: format!("error: {error}\n{}\n", error.picture()),
        code: FAILED,
        ..Answer::default()
    })
}

fn list(
    question: &Question,
    now: DateTime<Utc>,
    zone: &impl TimeZone,
) -> Result<Answer, CronError> {
    let schedule = CronSchedule::parse(&question.expression)?;
    let from = question.from.unwrap_or(now);
    let runs = describe_next(&question.expression, from, question.count, zone)?;
    let remarks = schedule.warning().map_or_else(String::new, |it| format!("warning: {it}\n"));
    if runs.is_empty() {
        return Ok(Answer { output: "never\n".to_owned(), remarks, code: NEVER });
    }
    let lines = runs.iter().map(|run| {
        let shown = run.fixed_offset().to_rfc3339_opts(SecondsFormat::Secs, question.in_utc);
        shown + "\n"
    });
    Ok(Answer { output: lines.collect(), remarks, code: 0 })
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    fn ask(expression: &str, in_utc: bool) -> Answer {
        let expression = expression.to_owned();
        let question = Question { expression, from: None, count: 2, in_utc };
        let now = "2026-11-23T09:59:30Z".parse().unwrap();
        answer(&question, now, &FixedOffset::east_opt(5 * 3_600 + 1_800).unwrap())
    }

    #[test]
    fn runs_follow_the_local_clock_unless_utc_is_asked_for() {
        let local = "2026-11-24T04:30:00+05:30\n2026-11-25T04:30:00+05:30\n";
        assert_eq!(ask("30 4 * * *", false), Answer { output: local.into(), ..Answer::default() });
        let utc = "2026-11-24T04:30:00Z\n2026-11-25T04:30:00Z\n";
        assert_eq!(ask("30 4 * * *", true), Answer { output: utc.into(), ..Answer::default() });
    }

    #[test]
    fn what_is_doubtful_is_a_remark_beside_the_runs() {
        let answer = ask("*\\1 * * * *", true);
        assert_eq!(answer.output, "2026-11-23T10:00:00Z\n2026-11-23T10:01:00Z\n");
        assert!(answer.remarks.starts_with("warning: "), "{answer:?}");
        assert_eq!(answer.code, 0);
    }

    #[test]
    fn an_impossible_date_is_never() {
        let answer = ask("0 0 30 2 *", true);
        assert_eq!(answer.output, "never\n");
        assert_eq!(answer.remarks, "warning: no year has such a day, so it never runs\n");
        assert_eq!(answer.code, NEVER);
    }

    #[test]
    fn a_mistake_is_shown_with_carets_and_no_run() {
        let answer = ask("61 * * * *", true);
        let lines: Vec<_> = answer.remarks.lines().collect();
        assert!(
            lines[0].starts_with("error: failed to read the cron expression: minute, column 1")
        );
        assert_eq!(lines[1..], ["61 * * * *", "^^"]);
        assert_eq!((answer.output.as_str(), answer.code), ("", FAILED));
    }
}
