//! What an author is told about a text that is not a condition.

use grammar::Condition;

/// Text, column, the whole message.
const MESSAGES: &[(&str, &str)] = &[
    ("", "column 1: found the end, expected a comparison such as `cpu > 20`"),
    ("   ", "column 4: found the end, expected a comparison such as `cpu > 20`"),
    ("x", "column 2: found the end, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    ("x = 3", "column 3: found `=`, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    ("x =< 3", "column 3: found `=<`, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    ("x & y", "column 3: found `&`, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    (
        "x >",
        "column 4: found the end, expected a number, a metric, a window such as `avg(cpu, 1m)` or `nil`",
    ),
    (
        "x > for 30s",
        "column 5: found `for`, expected a number, a metric, a window such as `avg(cpu, 1m)` or `nil`",
    ),
    (
        "x + ",
        "column 5: found the end, expected a number, a metric, a window such as `avg(cpu, 1m)` or `(`",
    ),
    (
        "x + 1 > 2 *",
        "column 12: found the end, expected a number, a metric, a window such as `avg(cpu, 1m)` or `(`",
    ),
    ("(x + 1) ", "column 9: found the end, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    ("(x + 1 > 3", "column 11: found the end, expected `&&`, `||` or `)`"),
    ("on sat,", "column 8: found the end, expected a day such as `sat`"),
    (
        "on sat x",
        "column 8: found `x`, expected `,`, `between`, `&&`, `||`, `for`, `until` or the end",
    ),
    (
        "between 8 and 9",
        "column 9: found `8`, expected a time of day such as `22:00` or `==`, `!=`, `<`, `<=`, `>` or `>=`",
    ),
    ("between 8:00 && 9:00", "column 14: found `&&`, expected `and`"),
    (
        "between 24:00 and 8:00",
        "column 9: found `24`, expected a time of day from `0:00` to `23:59`",
    ),
    (
        "between 8:00 and 24:01",
        "column 18: found `24`, expected a time of day from `0:00` to `24:00`",
    ),
    (
        "between 8:00 and 08:00",
        "column 18: found `08`, expected another time than the first (a whole day is `0:00` to `24:00`)",
    ),
    ("x == 3 &&", "column 10: found the end, expected a comparison such as `cpu > 20`"),
    ("&& x == 3", "column 1: found `&&`, expected a comparison such as `cpu > 20`"),
    ("x == 1.2.3", "column 9: found `.3`, expected `&&`, `||`, `for`, `until` or the end"),
    ("(x == 3", "column 8: found the end, expected `&&`, `||` or `)`"),
    ("x == 3)", "column 7: found `)`, expected `&&`, `||`, `for`, `until` or the end"),
    ("x == 3 y == 4", "column 10: found `==`, expected `&&`, `||`, `for`, `until` or the end"),
    ("x == 3 and y == 4", "column 8: found `and`, expected `&&`, `||`, `for`, `until` or the end"),
    (
        "!x == 3",
        "column 2: found `x`, expected `(`, for `!` negates a bracket, as in `!(cpu > 20)`",
    ),
    ("x > nil", "column 3: found `>`, expected `==` or `!=`, the only operators that `nil` takes"),
    ("x > 1e999", "column 5: found `1e999`, expected a number below 1.8e308"),
    ("avg(cpu) > 3", "column 8: found `)`, expected `,` and a span such as `1m`"),
    ("avg(3, 1m) > 3", "column 5: found `3`, expected a metric"),
    ("avg(cpu, 30) > 3", "column 12: found `)`, expected `ms`, `s`, `m`, `h` or `d`"),
    ("avg(cpu, 0s) > 3", "column 10: found `0s`, expected at least `1ms`"),
    ("x > 3 for", "column 10: found the end, expected a number"),
    ("x > 3 for 30y", "column 13: found `y`, expected `ms`, `s`, `m`, `h` or `d`"),
    ("x > 3 for 9000h", "column 11: found `9000h`, expected at most 366 days"),
    ("x > 3 for 3s && y > 3", "column 14: found `&&`, expected `until` or the end"),
    ("x > 3 || größe > 2", "column 12: found `öße`, expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    ("x > 3\u{7}", "column 6: found `\u{fffd}`, expected `&&`, `||`, `for`, `until` or the end"),
];

#[test]
fn a_message_says_where_what_was_found_and_what_was_expected() {
    for (text, message) in MESSAGES {
        let error = Condition::parse(text).expect_err(text);
        assert_eq!(error.to_string(), *message, "{text:?}");
    }
}

#[test]
fn the_parts_of_a_message_are_at_hand() {
    let error = Condition::parse("x = 3").expect_err("not a condition");
    assert_eq!(error.column(), 3);
    assert_eq!(error.found(), "`=`");
    assert_eq!(error.expected(), "`==`, `!=`, `<`, `<=`, `>` or `>=`");
}

#[test]
fn a_message_never_names_a_rule() {
    for (text, _) in MESSAGES {
        let message = Condition::parse(text).expect_err(text).to_string();
        for rule in
            ["or_expr", "and_expr", "for_word", "time_unit", "quantity", "EOI", "something else"]
        {
            assert!(!message.contains(rule), "{message}");
        }
    }
}

#[test]
fn a_picture_has_its_caret_below_the_mistake() {
    for (text, picture) in [
        (
            "cpu > 20 && mem = 3",
            "cpu > 20 && mem = 3\n                ^ expected `==`, `!=`, `<`, `<=`, `>` or `>=`",
        ),
        ("größe.x > ", "größe.x >\n  ^ expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
        ("x > 3\n\t&& y", "x > 3  && y\n           ^ expected `==`, `!=`, `<`, `<=`, `>` or `>=`"),
    ] {
        let error = Condition::parse(text).expect_err(text);
        assert_eq!(error.picture(), picture);
    }
}

#[test]
fn a_picture_of_a_long_text_shows_the_part_around_the_mistake() {
    let text = format!("{}x = 3{}", "x > 3 || ".repeat(50), " || x > 3".repeat(50));
    let error = Condition::parse(&text).expect_err("not a condition");
    assert_eq!(error.column(), 453);
    let lines: Vec<String> = error.picture().lines().map(str::to_owned).collect();
    let caret = lines[1].chars().position(|c| c == '^').expect("a caret");
    assert_eq!(lines[0].chars().nth(caret), Some('='));
    assert!(lines[0].starts_with('…') && lines[0].ends_with('…'));
    assert!(lines[0].chars().count() <= 82);
}
