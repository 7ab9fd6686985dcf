//! Durations as they are written everywhere: `90s`, `1h30m`, `1d`.

use std::time::Duration;

/// Returns how many microseconds a unit of time has.
pub(crate) fn microseconds(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(1e3),
        "s" => Some(1e6),
        "m" => Some(60e6),
        "h" => Some(3_600e6),
        "d" => Some(86_400e6),
        _ => None,
    }
}

/// Reads numbers with units, one behind the other: `500ms`, `90s`, `1h30m`, `1.5d`. Anything else is
/// none; a longer time than a `Duration` holds is the longest.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let (mut total, mut rest) = (0.0, text);
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c| !is_part(c))?);
        let (unit, tail) = tail.split_at(tail.find(is_part).unwrap_or(tail.len()));
        total += number.parse::<f64>().ok()? * microseconds(unit)?;
        rest = tail;
    }
    let whole = Duration::try_from_secs_f64(f64::round(total) / 1e6).unwrap_or(Duration::MAX);
    (!text.is_empty()).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_the_sum_of_its_parts() {
        for (text, expected) in [
            ("500ms", Duration::from_millis(500)),
            ("90s", Duration::from_secs(90)),
            ("1h30m", Duration::from_secs(5_400)),
            ("1d", Duration::from_secs(86_400)),
            ("1d2h3m4s5ms", Duration::from_millis(93_784_005)),
            ("1.5m", Duration::from_secs(90)),
            (".5h", Duration::from_secs(1_800)),
            ("0s", Duration::ZERO),
            ("99999999999999999999999d", Duration::MAX),
        ] {
            assert_eq!(duration(text), Some(expected), "{text}");
        }
        for text in
            ["", "90", "s", "1 h", "1w", "1h30", "-1s", "1..5s", "1e3s", "1hour", "h1", "1H"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
