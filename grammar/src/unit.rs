//! Units: what a number means, and which of them can be compared.

use std::cmp::Ordering;
use std::fmt;

/// A unit as written after a number or posted with a sample.
///
/// Bytes, time, per cent, temperature and frequency convert within their dimension. Any other unit
/// is a label: equal labels compare, different ones do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    text: Box<str>,
    measure: Option<Measure>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Measure {
    dimension: Dimension,
    /// How many of the dimension's smallest unit it is: a whole number, so that a conversion of
    /// everyday values is exact.
    factor: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dimension {
    Bytes,
    Time,
    PerCent,
    Temperature,
    Frequency,
}

impl Dimension {
    /// Returns the words for a message.
    const fn words(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Time => "time",
            Self::PerCent => "per cent",
            Self::Temperature => "temperature",
            Self::Frequency => "frequency",
        }
    }
}

/// Characters of a unit that a message shows.
const MAX_SHOWN: usize = 24;

const KIBI: f64 = 1024.0;

/// Every unit that can be converted, in the spelling of the documentation. Bytes are also known
/// without the `B` and with a small one.
const MEASURES: [(&str, Dimension, f64); 22] = [
    ("B", Dimension::Bytes, 1.0),
    ("kB", Dimension::Bytes, 1e3),
    ("MB", Dimension::Bytes, 1e6),
    ("GB", Dimension::Bytes, 1e9),
    ("TB", Dimension::Bytes, 1e12),
    ("KiB", Dimension::Bytes, KIBI),
    ("MiB", Dimension::Bytes, KIBI * KIBI),
    ("GiB", Dimension::Bytes, KIBI * KIBI * KIBI),
    ("TiB", Dimension::Bytes, KIBI * KIBI * KIBI * KIBI),
    ("ns", Dimension::Time, 1.0),
    ("us", Dimension::Time, 1e3),
    ("ms", Dimension::Time, 1e6),
    ("s", Dimension::Time, 1e9),
    ("m", Dimension::Time, 60e9),
    ("h", Dimension::Time, 3_600e9),
    ("d", Dimension::Time, 86_400e9),
    ("%", Dimension::PerCent, 1.0),
    ("C", Dimension::Temperature, 1.0),
    ("Hz", Dimension::Frequency, 1.0),
    ("kHz", Dimension::Frequency, 1e3),
    ("MHz", Dimension::Frequency, 1e6),
    ("GHz", Dimension::Frequency, 1e9),
];

impl Measure {
    fn of(text: &str) -> Option<Self> {
        MEASURES
            .iter()
            .find(|(name, dimension, _)| match dimension {
                Dimension::Bytes => is_bytes(name, text),
                Dimension::Time
                | Dimension::PerCent
                | Dimension::Temperature
                | Dimension::Frequency => *name == text,
            })
            .map(|&(_, dimension, factor)| Self { dimension, factor })
    }
}

/// Returns whether `text` is `name` (`GiB`), or that without its `B` (`Gi`) or with a small one.
fn is_bytes(name: &str, text: &str) -> bool {
    let prefix = name.trim_end_matches('B');
    let rest = text.strip_prefix(prefix);
    rest.is_some_and(|rest| matches!(rest, "B" | "b") || (rest.is_empty() && !text.is_empty()))
}

impl Unit {
    /// Returns the unit with that text; `None` if nothing but space is in it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self { text: text.into(), measure: Measure::of(text) })
    }

    /// Returns the text, as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the text for a message: whoever posts a unit decides how long it is.
    pub(crate) fn shown(&self) -> &str {
        let end = self.text.char_indices().nth(MAX_SHOWN);
        end.map_or(&self.text, |(end, _)| &self.text[..end])
    }

    /// Returns the text for a message and, for a unit that can be converted, its dimension.
    pub(crate) fn describe(&self) -> String {
        match self.measure {
            Some(measure) => format!("{} ({})", self.text, measure.dimension.words()),
            None => self.shown().to_owned(),
        }
    }

    /// Returns what to multiply a number in this unit with to have it in `other`; `None` if the
    /// two do not fit.
    pub(crate) fn factor_to(&self, other: &Self) -> Option<f64> {
        if self.text == other.text {
            return Some(1.0);
        }
        let (from, to) = (self.measure?, other.measure?);
        (from.dimension == to.dimension).then(|| from.factor / to.factor)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Two units of which neither can be converted into the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitsDoNotFit;

/// Compares two numbers with their units. `Ok(None)` is for what is not a number.
pub(crate) fn compare(
    (left, left_unit): (f64, &Unit),
    (right, right_unit): (f64, &Unit),
) -> Result<Option<Ordering>, UnitsDoNotFit> {
    if left_unit.text == right_unit.text {
        return Ok(left.partial_cmp(&right));
    }
    match (left_unit.measure, right_unit.measure) {
        (Some(from), Some(to)) if from.dimension == to.dimension => {
            // Both in the smallest unit: multiplied only, for a division would not be exact.
            Ok((left * from.factor).partial_cmp(&(right * to.factor)))
        }
        (Some(_), Some(_)) | (Some(_), None) | (None, Some(_)) | (None, None) => Err(UnitsDoNotFit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(text: &str) -> Unit {
        Unit::new(text).expect("a unit")
    }

    fn ordering(left: f64, left_unit: &str, right: f64, right_unit: &str) -> Option<Ordering> {
        compare((left, &unit(left_unit)), (right, &unit(right_unit))).ok().flatten()
    }

    #[test]
    fn every_spelling_of_bytes_means_the_same() {
        for (long, spellings) in [
            ("B", &["b"] as &[_]),
            ("kB", &["k", "kb"]),
            ("MB", &["M", "Mb"]),
            ("GB", &["G", "Gb"]),
            ("TB", &["T", "Tb"]),
            ("KiB", &["Ki", "Kib"]),
            ("MiB", &["Mi", "Mib"]),
            ("GiB", &["Gi", "Gib"]),
            ("TiB", &["Ti", "Tib"]),
        ] {
            for short in spellings {
                assert_eq!(ordering(7.0, long, 7.0, short), Some(Ordering::Equal), "{short}");
            }
        }
    }

    #[test]
    fn everyday_conversions_are_exact() {
        for (left, left_unit, right, right_unit) in [
            (1.0, "GiB", 1024.0, "MiB"),
            (1.5, "GB", 1500.0, "MB"),
            (0.3, "s", 300.0, "ms"),
            (1.1, "s", 1100.0, "ms"),
            (0.1, "ms", 100.0, "us"),
            (1.0, "d", 24.0, "h"),
            (90.0, "s", 1.5, "m"),
            (2.4, "GHz", 2400.0, "MHz"),
        ] {
            assert_eq!(
                ordering(left, left_unit, right, right_unit),
                Some(Ordering::Equal),
                "{left} {left_unit}"
            );
        }
    }

    #[test]
    fn units_that_do_not_fit_do_not_compare() {
        for (left, right) in [
            ("C", "MiB"),
            ("kbs", "kB"),
            ("kbs", "mbs"),
            ("%", "C"),
            ("s", "Hz"),
            ("m", "M"),
            ("KB", "kB"),
        ] {
            assert_eq!(ordering(1.0, left, 1.0, right), None, "{left} {right}");
            assert_eq!(unit(left).factor_to(&unit(right)), None);
        }
    }

    #[test]
    fn equal_labels_compare() {
        assert_eq!(ordering(1.0, "kbs", 2.0, "kbs"), Some(Ordering::Less));
    }
}
