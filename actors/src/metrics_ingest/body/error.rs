//! Why a body is refused: what is wrong, and where.

/// Longest text of an error, in bytes; parsers quote what they found.
pub(super) const MAX_ERROR: usize = 400;
/// Longest quotation in an error, in characters.
const MAX_QUOTE: usize = 40;

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::metrics_ingest) enum BodyError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It holds more samples than one body may.
    #[error("the body has more than {0} samples, or names without end; post it in parts")]
    TooManySamples(usize),
    /// The path takes no such content.
    #[error("{0}")]
    ContentType(&'static str),
}

impl BodyError {
    /// Makes the error of a body that cannot be read.
    pub(super) fn new(message: &str) -> Self {
        let mut message = message.to_owned();
        if message.len() > MAX_ERROR {
            // The start holds the field, the end line and column: cut the middle.
            let (head, tail) = (
                message.floor_char_boundary(MAX_ERROR * 3 / 4),
                message.ceil_char_boundary(message.len() - MAX_ERROR / 4),
            );
            message.replace_range(head..tail, "…");
        }
        Self::Unreadable(message)
    }

    /// Makes the error of a line, the first of which is 1.
    pub(super) fn in_line(line: usize, message: &str) -> Self {
        Self::new(&format!("line {line}: {message}"))
    }
}

/// Quotes what stands in a body, shortened.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Returns the body as text.
pub(super) fn text(body: &[u8]) -> Result<&str, BodyError> {
    std::str::from_utf8(body).map_err(|error| {
        let place = error.valid_up_to();
        BodyError::new(&format!("the body is not UTF-8 from byte {place} on"))
    })
}
