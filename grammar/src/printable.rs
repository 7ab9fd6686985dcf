//! Texts that others wrote, made fit to be shown: they command no terminal and forge no line.
//!
//! Whatever a name, a posted unit or a runtime's words hold, they end on a terminal. Each
//! way out of the agent (lines of the log, answers of the listener, output of commands) passes its
//! texts through here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// Returns whether a character shows as itself: no control character, no line or paragraph
/// separator, nothing that is invisible and changes its neighbours (the overrides of the writing
/// direction among them), nothing that Unicode has not assigned.
#[must_use]
pub fn is_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\u{2028}' | '\u{2029}' => false,
        _ if c.is_control() => false,
        // A space of another width is still one.
        _ if c.is_whitespace() => true,
        // What the standard library shows as itself in `Debug`. A combining mark is shown so only
        // behind another character.
        _ => ['a', c].iter().collect::<String>().escape_debug().nth(1) == Some(c),
    }
}

/// Returns the text on one line, with escapes as Rust writes them (`\u{1b}`, `\n`) in the place of
/// what is not printable. Printable text is returned as it is.
///
/// ```
/// assert_eq!(grammar::printable("web\u{1b}[2J\n"), r"web\u{1b}[2J\n");
/// assert_eq!(grammar::printable("höhe < 5 µm"), "höhe < 5 µm");
/// ```
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_printable, |shown, c| shown.extend(c.escape_default()))
}

/// Does what [`printable`] does with each line, and keeps the lines.
#[must_use]
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    let stays = |c| c == '\n' || is_printable(c);
    escaped(text, stays, |shown, c| shown.extend(c.escape_default()))
}

/// Escapes in a JSON text, outside of which it is written on one line, what is not printable: the
/// text means the same as before. What JSON escapes by itself is expected to be escaped.
///
/// ```
/// assert_eq!(grammar::printable_json("{\"a\":\"\u{202e}\"}"), r#"{"a":"\u202e"}"#);
/// ```
#[must_use]
pub fn printable_json(text: &str) -> Cow<'_, str> {
    escaped(text, is_printable, |shown, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    })
}

/// Returns the text, cut to `limit` characters, of which the last then is an ellipsis.
///
/// ```
/// assert_eq!(grammar::shortened("workload", 5), "work…");
/// assert_eq!(grammar::shortened("workload", 8), "workload");
/// ```
#[must_use]
pub fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.chars().nth(limit).is_none() {
        return Cow::Borrowed(text);
    }
    let mut shown: String = text.chars().take(limit.saturating_sub(1)).collect();
    shown.push(ELLIPSIS);
    Cow::Owned(shown)
}

fn escaped(
    text: &str,
    stays: impl Fn(char) -> bool,
    escape: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let Some(first) = text.find(|c| !stays(c)) else {
        return Cow::Borrowed(text);
    };
    let (clean, rest) = text.split_at(first);
    let mut shown = String::with_capacity(text.len().saturating_add(8));
    shown.push_str(clean);
    for c in rest.chars() {
        if stays(c) {
            shown.push(c);
        } else {
            escape(&mut shown, c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// First and last of each range of Unicode's format characters (general category Cf).
    const FORMAT: [(u32, u32); 20] = [
        (0xAD, 0xAD),
        (0x600, 0x605),
        (0x61C, 0x61C),
        (0x6DD, 0x6DD),
        (0x70F, 0x70F),
        (0x890, 0x891),
        (0x8E2, 0x8E2),
        (0x180E, 0x180E),
        (0x200B, 0x200F),
        (0x202A, 0x202E),
        (0x2060, 0x2064),
        (0x2066, 0x206F),
        (0xFEFF, 0xFEFF),
        (0xFFF9, 0xFFFB),
        (0x110BD, 0x110BD),
        (0x110CD, 0x110CD),
        (0x13430, 0x1343F),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
        (0xE0001, 0xE007F),
    ];

    fn all(range: (u32, u32)) -> impl Iterator<Item = char> {
        (range.0..=range.1).filter_map(char::from_u32)
    }

    #[test]
    fn no_control_and_no_format_character_is_printable() {
        let controls = all((0, 0x1F)).chain(all((0x7F, 0x9F))).chain(all((0x2028, 0x2029)));
        for c in controls.chain(FORMAT.into_iter().flat_map(all)) {
            assert!(!is_printable(c), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn what_people_write_is_shown_as_it_is() {
        for text in [
            "",
            "cpu < 50% || \"x\" == 'y' \\ ~",
            "Straße, naïve, ångström, œuvre",
            "e\u{301}", // An accent of its own.
            "温度、湿度\u{3000}12\u{a0}°C",
            "влажность, θερμοκρασία, درجة, 🌡️ €",
        ] {
            assert_eq!(printable(text), text);
            assert_eq!(printable_lines(text), text);
            assert_eq!(printable_json(text), text);
        }
    }

    #[test]
    fn every_line_stays_one_and_no_more() {
        let text = "a\r\nb\u{85}c\u{2028}d\u{9b}31m\x07";
        assert_eq!(printable(text), r"a\r\nb\u{85}c\u{2028}d\u{9b}31m\u{7}");
        assert_eq!(printable_lines(text), "a\\r\nb\\u{85}c\\u{2028}d\\u{9b}31m\\u{7}");
    }

    #[test]
    fn what_is_cut_is_cut_between_characters_and_says_so() {
        let long = "ü".repeat(300);
        let cut = shortened(&long, 253);
        assert_eq!(cut.chars().count(), 253);
        assert!(cut.ends_with("ü…"), "{cut}");
        assert_eq!(shortened(&long, 300), long);
        assert_eq!(shortened("abc", 0), "…");
    }

    proptest! {
        #[test]
        fn what_is_shown_holds_nothing_else(text in any::<String>()) {
            prop_assert!(printable(&text).chars().all(is_printable));
            prop_assert!(printable_lines(&text).chars().all(|c| c == '\n' || is_printable(c)));
            // Once is enough.
            let shown = printable(&text);
            prop_assert_eq!(printable(&shown), &*shown);
        }

        #[test]
        fn clean_text_stays_itself(text in "[ -~äöüß€°µ日本]{0,40}") {
            prop_assert_eq!(printable(&text), &*text);
        }

        #[test]
        fn a_text_stays_within_its_limit(text in any::<String>(), limit in 1_usize..20) {
            let cut = shortened(&text, limit);
            prop_assert!(cut.chars().count() <= limit);
            let kept = cut.strip_suffix(ELLIPSIS).unwrap_or(&cut);
            prop_assert!(text.starts_with(kept));
        }
    }
}
