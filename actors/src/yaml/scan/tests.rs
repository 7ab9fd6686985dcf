//! The parser itself says, when a text breaks off, which bracket it has open: so do we.

use serde::de::{Deserialize as _, IgnoredAny};

use super::*;

fn scanned(text: &str) -> Scanner<'_> {
    let mut scanner = Scanner::new(text);
    while scanner.step() != Step::End {}
    scanner
}

/// The parser's complaint about the end of `text`.
fn complaint(text: &str) -> Option<String> {
    let documents = serde_yaml::Deserializer::from_str(text);
    let failed = |document| IgnoredAny::deserialize(document).err();
    documents.into_iter().find_map(failed).map(|error| error.to_string())
}

/// Where the parser found a collection whose end it misses, from 0; `Some(None)` where it says only
/// that there is one.
fn missed_end(complaint: &str) -> Option<Option<(usize, isize)>> {
    let (_, of) = complaint.split_once("while parsing a flow ")?;
    if of.starts_with("node") {
        return Some(None);
    }
    let numbers = of.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok());
    let place: Vec<usize> = numbers.collect();
    // The very first place is not named.
    let (line, column) = (place.first().unwrap_or(&1), place.get(1).unwrap_or(&1));
    Some(Some((line - 1, isize::try_from(column - 1).unwrap())))
}

/// The line after the last character, from 1, where the parser misses what should follow.
fn end_of(text: &str) -> usize {
    let mut cursor = Cursor::new(text);
    while cursor.byte(0).is_some() {
        if !cursor.skip_break() {
            cursor.skip();
        }
    }
    cursor.line + 1 + usize::from(cursor.column > 0)
}

/// What a text at random is made of.
const PIECES: &[&str] = &[
    "{", "}", "[", "]", "\"", "'", "#", " #", ":", ": ", "- ", "-", ",", ", ", "|", "|\n", ">",
    "> ", "\n", "\n ", "\n  ", " ", "  ", "\t", "!", "!<a>", "&", "*", "%", "a", "b", "\\", "\r\n",
    "\u{85}", "\u{2028}", "\u{feff}", "---\n", "...", "é", "1", "|2\n", "''", "a: ", "- a: ", "~",
];

#[test]
fn what_is_open_at_the_end_is_what_the_parser_misses_the_end_of() {
    let mut random = fastrand::Rng::with_seed(14);
    let (mut whole, mut broken) = (0, 0);
    for _ in 0..60_000 {
        let pieces = random.usize(1..15);
        let text: String = (0..pieces).filter_map(|_| random.choice(PIECES)).copied().collect();
        let scanner = scanned(&text);
        let Some(complaint) = complaint(&text) else {
            whole += 1;
            assert_eq!(scanner.opened(), [], "{text:?}");
            continue;
        };
        let at_end = format!("at line {} column 1, ", end_of(&text));
        if let Some(missed) = missed_end(&complaint).filter(|_| complaint.contains(&at_end)) {
            broken += 1;
            let innermost = scanner.opened().last().copied();
            assert!(innermost.is_some(), "{text:?}: {complaint}");
            assert!(missed.is_none() || missed == innermost, "{text:?}: {complaint}");
        }
    }
    assert!(whole > 10_000 && broken > 500, "{whole} whole, {broken} broken");
}

#[test]
fn brackets_count_where_they_are_brackets() {
    for (text, depth) in [
        ("{\"}\": {\"}\": ", 2),
        ("{'}': [']]]', {", 3),
        ("{a: }} {", 1),
        ("a: it's }\nb: {'", 1),
        ("# {\n[", 1),
        ("a: |\n  {[{[\n  \"\nb: [", 1),
        ("a: >-\n\n    {[\n   [", 1),
        ("a: [{[ text\n  {[", 5),
        ("a: text {[\n  {[\nb: [", 1),
        ("[!<]]]> a, &x [", 2),
        ("[a # ]\n[", 2),
        ("[a# ]", 0),
        ("\"\\\"{\" : [", 1),
        ("- \"{\\\n  {\" \n- {", 1),
        ("a: '{\u{85}{'\nb: {", 1),
        ("[ # ]\u{85}]", 0),
    ] {
        assert_eq!(scanned(text).opened().len(), depth, "{text:?}");
    }
}

#[test]
fn ordinary_text_costs_what_it_shows() {
    let text = "%YAML 1.1\n---\nkind: Pod # of ours\nspec:\n- name: a\n  args: [x, 'y  z']\n";
    // Four keys with their colons, a dash, four scalars, two brackets and a comma.
    let cost = scanned(text).cost();
    assert_eq!((cost.tokens, cost.directives), (16, 1));
    assert!(cost.wiped < 500, "{cost:?}");
}

#[test]
fn white_space_costs_the_longest_run_for_each_gap() {
    let long = 100_000;
    for (open, gap, close) in [
        ("a", ' ', ""),
        ("\"a", ' ', "\""),
        ("'a", '\n', "'"),
        ("[a", '\t', "]"),
        ("a: |\n  x", '\n', ""),
        ("a: >\n  x", '\n', ""),
    ] {
        let run = gap.to_string().repeat(long);
        let text = format!("{open}{run}{}{close}", "  b\n\n".repeat(1_000));
        let wiped = scanned(&text).cost().wiped;
        assert!(wiped > long * 900, "{open:?} {gap:?}: {wiped}");
        // Each by itself is nothing.
        let text = format!("- a{}\n", " ".repeat(99)).repeat(1_000);
        assert!(scanned(&text).cost().wiped < text.len() * 5);
    }
}
