//! Reads the command line and the configuration, starts logging, runs.

use std::process::ExitCode;

use device_worker_ng::cli::{self, Command};
use device_worker_ng::config::{Config, Loaded, Machine};
use device_worker_ng::{logging, system};
use tracing::{error, warn};

/// Wrong usage or configuration: trying again without a change is of no use.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let (arguments, environment) = (std::env::args_os(), std::env::vars_os());
    let command = match cli::parse(arguments, environment) {
        Ok(command) => command,
        Err(usage) => {
            // Help that nobody reads is no failure.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let (Command::Run(sources) | Command::Check(sources)) = &command;
    let loaded = match Config::load(sources, &Machine::this()) {
        Ok(loaded) => loaded,
        Err(errors) => {
            cli::report_errors(&errors);
            return ExitCode::from(UNUSABLE);
        }
    };
    match command {
        Command::Check(_) => {
            cli::report_warnings(&loaded.warnings);
            cli::report_good(&loaded);
            ExitCode::SUCCESS
        }
        Command::Run(_) => match run(loaded) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                error!(error = format!("{error:#}"), "agent failed");
                cli::report_failure(&error);
                ExitCode::FAILURE
            }
        },
    }
}

fn run(loaded: Loaded) -> anyhow::Result<()> {
    let config = loaded.config;
    let logging = logging::start(&config.log_level, config.log_format)?;
    for warning in loaded.warnings {
        warn!(error = %warning, "configuration was doubtful");
    }
    // Fails only when there is a provider already, which then is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(system::run(config, logging)?)
}
