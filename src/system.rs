//! The wiring: opens the mailboxes, starts the actors, stops them.

use std::io;

use tracing::{info, warn};

use crate::config::Config;
use crate::logging::LogHandle;
use crate::notify;
use crate::signals::{Signal, Signals};

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The runtime could not be made.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    /// Signals could not be listened to.
    #[error("failed to listen to signals")]
    Signals(#[source] io::Error),
}

/// Runs the agent until a signal ends it.
///
/// # Errors
/// The agent could not start.
pub fn run(config: Config, logging: LogHandle) -> Result<(), RunError> {
    let runner = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    runner.block_on(async {
        let mut signals = Signals::listen().map_err(RunError::Signals)?;
        info!(device_id = %config.device_id, "agent started");
        notify::ready();
        loop {
            match signals.next().await {
                Signal::Shutdown => break,
                Signal::Reload => reload_log_level(&config, &logging),
            }
        }
        notify::stopping();
        info!("agent stopped");
        Ok(())
    })
}

/// Takes over the log level that the configuration file holds now; a wrong one changes nothing.
fn reload_log_level(config: &Config, logging: &LogHandle) {
    match config.reload_log_level() {
        Ok(level) => match logging.set_level(&level) {
            Ok(()) => info!(level = %level, "log level was read again"),
            Err(error) => warn!(%error, "log level was not changed"),
        },
        Err(error) => warn!(%error, "log level was not changed"),
    }
}
