//! Words, colours and columns of what a person reads. Pure.

use chrono::{DateTime, Utc};
use grammar::printable;
use serde_json::Value;

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tint {
    Plain,
    Head,
    Good,
    Bad,
    Quiet,
}

/// Whether there is colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint {
    pub(super) colour: bool,
}

impl Paint {
    fn tinted(self, text: &str, tint: Tint) -> String {
        let code = match tint {
            Tint::Plain => return text.to_owned(),
            Tint::Head => "1",
            Tint::Good => "32",
            Tint::Bad => "31",
            Tint::Quiet => "2",
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Returns the colour of a word of the status.
pub(super) fn tint(word: &str) -> Tint {
    match word {
        "running" | "ok" | "true" | "available" => Tint::Good,
        "crashed" | "down" | "degraded" | "failed" | "unavailable" | "slow" => Tint::Bad,
        _ => Tint::Plain,
    }
}

/// One cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tint: Tint,
}

impl Cell {
    /// Makes a cell of what is printable: posted texts are not trusted.
    pub(super) fn new(text: &str, tint: Tint) -> Self {
        Self { text: printable(text).into_owned(), tint }
    }

    /// Makes a cell in the colour of its word.
    pub(super) fn word(text: &str) -> Self {
        Self::new(text, tint(text))
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(&text, Tint::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text, Tint::Plain)
    }
}

/// Returns rows as lines with aligned columns, each line indented by so many spaces.
pub(super) fn columns<const N: usize>(rows: &[[Cell; N]], indent: usize, paint: Paint) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let last = row.iter().rposition(|cell| !cell.text.is_empty());
        let Some(last) = last else { continue };
        text += &" ".repeat(indent);
        for (index, (cell, width)) in row.iter().zip(&widths).enumerate().take(last + 1) {
            text += &paint.tinted(&cell.text, cell.tint);
            if index < last {
                text += &" ".repeat(width.saturating_sub(cell.text.chars().count()) + 2);
            }
        }
        text.push('\n');
    }
    text
}

/// Returns the heads of columns.
pub(super) fn heads<const N: usize>(heads: [&str; N]) -> [Cell; N] {
    heads.map(|head| Cell::new(head, Tint::Head))
}

/// Returns a span of time in its largest unit, `12 s`, `5 min`, `3 h`, `2 d`.
pub(super) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// Returns a value as people read it, `45.1 GiB`, `1.4 GHz`, `36.6 C`: bytes and hertz in their largest
/// unit, and any other as it was posted.
pub(super) fn quantity(value: f64, unit: Option<&str>) -> String {
    let (base, units): (f64, &[&str]) = match unit {
        Some("B") => (1_024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
        Some("Hz") => (1_000.0, &["Hz", "kHz", "MHz", "GHz"]),
        Some(unit) => return format!("{} {unit}", number(value)),
        None => return number(value),
    };
    let mut scaled = value;
    let mut units = units.iter().peekable();
    let mut unit = units.next();
    // What is rounded to the base is one of the next.
    while scaled.abs() >= base - 0.05 && units.peek().is_some() {
        scaled /= base;
        unit = units.next();
    }
    format!("{} {}", (scaled * 10.0).round() / 10.0, unit.unwrap_or(&""))
}

/// Returns a number in six digits, or as many as there are before its point.
fn number(value: f64) -> String {
    let short = match value.abs() {
        1e5.. => value.round(),
        _ => format!("{value:.5e}").parse().unwrap_or(value),
    };
    match short.abs() {
        0.0 | 1e-6..1e21 => short.to_string(),
        _ => format!("{short:e}"),
    }
}

/// Returns the time that a field holds.
pub(super) fn moment(field: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(field.as_str()?).ok().map(|at| at.to_utc())
}

/// Returns how long ago the time of a field was, by the clock of the status.
pub(super) fn ago(status: &Value, field: &Value) -> Option<String> {
    Some(span((moment(&status["time"])? - moment(field)?).num_seconds()))
}

/// Returns the text of a field, empty where it has none.
pub(super) fn text(field: &Value) -> &str {
    field.as_str().unwrap_or_default()
}

/// Returns the members of a list, none where it is null.
pub(super) fn list(field: &Value) -> impl Iterator<Item = &Value> {
    field.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_in_its_largest_unit() {
        for (seconds, shown) in [
            (-1, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_199, "119 min"),
            (7_200, "2 h"),
            (172_799, "47 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(span(seconds), shown);
        }
    }

    #[test]
    fn a_quantity_is_shown_in_its_largest_unit() {
        // The page of the listener is held to the same table by tests/ui.
        let table = include_str!("../../../tests/data/quantities.tsv");
        let rows = table.lines().filter(|line| !line.starts_with('#'));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split('\t').collect()).collect();
        assert!(rows.len() > 15);
        for row in rows {
            let [value, unit, shown] = row[..] else { panic!("{row:?}") };
            let unit = Some(unit).filter(|unit| !unit.is_empty());
            assert_eq!(quantity(value.parse().unwrap(), unit), shown);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_whatever_its_colour() {
        let rows = [heads(["a", "b", "c"]), ["long".into(), Cell::word("running"), "".into()]];
        assert_eq!(
            columns(&rows, 1, Paint { colour: false }),
            " a     b        c\n long  running\n"
        );
        let painted = columns(&rows, 0, Paint { colour: true });
        assert!(painted.contains("long  \u{1b}[32mrunning\u{1b}[0m\n"), "{painted:?}");
    }

    #[test]
    fn no_text_of_others_commands_the_terminal() {
        let rows = [["\u{1b}[2Jcpu\n\u{202e}".into()]];
        let shown = columns::<1>(&rows, 0, Paint { colour: true });
        assert_eq!(shown, "\\u{1b}[2Jcpu\\n\\u{202e}\n");
    }
}
