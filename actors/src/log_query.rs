//! What of a container's log is asked for, whichever runtime has it.

use chrono::{DateTime, Utc};
use futures_util::stream::LocalBoxStream;

/// The lines of a log, each without its end, as they come.
pub type LogLines<E> = LocalBoxStream<'static, Result<Vec<u8>, E>>;

/// What of a container's log is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// Go on with what is written from now on, until the container ends.
    pub follow: bool,
    /// Only what was written from this moment on.
    pub since: Option<DateTime<Utc>>,
    /// Only so many of the last lines.
    pub tail: Option<u32>,
    /// Whether each line begins with its time.
    pub timestamps: bool,
}
