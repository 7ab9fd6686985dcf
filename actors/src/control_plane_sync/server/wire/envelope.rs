//! The envelope of every answer, and a bound on what it holds.

use super::error::{WireError, shape, shown};

/// Most values that one answer may hold; a thousand workloads have some ten thousand.
pub(super) const MAX_VALUES: usize = 250_000;

/// Reads a body, unless it holds so many values that the device's memory is at risk: a zero takes
/// two bytes on the wire and thirty-two here.
pub(super) fn json(body: &[u8]) -> Result<serde_json::Value, WireError> {
    if separators(body) > MAX_VALUES {
        return Err(WireError::TooManyValues { limit: MAX_VALUES });
    }
    serde_json::from_slice(body).map_err(WireError::Json)
}

/// Returns how many values begin in `body`, about: each but the first follows a comma or a bracket
/// that is no part of a text.
fn separators(body: &[u8]) -> usize {
    let (mut count, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'[' | b'{' if !quoted => count = count.saturating_add(1),
            _ => {}
        }
    }
    count
}

/// Reads an envelope as an object and checks its `type`.
pub(super) fn envelope(
    body: &[u8],
    expected: &'static str,
) -> Result<serde_json::Map<String, serde_json::Value>, WireError> {
    let serde_json::Value::Object(envelope) = json(body)? else {
        return Err(shape("it is not an object"));
    };
    expect_word(&envelope, "type", expected)?;
    Ok(envelope)
}

pub(super) fn expect_word(
    envelope: &serde_json::Map<String, serde_json::Value>,
    field: &'static str,
    expected: &'static str,
) -> Result<(), WireError> {
    let found = envelope.get(field).and_then(serde_json::Value::as_str);
    if found == Some(expected) {
        return Ok(());
    }
    Err(WireError::OtherMessage { field, expected, found: shown(found.unwrap_or_default()) })
}
