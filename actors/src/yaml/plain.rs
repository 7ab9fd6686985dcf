//! What a plain (unquoted) value is: to YAML 1.2, and to what kubectl and podman take for a boolean or
//! a number where one is wanted.

/// What a plain value is by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
}

/// Returns whether `text` stands for nothing.
pub(super) fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

/// Returns what `text` is where anything may be. Digits after a zero are text: they may be a number
/// of eight or an identifier, and which is not known here.
pub(super) fn resolve(text: &str) -> Plain<'_> {
    if is_null(text) {
        return Plain::Null;
    }
    match text {
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        _ => {}
    }
    if !has_leading_zero(text)
        && !text.contains('_')
        && let Some(number) = integer(text)
    {
        return match (u64::try_from(number), i64::try_from(number)) {
            (Ok(number), _) => Plain::Unsigned(number),
            (Err(_), Ok(number)) => Plain::Signed(number),
            (Err(_), Err(_)) => float(text).map_or(Plain::Text(text), Plain::Float),
        };
    }
    float(text).map_or(Plain::Text(text), Plain::Float)
}

/// Reads a boolean as YAML 1.1 has it, which kubectl and podman go by.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "y" | "Y" | "on" | "On" | "ON" => {
            Some(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "n" | "N" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}

/// Reads a whole number as YAML 1.1 or 1.2 has it: `0400` and `0o400` are octal, and `1_000` is a
/// thousand.
pub(super) fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (radix, digits) = match digits.get(..2) {
        Some("0x") => (16, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        Some("0b") => (2, digits.get(2..)?),
        _ if has_leading_zero(digits) => (8, digits),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
    let number = i128::from_str_radix(&digits, radix).ok()?;
    Some(if negative { number.checked_neg()? } else { number })
}

fn has_leading_zero(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']).as_bytes();
    matches!(digits, [b'0', next, ..] if next.is_ascii_digit() || *next == b'_')
}

/// Reads a number with a fraction or an exponent.
pub(super) fn float(text: &str) -> Option<f64> {
    let unsigned = text.trim_start_matches(['-', '+']);
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return Some(sign * f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    let is_part =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+');
    let has_digit = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !has_digit || !starts || has_leading_zero(text) || !text.bytes().all(is_part) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_value_by_itself_is_what_yaml_1_2_says() {
        for (text, expected) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("null", Plain::Null),
            ("nul", Plain::Text("nul")),
            ("true", Plain::Bool(true)),
            ("yes", Plain::Text("yes")),
            ("NO", Plain::Text("NO")),
            ("0", Plain::Unsigned(0)),
            ("-0", Plain::Unsigned(0)),
            ("8080", Plain::Unsigned(8080)),
            ("-3", Plain::Signed(-3)),
            ("0x1F", Plain::Unsigned(31)),
            ("0o17", Plain::Unsigned(15)),
            ("0400", Plain::Text("0400")),
            ("007", Plain::Text("007")),
            ("1.5", Plain::Float(1.5)),
            ("1e3", Plain::Float(1000.0)),
            (".5", Plain::Float(0.5)),
            ("00.5", Plain::Text("00.5")),
            ("1_000", Plain::Text("1_000")),
            (".inf", Plain::Float(f64::INFINITY)),
            ("1.2.3", Plain::Text("1.2.3")),
            ("1e", Plain::Text("1e")),
            ("inf", Plain::Text("inf")),
            ("e5", Plain::Text("e5")),
            ("-", Plain::Text("-")),
            (".", Plain::Text(".")),
            ("12e03", Plain::Float(12_000.0)),
            ("18446744073709551615", Plain::Unsigned(u64::MAX)),
        ] {
            assert_eq!(resolve(text), expected, "{text:?}");
        }
    }

    #[test]
    fn where_a_whole_number_is_wanted_zeros_before_it_make_it_octal() {
        for (text, expected) in [
            ("0400", Some(256)),
            ("0o400", Some(256)),
            ("0x100", Some(256)),
            ("0b11", Some(3)),
            ("256", Some(256)),
            ("-0644", Some(-420)),
            ("+7", Some(7)),
            ("1_000", Some(1_000)),
            ("0", Some(0)),
            ("00", Some(0)),
            ("0800", None),
            ("0o8", None),
            ("0x", None),
            ("0x-1", None),
            ("0x_1", None),
            ("--1", None),
            ("1.0", None),
            ("", None),
            ("ten", None),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn where_a_boolean_is_wanted_yes_and_on_are_one() {
        for text in ["true", "True", "yes", "Yes", "YES", "y", "on", "ON"] {
            assert_eq!(boolean(text), Some(true), "{text}");
        }
        for text in ["false", "FALSE", "no", "No", "n", "off", "Off"] {
            assert_eq!(boolean(text), Some(false), "{text}");
        }
        for text in ["", "1", "0", "yEs", "enabled", "~"] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }
}
