//! Texts that are not conditions: an error, at once, whatever they are.

use grammar::Condition;
use proptest::prelude::*;

#[test]
fn what_the_language_lacks_is_an_error() {
    for text in [
        "",
        " ",
        "x",
        "3",
        "nil",
        "true",
        "x = 3",
        "x === 3",
        "x <> 3",
        "x =! 3",
        "x =< 3",
        "x => 3",
        "x == 3 y == 4",
        "x == 3 &&",
        "&& x == 3",
        "|| x == 3",
        "x == 3 ||",
        "x == 3 & y == 4",
        "x == 3 | y == 4",
        "x == 3 && || y == 4",
        "x == 1.2.3",
        "x == 1.",
        "x == .",
        "x == 1e999",
        "x == --1",
        "x == -y",
        "-x == 1",
        "x == +1",
        "x & y",
        "(x == 3",
        "x == 3)",
        "()",
        "(x == 3) == 2",
        "(x == 3) (y == 4)",
        "!x == 3",
        "!!x == 3",
        "!",
        "!()",
        "x! = 3",
        "x > nil",
        "nil < x",
        "2 > nil",
        "nil >= nil",
        "x == 3 for",
        "x == 3 for 5",
        "x == 3 for 5w",
        "x == 3 for -5s",
        "x == 3 for s",
        "for 5s",
        "x == 3 for 5s for 5s",
        "(x == 3 for 5s) || y == 1",
        "x == 3 for 5s || y == 1",
        "for == 3",
        "x == for",
        "x > 3 until",
        "until x > 3",
        "x > 3 until 5s",
        "x > 3 until y > 3 until z > 3",
        "(x > 3 until y > 3)",
        "(x > 3 until y > 3) && z > 3",
        "x > 3 for 5s for 5s until y > 3",
        "x > 3 until y > 3 for 5s for 5s",
        "on",
        "on sat > 3",
        "on sat,",
        "on sat sun",
        "on sat-",
        "on sat-sun-mon",
        "on someday",
        "on sato",
        "on 6",
        "!on sat",
        "on (sat)",
        "between 8:00",
        "between 8:00 and",
        "between 8:00 and 8:00",
        "between 0:00 and 0:00",
        "between 24:00 and 8:00",
        "between 8:00 and 24:01",
        "between 8:60 and 9:00",
        "between 25:00 and 26:00",
        "between 8 and 9",
        "between 8:0 and 9:00",
        "between 8:00:00 and 9:00",
        "between 008:00 and 9:00",
        "between 8:00 && 9:00",
        "between 8:00 and 9:00 and 10:00",
        "between 8:00 and 9:00 on sat",
        "between 8:00 and 9:00 == 1",
        "x == between 8:00 and 9:00",
        "avg(x) > 1",
        "avg(x,) > 1",
        "avg(,1m) > 1",
        "avg(x, 1m > 1",
        "avg x, 1m > 1",
        "avg(x, 1m)",
        "avg(x, 0s) > 1",
        "avg(x, 0.1ms) > 1",
        "avg(3, 1m) > 1",
        "avg(nil, 1m) > 1",
        "avg(avg(x, 1m), 1m) > 1",
        "sum(x, 1m) > 1",
        "x > \"a\"",
        "x > 'a'",
        "x == 3;",
        "x == 3 #",
        "größe > 3",
        "x ≥ 3",
        "x > °C",
        "°C > 3",
        "x > 3 ° C",
        "x > 3€",
        "x\u{a0}> 3",
        "x\0> 3",
        "1x > 3 %%",
        "x == 3 and y == 4",
        "x == 3 or y == 4",
        ".x > 3",
        "x + > 3",
        "x + 1",
        "x ++ 1 > 3",
        "+ x > 3",
        "x * * 2 > 3",
        "x / > 3",
        "x // 2 > 3",
        "x % 2 > 3",
        "x ** 2 > 3",
        "x ^ 2 > 3",
        "nil + 1 > 3",
        "x == 1 + nil",
        "(nil) == x",
        "-(x) > 3",
        "(x > 3) + 1 > 3",
        "(x + 1) == 3 == 4",
        "(x + 1 > 3",
        "((x + 1) > 3",
        "!(x + 1) > 3",
        "avg(x + 1, 1m) > 3",
        "() > 3",
    ] {
        assert!(Condition::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn brackets_may_nest_64_deep() {
    let nested = |depth: usize| format!("{}x > 3{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Condition::parse(&nested(64)).is_ok());
    let error = Condition::parse(&nested(65)).expect_err("too deep");
    assert_eq!(error.column(), 65);
    assert_eq!(
        error.to_string(),
        "column 65: found bracket number 65 within brackets, expected at most 64"
    );
}

#[test]
fn any_number_of_brackets_may_stand_side_by_side() {
    let text = vec!["(x > 3)"; 1_000].join(" && ");
    assert!(Condition::parse(&text).is_ok());
}

#[test]
fn what_is_deep_and_long_is_refused_before_it_is_looked_at() {
    let nested = |depth: usize, count: usize| {
        let sum = vec!["x"; count].join("+");
        format!("{}{sum}{} > 3", "(".repeat(depth), ")".repeat(depth))
    };
    for (depth, count) in [(64, 900), (2, 30_000), (0, 32_000)] {
        assert!(Condition::parse(&nested(depth, count)).is_ok(), "{depth} {count}");
    }
    for (depth, count) in [(64, 1_100), (16, 8_000), (3, 30_000)] {
        let error = Condition::parse(&nested(depth, count)).expect_err("too much").to_string();
        assert!(error.contains("more text within brackets"), "{error}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_stack_overflow() {
    for text in [
        "(".repeat(10_000),
        "!(".repeat(10_000),
        format!("{}x > 3{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}x > 3{}", "!(".repeat(10_000), ")".repeat(10_000)),
        format!("x > 3 || {}", "(x > 3 && ".repeat(5_000)),
        "avg(".repeat(10_000),
        "!".repeat(60_000),
        "(1 + ".repeat(10_000),
        format!("{}x{} > 3", "(".repeat(65), ")".repeat(65)),
        // Each bracket may be one around a condition or around a value until its end is seen.
        format!("{}x + 1{} > 3 > 4", "(".repeat(64), ")".repeat(64)),
        format!("{}x > 3{} + 1", "(".repeat(64), ")".repeat(64)),
        format!("{}1{} > 3 > 4", "(x + ".repeat(64), ") * 2".repeat(64)),
    ] {
        assert!(Condition::parse(&text).is_err());
    }
}

#[test]
fn many_negations_are_one_or_none() {
    let negated = |count: usize| format!("{}(x > 3)", "!".repeat(count));
    let parse = |text: &str| Condition::parse(text).expect("a condition");
    assert_eq!(parse(&negated(50_000)), parse("x > 3"));
    assert_eq!(parse(&negated(50_001)), parse("!(x > 3)"));
}

#[test]
fn a_text_over_its_bound_is_refused() {
    let long = |bytes: usize| format!("x > 3{}", " ".repeat(bytes - 5));
    assert!(Condition::parse(&long(64 * 1024)).is_ok());
    let error = Condition::parse(&long(64 * 1024 + 1)).expect_err("too long");
    assert_eq!(
        error.to_string(),
        "column 1: found a text of 65537 bytes, expected at most 65536 bytes"
    );
}

#[test]
fn a_mebibyte_is_refused_unread() {
    for unit in ["x > 3 && ", "(", "!", "é", "\0", "avg("] {
        let text = unit.repeat((1 << 20) / unit.len());
        let error = Condition::parse(&text).expect_err("too long");
        assert_eq!(error.expected(), "at most 65536 bytes", "{unit:?}");
        assert!(error.picture().len() < 200, "{unit:?}");
    }
}

#[test]
fn the_longest_text_of_terms_is_read() {
    let text = vec!["x>3"; 10_000].join("||");
    let condition = Condition::parse(&text).expect("a condition");
    assert_eq!(condition.metrics().len(), 1);
}

#[test]
fn the_longest_sums_and_products_are_read_written_and_evaluated() {
    struct Nothing;
    impl grammar::Lookup for Nothing {
        fn reading(&self, _: &grammar::Metric) -> Option<grammar::Reading<'_>> {
            None
        }
    }
    for sign in ["+", "-", "*", "/"] {
        let text = format!("{} > 3", vec!["x"; 15_000].join(sign));
        let condition = Condition::parse(&text).expect("a condition");
        assert!(condition.to_string().len() > text.len());
        assert!(condition.evaluate(&Nothing).is_ok());
        assert!(condition.explain(&Nothing).len() < 4_000);
    }
    let nested = format!("{}x{} > 3", "(x + ".repeat(64), ")".repeat(64));
    let condition = Condition::parse(&nested).expect("a condition");
    assert!(condition.evaluate(&Nothing).is_ok());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = Condition::parse(&text);
    }

    #[test]
    fn no_text_of_the_languages_own_parts_panics(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "x", "cpu", "nil", "for", "until", "on ", "between ", "and ", "sat", "8:00", "avg", "rate", "count", "p95", "+", "*", "/", "(", ")", "!", "!(", "&&", "||", "&", "==",
                "!=", "<", ">=", "=", ",", "-", ".", "1", ".5", "1e3", "e", "%", "GiB", "30s", "ms",
                " ", "\n", "é",
            ]),
            0..40,
        )
    ) {
        let text = parts.concat();
        match Condition::parse(&text) {
            Ok(condition) => {
                prop_assert_eq!(Condition::parse(&condition.to_string()), Ok(condition));
            }
            Err(error) => {
                prop_assert!(error.column() >= 1);
                prop_assert!(error.column() <= text.chars().count() + 1);
                prop_assert!(!error.expected().contains("something else"), "{}", error);
                prop_assert_eq!(error.picture().lines().count(), 2);
            }
        }
    }
}
