//! What an error in a cron expression says.

use super::super::error::SHOWN;
use super::*;

fn error(text: &str) -> CronError {
    parse(text).unwrap_err()
}

#[test]
fn an_error_names_field_column_and_what_is_expected() {
    let number_0_59 = "a number from 0 to 59";
    let five = "five fields: minute, hour, day of month, month, day of week";
    let month = "a number from 1 to 12 or a name from jan to dec";
    let week = "a number from 0 to 7 or a name from sun to sat";
    let table = [
        ("60 * * * *", "minute", 1, "\"60\"", number_0_59),
        ("1,,2 * * * *", "minute", 3, "nothing", number_0_59),
        ("-1 * * * *", "minute", 1, "\"-1\"", number_0_59),
        ("1--2 * * * *", "minute", 3, "\"-2\"", number_0_59),
        ("5- * * * *", "minute", 1, "\"5-\"", number_0_59),
        ("*5 * * * *", "minute", 1, "\"*5\"", number_0_59),
        ("+5 * * * *", "minute", 1, "\"+5\"", number_0_59),
        ("٣ * * * *", "minute", 1, "\"٣\"", number_0_59),
        ("99999999999 * * * *", "minute", 1, "\"99999999999\"", number_0_59),
        ("*/0 * * * *", "minute", 3, "\"0\"", "a step: a number from 1"),
        ("*/ * * * *", "minute", 3, "nothing", "a step: a number from 1"),
        ("*/2/3 * * * *", "minute", 3, "\"2/3\"", "a step: a number from 1"),
        ("*  24 * * *", "hour", 4, "\"24\"", "a number from 0 to 23"),
        ("* 1,2-99 * * *", "hour", 7, "\"99\"", "a number from 0 to 23"),
        ("* * 0 * *", "day of month", 5, "\"0\"", "a number from 1 to 31"),
        ("* * * 13 *", "month", 7, "\"13\"", month),
        ("* * * january *", "month", 7, "\"january\"", month),
        ("* * * * 8", "day of week", 9, "\"8\"", week),
        ("* * * * mon-", "day of week", 9, "\"mon-\"", week),
        ("* * * *", "day of week", 8, "nothing", five),
        ("* * \n", "day of month", 4, "nothing", five),
        ("", "minute", 1, "nothing", five),
        (
            "0 * * * * *",
            "sixth field",
            11,
            "\"*\"",
            "five fields only: there is none for seconds or years",
        ),
        (
            "@reboot",
            "macro",
            1,
            "\"@reboot\"",
            "@hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually",
        ),
        ("@daily *", "macro", 8, "\"*\"", "nothing after @daily"),
        (
            "* 22-4 * * *",
            "hour",
            3,
            "\"22-4\"",
            "a range from the lower to the higher value; \
             one that wraps around is written as two, as in \"22-23,0-4\"",
        ),
    ];
    for (text, field, column, found, expected) in table {
        let error = error(text);
        let all = (error.field(), error.column(), error.found(), error.expected());
        assert_eq!(all, (field, column, found, expected), "{text}");
    }
}

#[test]
fn an_error_reads_as_one_sentence() {
    assert_eq!(
        error("* 24 * * *").to_string(),
        "failed to read the cron expression: hour, column 3: \
         found \"24\", expected a number from 0 to 23"
    );
}

#[test]
fn carets_stand_under_what_is_wrong() {
    let table = [
        ("* 24 * * *", "* 24 * * *\n  ^^"),
        ("*\t24 * * *", "* 24 * * *\n  ^^"),
        ("* * *", "* * *\n     ^"),
        ("ü * * * *", "ü * * * *\n^"),
    ];
    for (text, picture) in table {
        assert_eq!(error(text).picture(), picture);
    }
}

#[test]
fn a_long_expression_is_shown_in_part() {
    let text = format!("{}77{} * * * *", "1,".repeat(1000), ",2".repeat(1000));
    let picture = error(&text).picture();
    let (shown, carets) = picture.split_once('\n').unwrap();
    assert_eq!(shown.chars().count(), SHOWN + 2);
    let under: String = shown
        .chars()
        .zip(carets.chars())
        .filter_map(|(shown, caret)| (caret == '^').then_some(shown))
        .collect();
    assert_eq!(under, "77");
    let error = error(&"x".repeat(10_000));
    assert!(error.to_string().len() < 300 && error.picture().len() < 300);
}

#[test]
fn what_was_probably_not_meant_is_warned_about() {
    let table = [
        ("*/1 * * * *", None),
        ("*\\1 * * * *", Some("read \"*\\1\" in the minute as \"*/1\"")),
        ("*/90 * * * *", Some("the minute step 90 is longer than 0-59, so only 0 counts")),
        ("0 4-6/3 * * *", Some("the hour step 3 is longer than 4-6, so only 4 counts")),
        (
            "*/99999999999 * * * *",
            Some("the minute step 4294967295 is longer than 0-59, so only 0 counts"),
        ),
    ];
    for (text, expected) in table {
        let warnings = parse(text).unwrap().warnings;
        assert_eq!(warnings.first().map(String::as_str), expected, "{text}");
    }
}
