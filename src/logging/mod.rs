//! Log lines on standard output: JSON for machines, or coloured text for people.

mod fields;
mod journal;
mod line;

use std::any::Any;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

use actors::clock::Clock;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber, error};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

use crate::config::{LogFormat, LogLevel};
use fields::Fields;
use line::{Look, render};

/// Why logging could not be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level is none that the filter knows.
    #[error("failed to read the log level")]
    Level(#[source] tracing_subscriber::filter::ParseError),
    /// Something else in this process logs already.
    #[error("failed to start logging")]
    Start(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// Logging has ended.
    #[error("failed to change the log level")]
    Change(#[source] reload::Error),
}

/// Changes what is logged while the agent runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
}

impl LogHandle {
    /// Logs by `level` from now on.
    ///
    /// # Errors
    /// The level could not be changed; the old one stays.
    pub fn set_level(&self, level: &LogLevel) -> Result<(), LoggingError> {
        self.filter.reload(filter(level)?).map_err(LoggingError::Change)
    }
}

/// Starts logging to standard output for the whole process; panics are logged too.
///
/// # Errors
/// The level is unknown, or logging was started before.
pub fn start(level: &LogLevel, format: LogFormat) -> Result<LogHandle, LoggingError> {
    let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let look = match format {
        LogFormat::Json => Look::Json,
        LogFormat::Pretty => Look::Pretty { colour },
    };
    let output = Output { look, priorities: journal::is_stdout(), stream: io::stdout() };
    let (subscriber, handle) = subscriber(level, output)?;
    tracing::subscriber::set_global_default(subscriber).map_err(LoggingError::Start)?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(handle)
}

/// Where lines go, and what they are there.
struct Output<W> {
    look: Look,
    /// Whether the journal reads them.
    priorities: bool,
    stream: W,
}

fn subscriber(
    level: &LogLevel,
    output: Output<impl Write + Send + 'static>,
) -> Result<(impl Subscriber + Send + Sync, LogHandle), LoggingError> {
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let Output { look, priorities, stream } = output;
    let (clock, stream) = (Clock::system(), Mutex::new(Box::new(stream) as Box<_>));
    let lines = Lines { look, priorities, clock, stream };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok((subscriber, LogHandle { filter: handle }))
}

fn filter(level: &LogLevel) -> Result<Targets, LoggingError> {
    level.directives().parse().map_err(LoggingError::Level)
}

/// Supervision keeps the agent running after a panic; this keeps the panic from being overlooked.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let thread = std::thread::current();
    let error = payload_text(panic.payload());
    error!(location, thread = thread.name(), error, "panicked");
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without a text")
}

/// Writes each event as one line, with the fields of the spans around it.
struct Lines {
    look: Look,
    /// Whether each begins with its priority.
    priorities: bool,
    clock: Clock,
    stream: Mutex<Box<dyn Write + Send>>,
}

impl<S> Layer<S> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.add_missing(outer);
            }
        }
        let mut line = render(self.look, self.clock.now().wall, event.metadata(), &fields);
        if self.priorities {
            line.insert_str(0, journal::priority(*event.metadata().level()));
        }
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        // A reader that went away must not end the agent, and nothing is left to report to.
        let _ = stream.write_all(line.as_bytes()).and_then(|()| stream.flush());
    }
}

#[cfg(test)]
mod tests;
