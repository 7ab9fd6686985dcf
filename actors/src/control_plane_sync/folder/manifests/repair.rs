//! Slips that everybody makes in YAML, and that can be read in one way only.

use crate::yaml::{self, Document, YamlError};

/// A TAB in an indentation is tried as this many blanks, up to.
const MAX_TAB: usize = 8;
/// Most bytes that are read over again for the sake of slips: a file of a hundred kB may have some
/// three hundred.
const MAX_READ_AGAIN: usize = 32 * 1024 * 1024;

/// Keys whose values are text, and how such a value may begin that to YAML is something else.
const QUOTED: &[(&str, &str)] = &[("cron", "*@"), ("expression", "!%@*&`")];

/// The documents of a text, each or why it cannot be read, and what had to be mended.
pub(super) struct Parsed {
    pub(super) documents: Vec<Result<Document, String>>,
    pub(super) notices: Vec<String>,
}

/// A text with the mistakes mended that can be.
struct Mended {
    text: String,
    documents: Vec<Result<Document, YamlError>>,
    notices: Vec<String>,
}

impl Mended {
    /// Returns the first thing that is still wrong.
    fn error(&self) -> Option<&YamlError> {
        self.documents.iter().find_map(|document| document.as_ref().err())
    }

    fn is_same(&self, other: &Self) -> bool {
        let roots = |it: &Self| -> Vec<Document> {
            it.documents.iter().filter_map(|document| document.clone().ok()).collect()
        };
        let (ours, others) = (roots(self), roots(other));
        ours.len() == others.len()
            && ours.iter().zip(&others).all(|(ours, other)| ours.root() == other.root())
    }
}

/// Parses a YAML stream. When it does not parse as it stands, then a `cron` or an `expression`
/// that starts with an unquoted `*`, `@`, `!` or `%` (to YAML an alias, a tag or nothing, which can't
/// be meant) is quoted, and a TAB in an indentation is read as blanks if exactly one reading is valid.
pub(super) fn parse(text: &str) -> Parsed {
    let mut left = MAX_READ_AGAIN;
    let mended = with_quotes(text, &mut left);
    let Some(error) = mended.error() else { return told(mended, None) };
    let Some(tab) = text.lines().position(is_indented_with_tab) else {
        return told(mended, None);
    };
    let line = tab.saturating_add(1);
    let forbidden = format!("line {line} is indented with a TAB, which YAML forbids; use blanks");
    let mut readings = (1..=MAX_TAB)
        .map(|width| with_quotes(&with_tabs_as_blanks(text, width), &mut left))
        .filter(|reading| reading.error().is_none());
    let Some(mut first) = readings.next() else {
        let why = format!("{forbidden} ({error})");
        return told(mended, Some(why));
    };
    if readings.any(|other| !other.is_same(&first)) {
        return told(mended, Some(format!("{forbidden}: it can be read in more than one way")));
    }
    let notice = format!("line {line} is indented with a TAB, read as blanks; use blanks");
    first.notices.push(notice);
    told(first, None)
}

/// Puts errors into words; `why` is said of the first one instead of its own.
fn told(mended: Mended, mut why: Option<String>) -> Parsed {
    let Mended { text, documents, notices } = mended;
    let explained = |error: YamlError| why.take().unwrap_or_else(|| explained(&text, &error));
    let mut explained = explained;
    let documents =
        documents.into_iter().map(|document| document.map_err(&mut explained)).collect();
    Parsed { documents, notices }
}

fn with_quotes(text: &str, left: &mut usize) -> Mended {
    let mut mended =
        Mended { text: text.to_owned(), documents: yaml::documents(text), notices: Vec::new() };
    loop {
        // Only the very line that stops the parser is touched: the same words within a block of
        // text are none of our business. A quoted line is never quoted again, so this ends.
        let lines = mended.documents.iter().filter_map(wrong_line);
        let quoted = lines.filter_map(|line| Some((line, quote(&mended.text, line)?))).next();
        match quoted.zip(left.checked_sub(mended.text.len())) {
            Some(((line, (key, first, quoted)), still_left)) => {
                *left = still_left;
                mended.notices.push(format!(
                    "the {key} in line {line} starts with {first}, read as text; quote it"
                ));
                mended.documents = yaml::documents(&quoted);
                mended.text = quoted;
            }
            None => return mended,
        }
    }
}

