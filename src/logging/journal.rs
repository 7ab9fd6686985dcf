//! systemd's journal at the other end of standard output: it reads a priority before each line.

use std::io;

use tracing::Level;

/// Tells a process the device and inode of the stream that leads to the journal.
const STREAM: &str = "JOURNAL_STREAM";

/// Returns whether standard output leads to the journal, by systemd.exec(5). The variable alone
/// says nothing: it is inherited by what is started with its output elsewhere.
pub(super) fn is_stdout() -> bool {
    let stream = std::env::var(STREAM);
    let stdout = rustix::fs::fstat(io::stdout());
    stream
        .is_ok_and(|stream| stdout.is_ok_and(|stdout| names(&stream, stdout.st_dev, stdout.st_ino)))
}

/// Returns whether `stream`, `8:1234`, is that device and inode.
fn names(stream: &str, device: u64, inode: u64) -> bool {
    let parts = stream.split_once(':');
    parts.is_some_and(|(one, other)| one.parse() == Ok(device) && other.parse() == Ok(inode))
}

/// Returns what the journal reads before a line and takes off again, by sd-daemon(3).
pub(super) fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_known_by_both_its_numbers() {
        for (stream, is_it) in [
            ("8:1234", true),
            ("8:1235", false),
            ("9:1234", false),
            ("1234:8", false),
            ("8", false),
            ("", false),
            ("8:", false),
            ("8:1234:1", false),
            ("8:1234 ", false),
            ("-8:1234", false),
        ] {
            assert_eq!(names(stream, 8, 1234), is_it, "{stream:?}");
        }
    }

    #[test]
    fn more_severe_levels_have_smaller_priorities() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        assert_eq!(levels.map(priority), ["<3>", "<4>", "<6>", "<7>", "<7>"]);
    }
}
