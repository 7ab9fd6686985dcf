//! Kubernetes quantities, read exactly: `0.5`, `100m`, `1.5Gi`, `512e6`.
//!
//! What is no whole number of the wanted unit is rounded up, as Kubernetes does. No float is involved:
//! `0.1Gi` is 107374182.4 bytes, and so 107374183.

/// Kubernetes' largest quantity; larger ones saturate.
pub(crate) const MAX: u64 = i64::MAX as u64;
/// Nothing runs in fewer bytes: a page.
const SMALLEST_MEMORY: u64 = 4_096;
/// Digits of [`MAX`].
const MAX_DIGITS: usize = 19;

/// Why a text is no quantity that can be meant; each says what one looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuantityError {
    /// It is less than nothing.
    #[error("must not be negative")]
    Negative,
    /// It ends as bytes do elsewhere.
    #[error(
        "is no quantity: Kubernetes writes no B after the unit; write a number and k, M, G, T, P, E or \
         Ki, Mi, Gi, Ti, Pi, Ei, as in 500M or 1.5Gi"
    )]
    Bytes,
    /// Anything else.
    #[error(
        "is no quantity: write a number, then nothing, one of n, u, m, k, M, G, T, P, E, Ki, Mi, Gi, \
         Ti, Pi, Ei, or an exponent, as in 0.5, 500m, 512Mi, 1.5Gi or 1e9"
    )]
    Malformed,
}

/// Returns a quantity in whole units (bytes of memory or storage, pieces of anything), rounded up.
///
/// # Errors
/// The text is no quantity, or a negative one.
pub(crate) fn whole(text: &str) -> Result<u64, QuantityError> {
    rounded_up(text, 1)
}

/// Returns a quantity of CPU in thousandths of a core, rounded up.
///
/// # Errors
/// The text is no quantity, or a negative one.
pub(crate) fn millicores(text: &str) -> Result<u64, QuantityError> {
    rounded_up(text, 1_000)
}

/// Whether `text` is a slip where bytes are meant: `512m` is half a byte, and rarely what its author
/// has in mind. `128974848000m` is as good a number of bytes as any.
pub(crate) fn is_fraction_of_bytes(text: &str) -> bool {
    let is_small = whole(text).is_ok_and(|bytes| bytes < SMALLEST_MEMORY);
    is_small && text.trim().ends_with(['m', 'u', 'n'])
}

/// Returns `text` in parts of which `parts` make one.
fn rounded_up(text: &str, parts: u128) -> Result<u64, QuantityError> {
    let text = text.trim();
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let (number, suffix) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(QuantityError::Malformed);
    }
    let (factor, exponent) = scale(suffix)?;
    let digits = whole.bytes().chain(fraction.bytes()).map(|digit| digit.saturating_sub(b'0'));
    let product = times(digits, factor.saturating_mul(parts));
    let places = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let value = shifted(&product, exponent.saturating_sub(places));
    if is_negative && value > 0 { Err(QuantityError::Negative) } else { Ok(value) }
}

/// Returns the factor and the power of ten that a suffix stands for.
fn scale(suffix: &str) -> Result<(u128, i64), QuantityError> {
    let decimal = |exponent| Ok((1, exponent));
    let binary = |power: u32| Ok((1 << (10 * power), 0));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        other => match other.strip_prefix(['e', 'E']) {
            Some(exponent) if !exponent.ends_with('B') => decimal(power_of_ten(exponent)?),
            Some(_) | None if other.ends_with('B') => Err(QuantityError::Bytes),
            Some(_) | None => Err(QuantityError::Malformed),
        },
    }
}

/// Reads digits with a sign; what no number has stands for more than any.
fn power_of_ten(text: &str) -> Result<i64, QuantityError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(QuantityError::Malformed);
    }
    let size = digits.parse::<i64>().unwrap_or(i64::MAX);
    Ok(if text.starts_with('-') { size.saturating_neg() } else { size })
}

/// Multiplies decimal digits; returns digits without leading zeros.
fn times(digits: impl DoubleEndedIterator<Item = u8>, factor: u128) -> Vec<u8> {
    let (mut reversed, mut carry) = (Vec::new(), 0_u128);
    let mut push = |value: u128| {
        reversed.push(u8::try_from(value % 10).unwrap_or_default());
        value / 10
    };
    for digit in digits.rev() {
        carry = push(u128::from(digit).saturating_mul(factor).saturating_add(carry));
    }
    while carry > 0 {
        carry = push(carry);
    }
    while reversed.last() == Some(&0) {
        reversed.pop();
    }
    reversed.reverse();
    reversed
}

