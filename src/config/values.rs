//! What settings may hold: newtypes that are right by construction, and their spellings.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use actors::workload::DeviceId;

/// Longest time that a setting may ask for: a year.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest RFC 1123 label.
const MAX_LABEL: usize = 63;
/// Crates whose records a bare log level is about; it never makes libraries chatty.
const OUR_TARGETS: [&str; 3] = ["device_worker_ng", "actors", "grammar"];

/// Why a value is not what its setting needs; says how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub(crate) String);

/// The control plane's address: https, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    authority: String,
    host: String,
    port: u16,
}

impl ServerUrl {
    /// Returns the host: a name, an IPv4 address, or an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority)
    }
}

impl FromStr for ServerUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        if !scheme.eq_ignore_ascii_case("https") {
            // The value is not shown whole: a password may stand in it.
            return refuse("is not an https address; write https://host:port");
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return refuse("holds a user name; certificates alone identify the device");
        }
        if authority.contains(['/', '?', '#']) {
            return refuse("has a path; write only https://host:port");
        }
        let (host, port) = split_port(authority).ok_or_else(|| {
            ValueError(format!(
                "\"{text}\" has no port; write https://{authority}:8043 or the port that it has"
            ))
        })?;
        let port = match port.parse() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => {
                return refuse(&format!("has port \"{port}\", which is not 1 to 65535"));
            }
        };
        if !is_host(host) {
            return refuse(&format!(
                "has host \"{host}\", which is neither a name nor an address"
            ));
        }
        Ok(Self {
            authority: authority.to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
        })
    }
}

/// Splits `host:port`; the colons inside the brackets of an IPv6 address do not count.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    let (host, port) = authority.rsplit_once(':')?;
    (!port.ends_with(']')).then_some((host, port))
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address
            .strip_suffix(']')
            .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    // A name of digits and dots alone can only be meant as an address.
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    host.len() <= 253
        && host
            .split('.')
            .all(|label| is_label(&label.to_ascii_lowercase()))
}

fn is_label(text: &str) -> bool {
    (1..=MAX_LABEL).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel {
    written: String,
    directives: String,
}

impl LogLevel {
    /// Returns the directives in the language of `tracing_subscriber::EnvFilter`.
    #[must_use]
    pub fn directives(&self) -> &str {
        &self.directives
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl FromStr for LogLevel {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let mut directives = Vec::new();
        for part in text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part.split_once('=') {
                Some((target, level)) => {
                    let level = log_level(level)?;
                    directives.push(format!("{}={level}", log_target(target)?));
                }
                None => {
                    let level = log_level(part)?;
                    let others = if level == "error" || level == "off" {
                        level
                    } else {
                        "warn"
                    };
                    directives.push(others.to_owned());
                    directives.extend(OUR_TARGETS.map(|target| format!("{target}={level}")));
                }
            }
        }
        if directives.is_empty() {
            return refuse("names no level; write info");
        }
        Ok(Self {
            written: text.to_owned(),
            directives: directives.join(","),
        })
    }
}

fn log_level(text: &str) -> Result<&'static str, ValueError> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    choice(text.trim(), &LEVELS)
}

/// Returns the target if it is a Rust path; spans and fields of `EnvFilter` are not offered.
fn log_target(text: &str) -> Result<&str, ValueError> {
    let target = text.trim();
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':' || c == '-';
    if target.is_empty() || !target.chars().all(legal) {
        return refuse(&format!("has target \"{target}\", which is no module path"));
    }
    Ok(target)
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Returns the word of `words` that `text` is, in any case of letters.
pub(crate) fn choice(text: &str, words: &[&'static str]) -> Result<&'static str, ValueError> {
    words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
        .ok_or_else(|| ValueError(format!("\"{text}\" is not one of {}", words.join(", "))))
}

/// An address on which metrics are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// One address.
    Tcp(SocketAddr),
    /// The loopback addresses of both families, with this port.
    Localhost(u16),
    /// A unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Returns whether only this machine can reach it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Localhost(_) | Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(socket(path)?));
        }
        let listen = match text.strip_prefix("localhost:") {
            Some(port) => port.parse().map(Self::Localhost).ok(),
            None => text.parse().map(Self::Tcp).ok(),
        };
        listen.ok_or_else(|| {
            ValueError(format!(
                "\"{text}\" is none of localhost:8080, 127.0.0.1:8080, [::1]:8080, unix:/path"
            ))
        })
    }
}

