//! The command line, made from the table of settings.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::{Arg, ArgMatches, value_parser};
use grammar::{printable, printable_lines};

use crate::commands::{check, cron, eval, logs, schema, status, support_bundle};
use crate::config::{ConfigErrors, Sources, Warning};
use crate::settings::{self, Fallback, Setting, VARIABLE_PREFIX};

/// Name of the flag that names the configuration file.
const CONFIG: &str = "config";

/// What the agent is asked to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Run.
    Run(Sources),
    /// Check the configuration, and no more.
    Check(check::Question, Sources),
    /// Evaluate a condition, and no more.
    Eval(eval::Question),
    /// Show when a cron expression runs, and no more.
    Cron(cron::Question),
    /// Show how the running agent does, and no more.
    Status(status::Question, Sources),
    /// Show what the containers of a workload have written, and no more.
    Logs(logs::Question, Sources),
    /// Print the schema of manifests, and no more.
    Schema,
    /// Write what explains a device's behaviour into one file, and no more.
    SupportBundle(support_bundle::Question, Sources),
}

/// A wrong command line, or one that asks for help or the version only.
#[derive(Debug)]
pub struct Usage {
    error: clap::Error,
    code: u8,
}

impl Usage {
    /// Writes it where it belongs. A reader that went away is no failure.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        let text = self.error.render().to_string();
        let text = printable_lines(&text);
        let _ = match self.error.use_stderr() {
            true => io::stderr().write_all(text.as_bytes()),
            false => io::stdout().write_all(text.as_bytes()),
        };
        ExitCode::from(self.code)
    }
}

/// Reads the command line.
///
/// # Errors
/// The usage is wrong, or only help or the version was asked for.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Command, Usage> {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let matches = command().try_get_matches_from(&arguments).map_err(|error| {
        // Of `eval` the usual code would say that a condition is unknown.
        let is_eval = arguments.get(1).is_some_and(|word| word == eval::NAME);
        let code = match u8::try_from(error.exit_code()) {
            Ok(0) => 0,
            Ok(_) if is_eval => eval::FAILED,
            Ok(code) => code,
            Err(_) => 1,
        };
        Usage { error: on_one_line(&arguments).unwrap_or(error), code }
    })?;
    let mut sources = Sources {
        environment: environment
            .into_iter()
            .map(|(key, value)| {
                let text = |text: OsString| text.to_string_lossy().into_owned();
                (text(key), text(value))
            })
            .filter(|(key, _)| is_of_use(key))
            .collect(),
        ..Sources::default()
    };
    // Flags may stand before the command's name or after it; those after it win.
    add_flags(&matches, &mut sources);
    Ok(match matches.subcommand() {
        Some((check::NAME, matches)) => {
            add_flags(matches, &mut sources);
            Command::Check(matches.into(), sources)
        }
        Some((eval::NAME, matches)) => Command::Eval(matches.into()),
        Some((cron::NAME, matches)) => Command::Cron(matches.into()),
        Some((status::NAME, matches)) => {
            add_file(matches, &mut sources);
            Command::Status(matches.into(), sources)
        }
        Some((logs::NAME, matches)) => {
            add_file(matches, &mut sources);
            Command::Logs(matches.into(), sources)
        }
        Some((schema::NAME, _)) => Command::Schema,
        Some((support_bundle::NAME, matches)) => {
            add_file(matches, &mut sources);
            Command::SupportBundle(matches.into(), sources)
        }
        Some((_, matches)) => {
            add_flags(matches, &mut sources);
            Command::Run(sources)
        }
        None => Command::Run(sources),
    })
}

/// Returns the same error of arguments that hold no ends of lines, and nothing else that cannot be
/// shown: it repeats them as they are.
fn on_one_line(arguments: &[OsString]) -> Option<clap::Error> {
    let shown = arguments.iter().map(|word| printable(&word.to_string_lossy()).into_owned());
    command().try_get_matches_from(shown).err()
}

/// Whether the configuration may depend on a variable; the others may be secrets of others.
fn is_of_use(variable: &str) -> bool {
    variable.starts_with(VARIABLE_PREFIX)
        || ["HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"].contains(&variable)
}

fn add_file(matches: &ArgMatches, sources: &mut Sources) {
    if let Some(path) = matches.get_one::<PathBuf>(CONFIG) {
        sources.file = Some(path.clone());
    }
}

fn add_flags(matches: &ArgMatches, sources: &mut Sources) {
    add_file(matches, sources);
    for setting in settings::ALL {
        if let Some(value) = matches.get_one::<String>(setting.key) {
            sources.flags.push((setting, value.clone()));
        }
    }
}

/// Returns the version, with the commit where the build names one: `make build` does, while a plain
/// `cargo build` does not, so that a commit alone makes nothing new.
fn version(commit: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match commit {
        None | Some("") => version.to_owned(),
        Some(commit) => format!("{version} ({commit})"),
    }
}

