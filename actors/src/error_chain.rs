//! An error with what caused it, as one line.

use std::error::Error;

/// Returns `error` followed by its causes, each after a colon. A cause whose words an error repeats at
/// its end, as some libraries' do, is there once.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_follow_their_error_once() {
        for (text, expected) in [
            ("failed to read", "failed to read: disk on fire"),
            ("failed to read: disk on fire", "failed to read: disk on fire"),
        ] {
            let layer = Layer { text, source: io::Error::other("disk on fire") };
            assert_eq!(error_chain(&layer), expected);
        }
    }
}
