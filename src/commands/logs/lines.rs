//! Lines of logs as they are shown. Pure.

use chrono::{DateTime, Utc};
use grammar::printable;

/// Returns a line as it is shown: on a terminal only what commands none, elsewhere byte by byte.
pub(super) fn shown(line: &[u8], prefix: Option<&str>, is_terminal: bool) -> Vec<u8> {
    let prefix = prefix.map(|prefix| format!("[{}] ", printable(prefix))).unwrap_or_default();
    let mut bytes = prefix.into_bytes();
    if is_terminal {
        let text = String::from_utf8_lossy(line);
        let text = without_colours(text.trim_end_matches('\r'));
        let parts: Vec<_> = text.split('\t').map(printable).collect();
        bytes.extend_from_slice(parts.join("\t").as_bytes());
    } else {
        bytes.extend_from_slice(line);
    }
    bytes.push(b'\n');
    bytes
}

/// Takes out colours: an escape character, `[`, digits and semicolons, `m`.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = match end.strip_prefix('m') {
            Some(end) => end,
            None => {
                plain.push_str("\x1b[");
                after
            }
        };
    }
    plain.push_str(rest);
    plain
}

/// Which lines of a kept log are meant.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::commands) struct Cut {
    /// From this moment on.
    pub(in crate::commands) since: Option<DateTime<Utc>>,
    /// The last ones.
    pub(in crate::commands) tail: Option<u32>,
    /// Whether they keep their times.
    pub(in crate::commands) timestamps: bool,
}

/// Returns the lines of a kept log that are meant. Each begins with its time.
pub(in crate::commands) fn of_kept(log: &str, cut: Cut) -> Vec<&str> {
    let is_meant = |line: &&str| {
        let at = line.split(' ').next().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        cut.since.is_none_or(|since| at.is_none_or(|at| at >= since))
    };
    let lines: Vec<&str> = log.lines().filter(is_meant).collect();
    let tail = cut.tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(lines.len());
    let last = lines.get(lines.len().saturating_sub(tail)..).unwrap_or_default();
    let untimed = |line| str::split_once(line, ' ').map_or("", |(_, text)| text);
    last.iter().map(|line| if cut.timestamps { *line } else { untimed(line) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_commands_no_terminal_and_is_whole_elsewhere() {
        for (line, prefix, on_terminal, elsewhere) in [
            (&b"plain"[..], None, "plain\n", &b"plain\n"[..]),
            (b"plain", Some("app"), "[app] plain\n", b"[app] plain\n"),
            (b"a\tb\r", None, "a\tb\n", b"a\tb\r\n"),
            (b"\x1b[1;31mred\x1b[0m", None, "red\n", b"\x1b[1;31mred\x1b[0m\n"),
            (b"\x1b[2J", None, "\\u{1b}[2J\n", b"\x1b[2J\n"),
            (b"\xff", None, "\u{fffd}\n", b"\xff\n"),
        ] {
            let terminal = String::from_utf8(shown(line, prefix, true)).unwrap();
            assert_eq!(terminal, on_terminal);
            assert_eq!(shown(line, prefix, false), elsewhere);
        }
    }

    #[test]
    fn of_a_kept_log_the_lines_are_shown_that_are_meant() {
        const LOG: &str = "2027-01-15T08:00:00Z one\n2027-01-15T09:00:00+01:00 two 2\n\
                           2027-01-15T08:00:02.5Z \n2027-01-15T08:00:03Z four\n";
        let since = DateTime::from_timestamp(1_800_000_002, 0);
        for (cut, expected) in [
            (Cut::default(), &["one", "two 2", "", "four"][..]),
            (Cut { tail: Some(2), ..Cut::default() }, &["", "four"]),
            (Cut { tail: Some(0), ..Cut::default() }, &[]),
            (Cut { since, ..Cut::default() }, &["", "four"]),
            (Cut { since, tail: Some(1), timestamps: true }, &["2027-01-15T08:00:03Z four"]),
        ] {
            assert_eq!(of_kept(LOG, cut), expected, "{cut:?}");
        }
    }
}
