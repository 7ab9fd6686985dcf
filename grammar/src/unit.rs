//! Units: what a number means, and which of them can be compared.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// A unit as written after a number or posted with a sample.
///
/// Bytes, time, per cent, temperature and frequency convert within their dimension. Any other unit
/// is a label: equal labels compare, different ones do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    text: Cow<'static, str>,
    measure: Option<Measure>,
}

/// The unit of what came of a division: a hundred per cent.
pub(crate) static RATIO: Unit = Unit {
    text: Cow::Borrowed(""),
    measure: Some(Measure { dimension: Dimension::PerCent, factor: PER_CENT }),
};

const PER_CENT: f64 = 100.0;

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
/// without the `B`, and with it in any case of letters: nobody counts in millibits.
const MEASURES: [(&str, Dimension, f64); 24] = [
    ("B", Dimension::Bytes, 1.0),
    ("kB", Dimension::Bytes, 1e3),
    ("MB", Dimension::Bytes, 1e6),
    ("GB", Dimension::Bytes, 1e9),
    ("TB", Dimension::Bytes, 1e12),
    ("PB", Dimension::Bytes, 1e15),
    ("KiB", Dimension::Bytes, KIBI),
    ("MiB", Dimension::Bytes, KIBI * KIBI),
    ("GiB", Dimension::Bytes, KIBI * KIBI * KIBI),
    ("TiB", Dimension::Bytes, KIBI * KIBI * KIBI * KIBI),
    ("PiB", Dimension::Bytes, KIBI * KIBI * KIBI * KIBI * KIBI),
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

/// Other symbols of the same units, among them those of UCUM, which OpenTelemetry writes. The degree
/// sign has lookalikes on keyboards (the ordinal, the superscript zero), micro has two code points.
const SYMBOLS: [(&str, &str); 24] = [
    ("\u{b0}C", "C"),
    ("\u{ba}C", "C"),
    ("\u{2070}C", "C"),
    ("\u{2103}", "C"),
    ("Cel", "C"),
    ("\u{b5}s", "us"),
    ("\u{3bc}s", "us"),
    ("\u{ff05}", "%"),
    ("KHz", "kHz"),
    ("khz", "kHz"),
    ("mhz", "MHz"),
    ("ghz", "GHz"),
    ("hz", "Hz"),
    ("By", "B"),
    ("kBy", "kB"),
    ("MBy", "MB"),
    ("GBy", "GB"),
    ("TBy", "TB"),
    ("PBy", "PB"),
    ("KiBy", "KiB"),
    ("MiBy", "MiB"),
    ("GiBy", "GiB"),
    ("TiBy", "TiB"),
    ("PiBy", "PiB"),
];

/// Names of units, in the singular and in small letters: any case of letters is understood, and a
/// plural `s`.
const WORDS: [(&str, &str); 30] = [
    ("percent", "%"),
    ("per cent", "%"),
    ("pct", "%"),
    ("celsius", "C"),
    ("degc", "C"),
    ("nanosecond", "ns"),
    ("nsec", "ns"),
    ("microsecond", "us"),
    ("usec", "us"),
    ("millisecond", "ms"),
    ("msec", "ms"),
    ("second", "s"),
    ("sec", "s"),
    ("minute", "m"),
    ("min", "m"),
    ("hour", "h"),
    ("hr", "h"),
    ("day", "d"),
    ("byte", "B"),
    ("kilobyte", "kB"),
    ("megabyte", "MB"),
    ("gigabyte", "GB"),
    ("terabyte", "TB"),
    ("petabyte", "PB"),
    ("kibibyte", "KiB"),
    ("mebibyte", "MiB"),
    ("gibibyte", "GiB"),
    ("tebibyte", "TiB"),
    ("pebibyte", "PiB"),
    ("hertz", "Hz"),
];

/// Longest word of [`WORDS`], in bytes, with its plural.
const MAX_WORD: usize = 12;

/// Returns the documented spelling of the unit that `text` is another spelling of.
fn other_spelling(text: &str) -> Option<&'static str> {
    let symbol = SYMBOLS.iter().find(|(symbol, _)| *symbol == text);
    if let Some((_, name)) = symbol {
        return Some(name);
    }
    if text.len() > MAX_WORD {
        return None;
    }
    let word = text.to_ascii_lowercase();
    let singular = word.strip_suffix('s').unwrap_or(&word);
    let found = WORDS.iter().find(|(name, _)| *name == word || *name == singular);
    found.map(|(_, name)| *name)
}

impl Measure {
    fn of(text: &str) -> Option<Self> {
        let known = |text: &str| {
            MEASURES.iter().find(|(name, dimension, _)| match dimension {
                Dimension::Bytes => is_bytes(name, text),
                Dimension::Time
                | Dimension::PerCent
                | Dimension::Temperature
                | Dimension::Frequency => *name == text,
            })
        };
        let found = known(text).or_else(|| known(other_spelling(text)?));
        found.map(|&(_, dimension, factor)| Self { dimension, factor })
    }
}