/// Returns the whole command line. Manual pages and shell completions are made from it, too.
#[must_use]
pub fn command() -> clap::Command {
    let run = clap::Command::new("run").about("Run the agent; the same as no command");
    with_settings(clap::Command::new("device-worker-ng"))
        .version(version(option_env!("DEVICE_WORKER_NG_COMMIT")))
        .about(env!("CARGO_PKG_DESCRIPTION"))
        .after_help(
            "A flag beats its variable, a variable beats the file, the file beats the default.\n\
             Durations are written 500ms, 5s, 1h30m, 1d, or as a number of seconds.\n\
             Exit codes: 0 stopped as asked, 2 wrong usage or configuration, 1 anything else.",
        )
        .subcommand(with_settings(run))
        .subcommand(with_settings(check::usage()))
        .subcommand(eval::usage().next_line_help(true))
        .subcommand(cron::usage().next_line_help(true))
        .subcommand(status::usage().next_line_help(true).arg(config()))
        .subcommand(logs::usage().next_line_help(true).arg(config()))
        .subcommand(schema::usage().next_line_help(true))
        .subcommand(support_bundle::usage().next_line_help(true).arg(config()))
}

fn config() -> Arg {
    Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Configuration file, YAML; config.yaml.example lists every setting")
}

fn with_settings(command: clap::Command) -> clap::Command {
    let flags = settings::ALL.iter().map(|setting| {
        Arg::new(setting.key)
            .long(setting.flag())
            .value_name(setting.kind.placeholder())
            .value_parser(ValueParser::string())
            .help_heading(setting.group.heading())
            .help(help(setting))
    });
    command.next_line_help(true).arg(config()).args(flags)
}

fn help(setting: &Setting) -> String {
    let variable = setting.variable();
    let default = match setting.default {
        Fallback::Text(text) | Fallback::Found(text) => format!(" [default: {text}]"),
        Fallback::Nothing => String::new(),
    };
    format!("{}\n[{variable}]{default}", setting.summary)
}

/// Writes what is wrong and what is doubtful to standard error. A closed one is no error.
pub fn report_errors(errors: &ConfigErrors) {
    report_warnings(&errors.warnings);
    // There is nothing left to report to if even this cannot be written.
    let _ = writeln!(io::stderr(), "{errors}");
}

/// Writes what is doubtful to standard error.
fn report_warnings(warnings: &[Warning]) {
    for warning in warnings {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
}

/// Writes why the agent ended to standard error: logging itself may be what failed.
pub fn report_failure(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "error: {}", printable(&format!("{error:#}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &str) -> Result<Command, Usage> {
        let words = ["device-worker-ng"].into_iter().chain(words.split(' '));
        parse(words.map(OsString::from), [])
    }

    fn flags(sources: &Sources) -> Vec<(&str, &str)> {
        sources.flags.iter().map(|(setting, value)| (setting.key, value.as_str())).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_version_names_the_commit_where_it_is_known() {
        let bare = env!("CARGO_PKG_VERSION");
        for (commit, expected) in [
            (None, bare.to_owned()),
            (Some(""), bare.to_owned()),
            (Some("8689bfe06d2a"), format!("{bare} (8689bfe06d2a)")),
        ] {
            assert_eq!(version(commit), expected);
        }
    }

    #[test]
    fn no_command_means_run() {
        for words in ["--config c.yaml", "run --config c.yaml", "--config c.yaml run"] {
            let Ok(Command::Run(sources)) = parse_words(words) else {
                unreachable!("{words}");
            };
            assert_eq!(sources.file, Some(PathBuf::from("c.yaml")), "{words}");
        }
    }

    #[test]
    fn every_setting_has_a_flag() {
        for setting in settings::ALL {
            let words = format!("check --{} x", setting.flag());
            let Ok(Command::Check(_, sources)) = parse_words(&words) else {
                unreachable!("{words}");
            };
            assert_eq!(flags(&sources), [(setting.key, "x")]);
        }
    }

    #[test]
    fn only_variables_of_use_are_kept() {
        let pair = |(key, value): (&str, &str)| (OsString::from(key), OsString::from(value));
        let environment = [("EDGE_DEVICE_KEY", "k"), ("TOKEN", "t"), ("HOME", "/h")].map(pair);
        let Ok(Command::Run(sources)) = parse([OsString::from("x")], environment) else {
            unreachable!();
        };
        let kept: Vec<_> = sources.environment.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(kept, ["EDGE_DEVICE_KEY", "HOME"]);
    }

    #[test]
    fn wrong_usage_has_exit_code_two() {
        for words in ["--server", "--sever x", "fly", "check extra", "cron", "cron @daily x"] {
            assert_eq!(parse_words(words).unwrap_err().code, 2, "{words}");
        }
    }

    #[test]
    fn wrong_usage_of_eval_cannot_be_taken_for_unknown() {
        for words in ["eval", "eval x>1 y>1", "eval x>1 --metric", "eval --metrik x=1 x>1"] {
            assert_eq!(parse_words(words).unwrap_err().code, 3, "{words}");
        }
        assert_eq!(parse_words("eval --help").unwrap_err().code, 0);
    }
}
