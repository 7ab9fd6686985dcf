//! Two slips that everybody makes in YAML, and that can be read in one way only.

use std::fmt;

use serde_json::Value;

use crate::control_plane_sync::specification::yaml_reason;
use crate::yaml::{self, YamlError};

/// A TAB in an indentation is tried as this many blanks, up to.
const MAX_TAB: usize = 8;
/// Most bytes that are read over again for the sake of slips: a file of a hundred kB may have some
/// three hundred.
const MAX_READ_AGAIN: usize = 32 * 1024 * 1024;

/// A text that parses, with its documents and what had to be mended. `Debug` shows the latter only:
/// documents may be secrets.
pub(super) struct Parsed {
    pub(super) text: String,
    pub(super) documents: Vec<Value>,
    pub(super) notices: Vec<String>,
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("notices", &self.notices).finish_non_exhaustive()
    }
}

/// Parses a YAML stream. When it does not parse as it stands, then a `cron` that starts with an
/// unquoted `*` (to YAML an alias, which can't be meant) is quoted, and a TAB in an indentation is
/// read as blanks if exactly one reading is valid.
///
/// # Errors
/// What is wrong and how to mend it.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let mut left = MAX_READ_AGAIN;
    let error = match with_cron_quoted(text, &mut left) {
        Ok(parsed) => return Ok(parsed),
        Err(error) => error,
    };
    let Some(tab) = text.lines().position(is_indented_with_tab) else {
        return Err(explained(text, &error));
    };
    let line = tab.saturating_add(1);
    let mut readings = (1..=MAX_TAB)
        .filter_map(|width| with_cron_quoted(&with_tabs_as_blanks(text, width), &mut left).ok());
    let forbidden = format!("line {line} is indented with a TAB, which YAML forbids; use blanks");
    let Some(mut first) = readings.next() else {
        return Err(format!("{forbidden} ({})", yaml_reason(&error)));
    };
    if readings.any(|other| other.documents != first.documents) {
        return Err(format!("{forbidden}: it can be read in more than one way"));
    }
    let notice = format!("line {line} is indented with a TAB, read as blanks; use blanks");
    first.notices.push(notice);
    Ok(first)
}

fn with_cron_quoted(text: &str, left: &mut usize) -> Result<Parsed, YamlError> {
    let mut text = text.to_owned();
    let mut notices = Vec::new();
    loop {
        let error = match yaml::documents(&text) {
            Ok(documents) => {
                return Ok(Parsed { text, documents, notices });
            }
            Err(error) => error,
        };
        // Only the very line that stops the parser is touched: the same words within a block of
        // text are none of our business. A quoted line is never quoted again, so this ends.
        let quoted = error.line().and_then(|line| quote_cron(&text, line));
        match quoted.zip(left.checked_sub(text.len())) {
            Some((quoted, still_left)) => {
                *left = still_left;
                notices.extend(error.line().map(|line| {
                    format!("the cron in line {line} starts with *, read as text; quote it")
                }));
                text = quoted;
            }
            None => return Err(error),
        }
    }
}

/// Quotes the value of `cron:` in this line (from 1) if it starts with `*`.
fn quote_cron(text: &str, line: usize) -> Option<String> {
    let index = line.checked_sub(1)?;
    let found = text.lines().nth(index)?;
    let at = found.find("cron:")?.checked_add("cron:".len())?;
    let (key, value) = found.split_at_checked(at)?;
    let before = key.strip_suffix("cron:")?.trim_start().trim_start_matches("- ");
    let value = value.trim();
    if !before.trim().is_empty() || !value.starts_with('*') {
        return None;
    }
    let (value, comment) = value.split_once(" #").unwrap_or((value, ""));
    let comment = if comment.is_empty() { String::new() } else { format!(" #{comment}") };
    let quoted = format!("{key} '{}'{comment}", value.trim().replace('\'', "''"));
    let mut lines: Vec<_> = text.lines().collect();
    *lines.get_mut(index)? = &quoted;
    Some(lines.join("\n") + "\n")
}

fn indentation(line: &str) -> (&str, &str) {
    let content = line.trim_start_matches([' ', '\t']);
    line.split_at(line.len().saturating_sub(content.len()))
}