/// Returns where a document stops to be YAML, or has a value that YAML takes for a tag.
fn wrong_line(document: &Result<Document, YamlError>) -> Option<usize> {
    match document {
        Ok(document) => document.root().first_tagged().map(|at| at.line),
        Err(error) => error.line(),
    }
}

/// Quotes the value in this line (from 1) if its key is one of [`QUOTED`] and it begins so that it
/// can be nothing but text. Returns the key, the value's first character, and the text.
fn quote(text: &str, line: usize) -> Option<(&'static str, char, String)> {
    let index = line.checked_sub(1)?;
    let found = text.lines().nth(index)?;
    let begin = found.trim_start_matches([' ', '-']);
    let (key, starts) = QUOTED
        .iter()
        .find(|(key, _)| begin.strip_prefix(key).is_some_and(|rest| rest.starts_with(": ")))?;
    let (before, value) = found.split_once(": ")?;
    let value = value.trim();
    let first = value.chars().next().filter(|first| starts.contains(*first))?;
    let (value, comment) = value.split_once(" #").unwrap_or((value, ""));
    let comment = if comment.is_empty() { String::new() } else { format!(" #{comment}") };
    let quoted = format!("{before}: '{}'{comment}", value.trim().replace('\'', "''"));
    let mut lines: Vec<_> = text.lines().collect();
    *lines.get_mut(index)? = &quoted;
    Some((key, first, lines.join("\n") + "\n"))
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
    let first = value.and_then(|value| value.chars().next());
    let hint = match first.filter(|first| "*&!%@`".contains(*first)) {
        Some(first) => format!(": to YAML a value that starts with {first} is no text; quote it"),
        None => String::new(),
    };
    format!("it is not YAML: {error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn documents(text: &str) -> Result<Vec<Value>, String> {
        values(parse(text))
    }

    fn values(parsed: Parsed) -> Result<Vec<Value>, String> {
        let read = |document: Document| document.read().map(|(value, _)| value).unwrap();
        parsed.documents.into_iter().map(|document| document.map(read)).collect()
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
    fn values_that_yaml_takes_for_something_else_are_read_as_text() {
        for (line, expected) in [
            ("cron: @daily", json!({"cron": "@daily"})),
            ("cron: @daily # at night", json!({"cron": "@daily"})),
            ("expression: !(door == 1)", json!({"expression": "!(door == 1)"})),
            (
                "expression: !(spindle_rpm > 0) && door == 0",
                json!({"expression": "!(spindle_rpm > 0) && door == 0"}),
            ),
            ("expression: %cpu > 3", json!({"expression": "%cpu > 3"})),
        ] {
            for (before, after) in [("", ""), ("kind: a\n", "other: b\n"), ("- x: 1\n  ", "")] {
                let parsed = parse(&format!("{before}{line}\n{after}"));
                assert_eq!(parsed.notices.len(), 1, "{line}");
                assert!(parsed.notices[0].contains("read as text; quote it"));
                let read = values(parsed).unwrap().remove(0);
                let read = read.get(0).unwrap_or(&read);
                for (key, value) in expected.as_object().unwrap() {
                    assert_eq!(read.get(key), Some(value), "{line}");
                }
            }
        }
        let reason = documents("name: @daily\n").unwrap_err();
        assert!(reason.contains("starts with @ is no text; quote it"), "{reason}");
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
            let parsed = parse(text);
            assert_eq!(parsed.notices.len(), 1);
            assert_eq!(values(parsed), Ok(vec![expected]), "{text}");
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
        assert!(parse(text).notices.is_empty());
    }
}