/// Returns the digits times ten to the power of `exponent`, rounded up.
fn shifted(digits: &[u8], exponent: i64) -> u64 {
    if digits.is_empty() {
        return 0;
    }
    let moved = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    let (kept, zeros) = match exponent {
        0.. => (digits.len(), moved),
        _ => (digits.len().saturating_sub(moved), 0),
    };
    if kept.saturating_add(zeros) > MAX_DIGITS {
        return MAX;
    }
    let (whole, rest) = digits.split_at_checked(kept).unwrap_or((digits, &[]));
    let all = whole.iter().copied().chain(std::iter::repeat_n(0, zeros));
    let value =
        all.fold(0_u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit)));
    let up = u64::from(rest.iter().any(|digit| *digit > 0));
    value.saturating_add(up).min(MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_exact_and_rounded_up() {
        for (text, expected) in [
            ("0", 0),
            ("1.5Gi", 1_610_612_736),
            ("0.5Gi", 536_870_912),
            ("0.25Gi", 268_435_456),
            ("1536Mi", 1_610_612_736),
            ("0.1Gi", 107_374_183),
            ("1.1Gi", 1_181_116_007),
            ("128974848", 128_974_848),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("128974848000m", 128_974_848),
            ("123Mi", 128_974_848),
            ("100m", 1),
            ("1e3", 1_000),
            ("1E3", 1_000),
            ("1E", 1_000_000_000_000_000_000),
            ("1Ei", 1 << 60),
            ("1e-3", 1),
            ("1.", 1),
            (".5Ki", 512),
            ("+2k", 2_000),
            ("-0", 0),
            (" 64Mi ", 64 << 20),
            ("1Pi", 1 << 50),
            ("3Ti", 3 << 40),
            ("8Ei", MAX),
            ("1e999999999999999999999", MAX),
            ("0e999999999999999999999", 0),
            ("1e-999999999999999999999", 1),
            ("9223372036854775807", MAX),
            ("9223372036854775806.0000000000000000000000000000000000001", MAX),
            ("16777215.99999999999999999999999999999999999999999999", 1 << 24),
        ] {
            assert_eq!(whole(text), Ok(expected), "{text}");
        }
        let long = format!("0.{}1", "0".repeat(10_000));
        assert_eq!(whole(&long), Ok(1));
    }

    #[test]
    fn cores_are_counted_in_thousandths() {
        for (text, expected) in [
            ("0.1", 100),
            ("2", 2_000),
            ("500m", 500),
            ("1500u", 2),
            ("1n", 1),
            ("0.0001", 1),
            ("1e-1", 100),
            ("1k", 1_000_000),
            ("1.0005", 1_001),
        ] {
            assert_eq!(millicores(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn half_a_byte_is_a_slip_and_a_whole_number_of_thousandths_is_not() {
        for (text, expected) in [
            ("512m", true),
            (" 100u ", true),
            ("128974848000m", false),
            ("512M", false),
            ("512", false),
            ("much", false),
        ] {
            assert_eq!(is_fraction_of_bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_says_what_one_is() {
        for (text, expected) in [
            ("512MiB", QuantityError::Bytes),
            ("1GB", QuantityError::Bytes),
            ("1EB", QuantityError::Bytes),
            ("1B", QuantityError::Bytes),
            ("-1", QuantityError::Negative),
            ("-0.1Mi", QuantityError::Negative),
            ("-1n", QuantityError::Negative),
            ("", QuantityError::Malformed),
            (".", QuantityError::Malformed),
            ("-", QuantityError::Malformed),
            ("--1", QuantityError::Malformed),
            ("1.2.3", QuantityError::Malformed),
            ("1 Gi", QuantityError::Malformed),
            ("1gi", QuantityError::Malformed),
            ("1K", QuantityError::Malformed),
            ("1,5Gi", QuantityError::Malformed),
            ("1e", QuantityError::Malformed),
            ("1e+", QuantityError::Malformed),
            ("1e1.5", QuantityError::Malformed),
            ("0x10", QuantityError::Malformed),
            ("1٣", QuantityError::Malformed),
            ("inf", QuantityError::Malformed),
            ("NaN", QuantityError::Malformed),
            ("much", QuantityError::Malformed),
        ] {
            assert_eq!(whole(text), Err(expected), "{text}");
        }
    }

    const SUFFIXES: [(&str, u128, u128); 16] = [
        ("n", 1, 1_000_000_000),
        ("u", 1, 1_000_000),
        ("m", 1, 1_000),
        ("", 1, 1),
        ("k", 1_000, 1),
        ("M", 1_000_000, 1),
        ("G", 1_000_000_000, 1),
        ("T", 1_000_000_000_000, 1),
        ("P", 1_000_000_000_000_000, 1),
        ("E", 1_000_000_000_000_000_000, 1),
        ("Ki", 1 << 10, 1),
        ("Mi", 1 << 20, 1),
        ("Gi", 1 << 30, 1),
        ("Ti", 1 << 40, 1),
        ("Pi", 1 << 50, 1),
        ("Ei", 1 << 60, 1),
    ];

    proptest! {
        /// The rational, with whole numbers only: up to eight digits on either side fit a u128.
        #[test]
        fn a_quantity_is_the_next_whole_number_of_the_exact_rational(
            integer in 0_u128..100_000_000,
            fraction in "[0-9]{0,8}",
            suffix in 0_usize..SUFFIXES.len(),
            parts in prop_oneof![Just(1_u128), Just(1_000)],
        ) {
            let (suffix, factor, divisor) = SUFFIXES[suffix];
            let places = 10_u128.pow(u32::try_from(fraction.len()).unwrap());
            let digits = integer * places + fraction.parse::<u128>().unwrap_or(0);
            let exact = (digits * factor * parts).div_ceil(places * divisor);
            let expected = u64::try_from(exact).unwrap_or(MAX).min(MAX);
            let text = format!("{integer}.{fraction}{suffix}");
            prop_assert_eq!(rounded_up(&text, parts), Ok(expected), "{}", text);
        }

        /// However far behind the point a digit stands, it counts, and counts for less than one unit.
        #[test]
        fn no_digit_is_lost(integer in 0_u64..MAX, zeros in 0_usize..200, digit in 0_u64..10) {
            let text = format!("{integer}.{}{digit}", "0".repeat(zeros));
            prop_assert_eq!(whole(&text), Ok(integer + u64::from(digit > 0)), "{}", text);
        }

        #[test]
        fn no_text_does_harm(text in "\\PC{0,40}|[-+.0-9eEinumkKMGTPB]{0,40}") {
            let read = whole(&text);
            prop_assert!(read.is_err() || read.unwrap() <= MAX);
        }
    }
}