/// Reads addresses separated by commas.
pub(crate) fn addresses(text: &str) -> Result<Vec<Listen>, ValueError> {
    let mut addresses: Vec<Listen> = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let address = part.parse()?;
        if addresses.contains(&address) {
            return refuse(&format!("names {part} twice"));
        }
        addresses.push(address);
    }
    if addresses.is_empty() {
        return refuse("names no address; write localhost:8080");
    }
    Ok(addresses)
}

/// Reads `5s`, `500ms`, `1m30s`, or a bare number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
    let wrong = || {
        ValueError(format!(
            "\"{text}\" is not a duration; write 500ms, 5s, 2m, 1h, or a number of seconds"
        ))
    };
    if let Ok(seconds) = text.parse() {
        return within_a_year(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(unit_at);
        let next = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(next);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let part = match unit {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            "h" => Duration::from_secs(number.saturating_mul(3600)),
            _ => return Err(wrong()),
        };
        total = total.saturating_add(part);
        rest = tail;
    }
    if text.is_empty() {
        return Err(wrong());
    }
    within_a_year(total)
}

fn within_a_year(duration: Duration) -> Result<Duration, ValueError> {
    if duration > MAX_DURATION {
        return refuse("is longer than a year");
    }
    Ok(duration)
}

/// Reads a duration that is not zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, ValueError> {
    let duration = duration(text)?;
    if duration.is_zero() {
        return refuse("is zero; write at least 1ms");
    }
    Ok(duration)
}

/// Reads a decimal number from `least` to `most`.
pub(crate) fn number(text: &str, least: f64, most: f64) -> Result<f64, ValueError> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        Ok(_) | Err(_) => refuse(&format!(
            "\"{text}\" is not a number from {least} to {most}"
        )),
    }
}

/// Reads a whole number from 1 to 1000.
pub(crate) fn count(text: &str) -> Result<usize, ValueError> {
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(count),
        Ok(_) | Err(_) => refuse(&format!("\"{text}\" is not a whole number from 1 to 1000")),
    }
}

/// Reads a lower-case RFC 1123 label.
pub(crate) fn label(text: &str) -> Result<String, ValueError> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    let lower = text.to_ascii_lowercase().replace('_', "-");
    let advice = if is_label(&lower) {
        format!("; write {lower}")
    } else {
        String::new()
    };
    refuse(&format!(
        "\"{text}\" is not made of at most {MAX_LABEL} lower-case letters, digits and inner dashes{advice}"
    ))
}

/// Reads a device id.
pub(crate) fn device_id(text: &str) -> Result<DeviceId, ValueError> {
    label(text).map(DeviceId::from)
}

/// Reads the path of a unix socket, which need not be there yet.
pub(crate) fn socket(text: &str) -> Result<PathBuf, ValueError> {
    let path = text.strip_prefix("unix:").unwrap_or(text);
    // `unix:///run/x` as podman writes it: two slashes more.
    let path = path.strip_prefix("//").unwrap_or(path);
    if !Path::new(path).is_absolute() {
        return refuse(&format!("\"{text}\" is not an absolute path"));
    }
    Ok(PathBuf::from(path))
}

/// Returns the path made absolute, so that it means the same wherever it is shown.
pub(crate) fn path(text: &str) -> Result<PathBuf, ValueError> {
    std::path::absolute(text).map_err(|error| ValueError(format!("\"{text}\": {error}")))
}

/// Reads the path of a directory that is there.
pub(crate) fn directory(text: &str) -> Result<PathBuf, ValueError> {
    let path = path(text)?;
    match std::fs::read_dir(&path) {
        Ok(_) => Ok(path),
        Err(error) => refuse(&format!(
            "{} is not a directory that can be read: {error}",
            path.display()
        )),
    }
}

/// Reads the path of a file that is there and can be opened.
pub(crate) fn file(text: &str) -> Result<PathBuf, ValueError> {
    let path = path(text)?;
    let is_directory = path.is_dir();
    match std::fs::File::open(&path) {
        Ok(_) if is_directory => refuse(&format!("{} is a directory", path.display())),
        Ok(_) => Ok(path),
        Err(error) => refuse(&format!("{} cannot be read: {error}", path.display())),
    }
}

fn refuse<T>(reason: &str) -> Result<T, ValueError> {
    Err(ValueError(reason.to_owned()))
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
