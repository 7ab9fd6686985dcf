//! Reads the command line and the configuration, starts logging, runs.

use std::io;
use std::process::ExitCode;

use actors::clock::Clock;
use device_worker_ng::cli::{self, Command};
use device_worker_ng::commands::{check, cron, eval, logs, schema, status, support_bundle};
use device_worker_ng::config::{Config, ConfigErrors, Loaded, Machine};
use device_worker_ng::passed_sockets::Passed;
use device_worker_ng::{core_dumps, daemon, logging, oom_score};
use tracing::{error, warn};

/// Wrong usage or configuration: trying again without a change is of no use.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    // Before anything secret is read.
    let forbidden = core_dumps::forbid();
    // Before anything is opened: they are found by number.
    let passed = Passed::take();
    match cli::parse(std::env::args_os(), std::env::vars_os()) {
        Ok(Command::Run(sources)) => {
            with_config(Config::load(&sources, &Machine::this()), |loaded| {
                start(loaded, forbidden, passed)
            })
        }
        Ok(Command::Check(question, sources)) => {
            with_config(Config::examine(&sources, &Machine::this()), |loaded| {
                check::answer(question, &loaded).report()
            })
        }
        Ok(Command::Eval(question)) => {
            eval::answer(&question, Clock::system().now().wall, &chrono::Local).report()
        }
        Ok(Command::Cron(question)) => {
            cron::answer(&question, Clock::system().now().wall, &chrono::Local).report()
        }
        Ok(Command::Status(question, sources)) => status::run(&question, &sources),
        Ok(Command::Logs(question, sources)) => logs::run(&question, &sources),
        Ok(Command::Schema) => schema::answer().report(),
        Ok(Command::SupportBundle(question, sources)) => support_bundle::run(&question, &sources),
        Err(usage) => usage.report(),
    }
}

fn with_config(
    config: Result<Loaded, ConfigErrors>,
    then: impl FnOnce(Loaded) -> ExitCode,
) -> ExitCode {
    config.map_or_else(
        |errors| {
            cli::report_errors(&errors);
            ExitCode::from(UNUSABLE)
        },
        then,
    )
}

fn start(loaded: Loaded, core_dumps: io::Result<()>, passed: Passed) -> ExitCode {
    match run(loaded, core_dumps, passed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "agent failed");
            cli::report_failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(loaded: Loaded, core_dumps: io::Result<()>, passed: Passed) -> anyhow::Result<()> {
    let config = loaded.config;
    let logging = logging::start(&config.log_level, config.log_format)?;
    for warning in loaded.warnings {
        warn!(error = %warning, "configuration was doubtful");
    }
    if let Err(error) = core_dumps {
        warn!(%error, "core dumps could not be forbidden");
    }
    oom_score::lower();
    // Fails only when there is a provider already, which then is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(daemon::run(config, logging, passed)?)
}
