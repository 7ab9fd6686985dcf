//! Names in the path of a URL.

use std::fmt::Write as _;

/// Returns `name` as one segment of a path, whatever it holds; `None` for what can be none: an empty
/// name, and the two that lead to another path.
pub(crate) fn segment(name: &str) -> Option<String> {
    if matches!(name, "" | "." | "..") {
        return None;
    }
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_within_its_segment() {
        for (name, expected) in [
            ("web-1_a.b~c", "web-1_a.b~c"),
            ("quay.io/a:1@sha256:ab", "quay.io%2Fa%3A1%40sha256%3Aab"),
            ("a/../b", "a%2F..%2Fb"),
            ("x?force=true#y&z", "x%3Fforce%3Dtrue%23y%26z"),
            ("a b\r\nä\0%2F", "a%20b%0D%0A%C3%A4%00%252F"),
            ("...", "..."),
        ] {
            assert_eq!(segment(name).as_deref(), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_is_no_segment_makes_none() {
        for name in ["", ".", ".."] {
            assert_eq!(segment(name), None, "{name:?}");
        }
    }
}