fn is_indented_with_tab(line: &str) -> bool {
    indentation(line).0.contains('\t')
}

fn with_tabs_as_blanks(text: &str, width: usize) -> String {
    let blanks = " ".repeat(width);
    let mut replaced = String::with_capacity(text.len());
    for line in text.lines() {
        let (indentation, content) = indentation(line);
        replaced.push_str(&indentation.replace('\t', &blanks));
        replaced.push_str(content);
        replaced.push('\n');
    }
    replaced
}

fn explained(text: &str, error: &YamlError) -> String {
    let line = error.line().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let value = line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim_start());
    let hint = match value {
        Some(value) if value.starts_with('*') => {
            ": to YAML a value that starts with * is an alias; quote it"
        }
        Some(_) | None => "",
    };
    format!("it is not YAML: {}{hint}", yaml_reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn documents(text: &str) -> Result<Vec<Value>, String> {
        parse(text).map(|parsed| parsed.documents)
    }

    #[test]
    fn an_unquoted_cron_is_read_as_text() {
        for (cron, expected) in [
            (r"*\1 * * * *", r"*\1 * * * *"),
            ("* * * * *", "* * * * *"),
            ("*/5 * * * *", "*/5 * * * *"),
            ("*/5 * * * *  # often", "*/5 * * * *"),
            ("* * * * mon", "* * * * mon"),
            ("'*/5 * * * *'", "*/5 * * * *"),
            ("0 * * * *", "0 * * * *"),
        ] {
            let text = format!("a: 1\nspec:\n  cron: {cron}\n  b: 2\n");
            let expected = json!({"a": 1, "spec": {"cron": expected, "b": 2}});
            assert_eq!(documents(&text), Ok(vec![expected]), "{cron}");
        }
    }

    #[test]
    fn several_crons_are_mended_and_a_text_that_looks_like_one_is_left_alone() {
        let text = "cron: */1 * * * *\n---\nnote: |\n  cron: * * * * *\ncron: */2 * * * *\n";
        let expected = vec![
            json!({"cron": "*/1 * * * *"}),
            json!({"note": "cron: * * * * *\n", "cron": "*/2 * * * *"}),
        ];
        assert_eq!(documents(text), Ok(expected));
    }

    #[test]
    fn so_many_crons_that_reading_them_would_never_end_are_left_to_their_author() {
        let text = "- cron: */1 * * * *\n".repeat(20_000);
        let reason = documents(&text).unwrap_err();
        assert!(reason.contains("quote it"), "{reason}");
    }

    #[test]
    fn another_unquoted_star_is_explained() {
        let reason = documents("a:\n  pattern: *.txt\n").unwrap_err();
        assert!(reason.contains("quote it") && reason.contains("line 2"), "{reason}");
    }

    #[test]
    fn a_tab_that_can_be_read_in_one_way_is_read_so() {
        let cases = [
            ("a:\n\tb: 1\n", json!({"a": {"b": 1}})),
            ("a:\n  b: 1\n\tc: 2\n", json!({"a": {"b": 1, "c": 2}})),
            (
                "p:\n    \t- name: t\n        c:\n          - x\n",
                json!({"p": [{"name": "t", "c": ["x"]}]}),
            ),
        ];
        for (text, expected) in cases {
            let parsed = parse(text).unwrap();
            assert_eq!(parsed.documents, [expected], "{text}");
            assert_eq!(parsed.notices.len(), 1);
        }
    }

    #[test]
    fn a_tab_that_could_mean_several_things_is_refused_and_named() {
        for text in
            ["a:\n  b:\n\tc: 1\n", "a:\n\tb: 1\n   c: [\n", "t: |\n  x\n  \ty\nb:\n  c:\n\td: 1\n"]
        {
            let reason = documents(text).unwrap_err();
            assert!(reason.contains("TAB"), "{reason}");
        }
    }

    #[test]
    fn a_tab_within_a_block_of_text_is_kept() {
        let text = "makefile: |\n  all:\n  \techo\n";
        assert_eq!(documents(text), Ok(vec![json!({"makefile": "all:\n\techo\n"})]));
        assert!(parse(text).unwrap().notices.is_empty());
    }
}
