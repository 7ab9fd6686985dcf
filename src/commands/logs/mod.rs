//! `logs`: what the containers of a workload have written, read where they run.

mod choice;
mod lines;
mod places;
mod previous;
mod question;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use actors::clock::Clock;
use futures_util::stream::{Stream, StreamExt as _, TryStreamExt as _, iter, once, select_all};
use tokio::task::LocalSet;

pub(super) use self::lines::{Cut, of_kept};
pub use self::question::{Question, Since, usage};

use self::choice::{Looked, Named, NoLog, choose, prefixes};
use self::places::{Found, Place, Unreadable};
use super::Answer;
use crate::config::{Config, ConfigErrors, Machine, Sources};

/// Name of the command.
pub const NAME: &str = "logs";

/// Exit code when there is no such workload, container or log; 2 is wrong usage or configuration.
const UNKNOWN: u8 = 1;
/// Exit code of a configuration that cannot be read.
const UNUSABLE: u8 = 2;
/// Exit code when no runtime answers.
const SILENT: u8 = 3;

/// Why nothing, or not all, was shown.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Configuration(#[from] ConfigErrors),
    #[error("failed to begin")]
    Begin(#[source] io::Error),
    #[error("{0}")]
    NoLog(NoLog),
    #[error("{0}")]
    NotKept(String),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The reader went away: it has read enough.
    #[error("nobody reads")]
    Unread,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::NoLog(NoLog::NoWorkload { .. } | NoLog::NoContainer { .. })
            | Self::NotKept(_) => UNKNOWN,
            Self::Configuration(_) => UNUSABLE,
            Self::NoLog(NoLog::Unknown { .. }) | Self::Unreadable(_) | Self::Begin(_) => SILENT,
        }
    }
}

/// Shows what was asked for.
#[must_use]
pub fn run(question: &Question, sources: &Sources) -> ExitCode {
    let failure = match answer(question, sources) {
        Ok(()) | Err(Failure::Unread) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    let remarks = format!("error: {failure}\n");
    Answer { remarks, code: failure.code(), ..Answer::default() }.report()
}

fn answer(question: &Question, sources: &Sources) -> Result<(), Failure> {
    let access = Config::only_access(sources, &Machine::this())?;
    // Fails only when there is a provider already, which then is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::Begin)?;
    let shown = LocalSet::new().block_on(&runtime, async {
        match question.previous {
            true => previous::show(question, &access).await,
            false => show(question, Found::of(&access, &question.workload).await).await,
        }
    });
    // A thread that reads a disk which hangs is not waited for.
    runtime.shutdown_background();
    shown
}

/// Shows the logs of those containers of `found` that are meant.
async fn show(question: &Question, found: Found) -> Result<(), Failure> {
    let Found { places, looked } = found;
    let chosen = chosen(question, &places, looked)?;
    let named: Vec<&Named> = chosen.iter().map(|place| &place.named).collect();
    let query = question.query(Clock::system().now().wall);
    let logs = chosen.iter().zip(prefixes(&named));
    // Each is opened when it is read: one that is followed may be silent, and holds up no other.
    let logs = logs.map(|(place, prefix)| {
        let log = once(place.log(&query, question.previous)).try_flatten();
        log.map(move |line| (prefix.clone(), line)).boxed_local()
    });
    match question.follow {
        true => write_all(select_all(logs)).await,
        false => write_all(iter(logs).flatten()).await,
    }
}

fn chosen<'a>(
    question: &Question,
    places: &'a [Place],
    looked: Looked,
) -> Result<Vec<&'a Place>, Failure> {
    let named: Vec<Named> = places.iter().map(|place| place.named.clone()).collect();
    let chosen = choose(&named, &question.workload, question.container.as_deref(), looked);
    let chosen = chosen.map_err(Failure::NoLog)?;
    Ok(chosen.into_iter().filter_map(|at| places.get(at)).collect())
}

async fn write_all(
    mut lines: impl Stream<Item = (Option<String>, Result<Vec<u8>, Unreadable>)> + Unpin,
) -> Result<(), Failure> {
    while let Some((prefix, line)) = lines.next().await {
        write(&line?, prefix.as_deref())?;
    }
    Ok(())
}

/// Writes a line at once: a reader waits for it.
fn write(line: &[u8], prefix: Option<&str>) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let line = lines::shown(line, prefix, output.is_terminal());
    output.write_all(&line).and_then(|()| output.flush()).map_err(|_| Failure::Unread)
}
