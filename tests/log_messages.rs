//! docs/logs.md and the sources name the same messages.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use actors::testing::log_table::{Row, rows};

/// The product's sources, without their tests.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("actors/src"), root.join("grammar/src")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.extend((!["tests", "testing"].contains(&name.as_str())).then_some(path));
            } else if name.ends_with(".rs") && !name.contains("test") {
                let text = fs::read_to_string(path).unwrap();
                let product = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
                let code = product.filter(|line| !line.trim_start().starts_with("//"));
                sources.push(code.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    sources
}

/// Returns what a source logs.
fn logged(source: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for severity in ["trace", "debug", "info", "warn", "error"] {
        for (place, call) in source.match_indices(&format!("{severity}!(")) {
            let before = source[..place].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                let arguments = arguments(&source[place + call.len()..]);
                rows.push(row(severity, &arguments));
            }
        }
    }
    rows
}

fn row(severity: &str, arguments: &[&str]) -> Row {
    let place = arguments.iter().position(|argument| argument.starts_with('"'));
    let place = place.unwrap_or_else(|| panic!("{severity} without a message: {arguments:?}"));
    assert_eq!(place, arguments.len() - 1, "the message is constant: {arguments:?}");
    let name = |argument: &&str| {
        let name = argument.split('=').next().unwrap_or_default();
        name.trim().trim_start_matches(['%', '?']).to_owned()
    };
    Row {
        message: arguments[place].trim_matches('"').to_owned(),
        severity: severity.to_uppercase(),
        fields: arguments[..place].iter().map(name).collect(),
    }
}

/// Splits what stands between the brackets of a call, the first of which was opened before `text`.
fn arguments(text: &str) -> Vec<&str> {
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    let (mut start, mut arguments) = (0, Vec::new());
    for (place, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                arguments.push(&text[start..place]);
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                arguments.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    let arguments = arguments.into_iter().map(str::trim);
    arguments.filter(|argument| !argument.is_empty()).collect()
}

#[test]
fn every_message_of_the_program_is_documented_and_no_other() {
    let program: BTreeSet<Row> = sources().iter().flat_map(|source| logged(source)).collect();
    let document: BTreeSet<Row> = rows().into_iter().collect();
    assert!(program.len() > 50, "{program:#?}");
    let missing: Vec<_> = program.difference(&document).collect();
    let gone: Vec<_> = document.difference(&program).collect();
    assert!(missing.is_empty() && gone.is_empty(), "missing: {missing:#?}\ngone: {gone:#?}");
    assert_eq!(document.len(), rows().len(), "each message stands there once");
}

/// Returns what the documents say that the log says: what is quoted in such a sentence.
fn quoted() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents = folder.chain([root.join("README.md"), root.join("CHANGELOG.md")]);
    let documents = documents.filter(|path| path.extension().is_some_and(|it| it == "md"));
    let mut quoted = Vec::new();
    for path in documents {
        let text = fs::read_to_string(&path).unwrap();
        // Every other part is within fences: commands, not what is said.
        let prose: Vec<_> = text.split("```").step_by(2).collect();
        let prose = prose.join(" ");
        let text = prose.split_whitespace().collect::<Vec<_>>().join(" ");
        for sentence in text.split(". ").flat_map(|text| text.split("; ")) {
            let speaks = ["log says", "logs say", "log shows", "in the log"];
            if speaks.iter().any(|words| sentence.contains(words)) {
                let quotes = sentence.split('`').skip(1).step_by(2).map(str::to_owned);
                // Fields, settings and commands are no messages.
                let is_message = |quote: &String| {
                    let ours = |c: char| c.is_ascii_lowercase() || " '…-".contains(c);
                    let is_command = quote.starts_with("device-worker-ng ");
                    let is_word = ["degraded", "ok"].contains(&quote.as_str());
                    quote.chars().all(ours) && !is_command && !is_word
                };
                let file = path.file_name().unwrap().to_string_lossy().into_owned();
                quoted.extend(quotes.filter(is_message).map(|quote| (file.clone(), quote)));
            }
        }
    }
    quoted
}

/// Returns whether a text that the program fills in may come to `quote`.
fn is_filled_in(quote: &str, literal: &str) -> bool {
    let mut rest = quote;
    let fixed = literal.split('{').map(|part| part.rsplit('}').next().unwrap_or_default());
    let fixed: Vec<_> = fixed.filter(|part| !part.is_empty()).collect();
    fixed.concat().len() > 8
        && fixed.iter().all(|part| match rest.split_once(part) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
}

#[test]
fn every_message_that_the_documents_quote_is_one_of_the_program() {
    let known: BTreeSet<_> = rows().into_iter().map(|row| row.message).collect();
    let sources = sources();
    let literals: Vec<&str> =
        sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2)).collect();
    let quoted = quoted();
    assert!(quoted.len() >= 4, "{quoted:?}");
    for (file, quote) in quoted {
        let is_known = known.contains(&quote)
            || literals
                .iter()
                .any(|literal| literal.contains('{') && is_filled_in(&quote, literal));
        assert!(is_known, "{file} says that the log says {quote:?}");
    }
}

#[test]
fn messages_are_lower_case_and_hold_no_data() {
    for Row { message, .. } in rows() {
        let is_plain = message.chars().all(|c| c.is_ascii_lowercase() || " '".contains(c));
        assert!(is_plain && !message.is_empty(), "{message:?}");
    }
}

#[test]
fn a_call_is_read_as_it_is_written() {
    let source = r#"
        info!("started");
        tracing::warn!(%error, path = %path.join(", \")").display(), ?left, "not (yet) done");
        info_span!("command", id = 1);
        my_info!("no");
    "#;
    let row = |severity: &str, message: &str, fields: &[&str]| Row {
        message: message.to_owned(),
        severity: severity.to_owned(),
        fields: fields.iter().map(|&field| field.to_owned()).collect(),
    };
    let expected =
        [row("INFO", "started", &[]), row("WARN", "not (yet) done", &["error", "left", "path"])];
    assert_eq!(logged(source), expected);
}