/// Returns whether `text` is `name` (`GiB`), that in another case of letters, or that without its
/// `B` (`Gi`). A bare `K` is none: it may be kelvin.
fn is_bytes(name: &str, text: &str) -> bool {
    let prefix = name.trim_end_matches('B');
    name.eq_ignore_ascii_case(text) || (!prefix.is_empty() && prefix == text)
}

impl Unit {
    /// Returns the unit with that text; `None` if nothing but space is in it.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty())
            .then(|| Self { text: Cow::Owned(text.to_owned()), measure: Measure::of(text) })
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
            Some(_) if self.text.is_empty() => "a ratio (per cent)".to_owned(),
            Some(measure) => format!("{} ({})", self.text, measure.dimension.words()),
            None => self.shown().to_owned(),
        }
    }

    /// Returns whether it says which part of something a number is: per cent, or [`RATIO`].
    pub(crate) fn is_share(&self) -> bool {
        self.measure.is_some_and(|measure| measure.dimension == Dimension::PerCent)
    }

    /// Returns `value`, which is a part of something, as a part of one: 80 % as 0.8. A quotient that
    /// is 80 % is the same number, for both divisions are rounded once.
    pub(crate) fn share(&self, value: f64) -> f64 {
        match self.measure {
            Some(Measure { factor: PER_CENT, .. }) => value,
            Some(_) | None => value / PER_CENT,
        }
    }

    /// Returns `value` in the unit `other`; `None` if the two do not fit.
    pub(crate) fn convert(&self, value: f64, other: &Self) -> Option<f64> {
        // Multiplied first: everyday values are exact then.
        self.factors(other).map(|(from, to)| value * from / to)
    }

    /// Returns how many times `divisor` fits into `value`, which is in this unit; `None` if the units
    /// do not fit.
    pub(crate) fn quotient(&self, value: f64, (divisor, other): (f64, &Self)) -> Option<f64> {
        self.factors(other).map(|(from, to)| (value * from) / (divisor * to))
    }

    /// Returns what to multiply a number in this unit with to have it in `other`; `None` if the
    /// two do not fit.
    pub(crate) fn factor_to(&self, other: &Self) -> Option<f64> {
        self.factors(other).map(|(from, to)| from / to)
    }

    /// Returns what numbers in this unit and in `other` are multiplied with to have them in one unit; `None`
    /// if the two do not fit.
    fn factors(&self, other: &Self) -> Option<(f64, f64)> {
        if self.text == other.text {
            return Some((1.0, 1.0));
        }
        let (from, to) = (self.measure?, other.measure?);
        (from.dimension == to.dimension).then_some((from.factor, to.factor))
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
            if from.dimension == Dimension::PerCent {
                return Ok(left_unit.share(left).partial_cmp(&right_unit.share(right)));
            }
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
            ("kB", &["k", "kb", "KB", "Kb"]),
            ("MB", &["M", "Mb", "mb"]),
            ("GB", &["G", "Gb", "gb"]),
            ("TB", &["T", "Tb"]),
            ("PB", &["P", "Pb"]),
            ("KiB", &["Ki", "Kib", "kib"]),
            ("MiB", &["Mi", "Mib", "MIB"]),
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
            ("K", "kB"),
            ("mHz", "MHz"),
            ("\u{b0}", "C"),
            ("\u{b0}F", "C"),
            ("celsius of the room", "C"),
        ] {
            assert_eq!(ordering(1.0, left, 1.0, right), None, "{left} {right}");
            assert_eq!(unit(left).factor_to(&unit(right)), None);
        }
    }

    #[test]
    fn a_unit_is_known_as_people_and_collectors_write_it() {
        for (name, spellings) in [
            (
                "C",
                &["\u{b0}C", "\u{ba}C", "\u{2070}C", "\u{2103}", "Celsius", "degC", "Cel"]
                    as &[_],
            ),
            ("us", &["\u{b5}s", "\u{3bc}s", "usec", "microseconds"]),
            ("ms", &["msec", "Milliseconds"]),
            ("s", &["sec", "secs", "second", "seconds"]),
            ("m", &["min", "mins", "minutes"]),
            ("h", &["hr", "hours"]),
            ("%", &["percent", "Percent", "per cent", "pct", "\u{ff05}"]),
            ("kB", &["KB", "kilobytes", "kBy"]),
            ("MiB", &["MiBy", "mebibytes"]),
            ("B", &["bytes", "By"]),
            ("kHz", &["KHz", "khz"]),
        ] {
            for other in spellings {
                assert_eq!(ordering(7.0, name, 7.0, other), Some(Ordering::Equal), "{other}");
                assert_eq!(unit(other).as_str(), *other, "it is shown as it was written");
            }
        }
    }

    #[test]
    fn each_other_spelling_is_one_of_a_unit_that_is_known() {
        for (text, name) in SYMBOLS.iter().chain(&WORDS) {
            assert!(MEASURES.iter().any(|(known, _, _)| known == name), "{name}");
            assert!(text.len() < MAX_WORD && unit(text).measure.is_some(), "{text}");
        }
    }

    #[test]
    fn equal_labels_compare() {
        assert_eq!(ordering(1.0, "kbs", 2.0, "kbs"), Some(Ordering::Less));
    }
}
