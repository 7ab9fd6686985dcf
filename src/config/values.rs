//! The spellings of plain values: durations, numbers, names, paths.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actors::k8s_executor::ClusterAccess;
use actors::scheduler::CronClock;
use actors::workload::DeviceId;

/// Longest time that a setting may ask for: a year.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);
/// Most conditions of a list.
const MAX_CONDITIONS: usize = 32;
/// Longest RFC 1123 label.
const MAX_LABEL: usize = 63;

/// Why a value is not what its setting needs; says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub(super) String);

pub(super) fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Returns the word of `words` that `text` is, in any case of letters.
pub(super) fn choice(text: &str, words: &[&'static str]) -> Result<&'static str, ValueError> {
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
        .ok_or_else(|| ValueError(format!("\"{text}\" is not one of {}", words.join(", "))))
}

/// Reads `5s`, `500ms`, `1h30m`, `1d`, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let wrong = || {
        ValueError(format!(
            "\"{text}\" is not a duration; write 500ms, 5s, 1h30m, 1d, or a number of seconds"
        ))
    };
    within_a_year(seconds.or_else(|| grammar::duration(text)).ok_or_else(wrong)?)
}

fn within_a_year(duration: Duration) -> Result<Duration, ValueError> {
    if duration > MAX_DURATION {
        return refuse("is longer than a year");
    }
    Ok(duration)
}

/// Reads a duration that is not zero.
pub(super) fn positive_duration(text: &str) -> Result<Duration, ValueError> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return refuse("is zero; write at least 1ms");
    }
    Ok(duration)
}

/// Reads a span of time over zero; `never` is none.
pub(super) fn duration_or_never(text: &str) -> Result<Option<Duration>, ValueError> {
    if text == "never" { Ok(None) } else { positive_duration(text).map(Some) }
}

/// Reads a size as podman does: a whole number over zero with its unit.
pub(super) fn log_size(text: &str) -> Result<String, ValueError> {
    let size = text.to_ascii_lowercase();
    let number = ["kb", "mb", "gb"].iter().find_map(|unit| size.strip_suffix(unit));
    match number.map(str::parse::<u32>) {
        Some(Ok(1..)) => Ok(size),
        Some(Ok(0) | Err(_)) | None => {
            refuse(&format!("\"{text}\" is no size; write a whole number and kb, mb or gb: 10mb"))
        }
    }
}

/// Reads a decimal number from `least` to `most`.
pub(super) fn number(text: &str, least: f64, most: f64) -> Result<f64, ValueError> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => refuse(&format!("\"{text}\" is not a number from {least} to {most}")),
    }
}

/// Reads conditions, separated by semicolons.
pub(super) fn conditions(text: &str) -> Result<Vec<String>, ValueError> {
    let texts = text.split(';').map(str::trim).filter(|text| !text.is_empty());
    let read = |text: &str| match grammar::Condition::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => refuse(&format!("\"{text}\" is no condition: {error}")),
    };
    let conditions: Vec<_> = texts.map(read).collect::<Result<_, _>>()?;
    match conditions.len() {
        ..=MAX_CONDITIONS => Ok(conditions),
        count => {
            refuse(&format!("{count} conditions are too many; write at most {MAX_CONDITIONS}"))
        }
    }
}

/// Reads a whole number from 1 to 1000.
pub(super) fn count(text: &str) -> Result<usize, ValueError> {
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(count),
        Ok(_) | Err(_) => refuse(&format!("\"{text}\" is not a whole number from 1 to 1000")),
    }
}

/// Returns which wall clock cron follows by this word, and when.
pub(super) fn cron_clock(word: &str, grace: Duration) -> CronClock {
    match word {
        "synchronized" => CronClock::Synchronized,
        "any" => CronClock::Any,
        _ => CronClock::Plausible { grace },
    }
}

/// Reads a lower-case RFC 1123 label.
pub(super) fn label(text: &str) -> Result<String, ValueError> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    let lower = text.to_ascii_lowercase().replace('_', "-");
    let advice = if is_label(&lower) { format!("; write {lower}") } else { String::new() };
    refuse(&format!(
        "\"{text}\" is not made of at most {MAX_LABEL} lower-case letters, digits and inner dashes{advice}"
    ))
}

/// Reads a device id.
pub(super) fn device_id(text: &str) -> Result<DeviceId, ValueError> {
    label(text).map(DeviceId::from)
}

/// Reads the path of a unix socket, which need not be there yet.
pub(super) fn socket(text: &str) -> Result<PathBuf, ValueError> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    // `unix:///run/x` as podman writes it: two slashes more.
    let path = path.strip_prefix("//").unwrap_or(path);
    if !Path::new(path).is_absolute() {
        return refuse(&format!("\"{text}\" is not an absolute path"));
    }
    Ok(PathBuf::from(path))
}

/// Returns the path made absolute, so that it means the same wherever it is shown.
pub(super) fn path(text: &str) -> Result<PathBuf, ValueError> {
    std::path::absolute(text).map_err(|error| ValueError(format!("\"{text}\": {error}")))
}

/// Reads the path of a directory that is there.
pub(super) fn directory(text: &str) -> Result<PathBuf, ValueError> {
    let path = path(text)?;
    match std::fs::read_dir(&path) {
        Ok(_) => Ok(path),
        Err(error) => {
            refuse(&format!("{} is not a directory that can be read: {error}", path.display()))
        }
    }
}

/// Reads where the access to a cluster stands: in a file, which need not be there yet, or in what
/// that cluster gives to its pods.
pub(super) fn cluster(text: &str) -> Result<ClusterAccess, ValueError> {
    if text == "in-cluster" {
        return Ok(ClusterAccess::InCluster);
    }
    let path = path(text)?;
    if path.is_dir() {
        return refuse(&format!("{} is a directory", path.display()));
    }
    Ok(ClusterAccess::Kubeconfig(path))
}

/// Reads the path of a file that is there and can be opened.
pub(super) fn file(text: &str) -> Result<PathBuf, ValueError> {
    let path = path(text)?;
    let is_directory = path.is_dir();
    match std::fs::File::open(&path) {
        Ok(_) if is_directory => refuse(&format!("{} is a directory", path.display())),
        Ok(_) => Ok(path),
        Err(error) => refuse(&format!("{} cannot be read: {error}", path.display())),
    }
}

pub(super) fn refuse<T>(reason: &str) -> Result<T, ValueError> {
    Err(ValueError(reason.to_owned()))
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
