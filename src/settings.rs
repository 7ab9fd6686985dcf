//! The one table of settings: flags, variables, the documentation and the example come from it.

/// One setting of the agent.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the configuration file; `EDGE_DEVICE_` in front makes the variable.
    pub key: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its default.
    pub default: Fallback,
    /// Under which heading people find it.
    pub group: Group,
    /// What it does, in one line.
    pub summary: &'static str,
}

/// What counts when a setting is set nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This text, read as if it were written in the file.
    Text(&'static str),
    /// Found out at start; the words say how.
    Found(&'static str),
    /// Nothing: the feature is off, or the setting is needed.
    Nothing,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A log level, or directives for single targets.
    LogLevel,
    /// An https URL with a port.
    Url,
    /// A file that others may read.
    File,
    /// A file that holds a secret: its contents are never shown.
    SecretFile,
    /// A directory.
    Directory,
    /// A unix socket.
    Socket,
    /// A span of time.
    Duration,
    /// A whole number, at least one.
    Count,
    /// A decimal number.
    Number,
    /// One or more addresses to listen on.
    Addresses,
    /// One or more names or addresses of hosts.
    Hosts,
    /// One or more conditions.
    Conditions,
}

impl Kind {
    /// Returns the word that stands for the value in `--help`.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Choice(_) => "WORD",
            Self::LogLevel => "LEVEL",
            Self::Url => "URL",
            Self::File | Self::SecretFile => "FILE",
            Self::Directory => "DIRECTORY",
            Self::Socket => "SOCKET",
            Self::Duration => "DURATION",
            Self::Count | Self::Number => "NUMBER",
            Self::Addresses => "ADDRESSES",
            Self::Hosts => "HOSTS",
            Self::Conditions => "CONDITIONS",
        }
    }
}

impl Kind {
    /// Returns the words to choose from; none where the value is free.
    #[must_use]
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            Self::Text
            | Self::LogLevel
            | Self::Url
            | Self::File
            | Self::SecretFile
            | Self::Directory
            | Self::Socket
            | Self::Duration
            | Self::Count
            | Self::Number
            | Self::Addresses
            | Self::Hosts
            | Self::Conditions => &[],
        }
    }
}

/// The headings of `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Where the workloads come from.
    DesiredState,
    /// Who the device is and what it keeps.
    Device,
    /// What runs the workloads.
    Runtimes,
    /// When a failed workload runs again.
    Retry,
    /// When workloads run by the clock.
    Cron,
    /// Posted metrics.
    Metrics,
    /// The agent itself.
    Agent,
}

impl Group {
    /// Returns the heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::DesiredState => "Where the workloads come from",
            Self::Device => "The device",
            Self::Runtimes => "What runs the workloads",
            Self::Retry => "When a failed workload runs again",
            Self::Cron => "When workloads run by the clock",
            Self::Metrics => "Metrics",
            Self::Agent => "The agent",
        }
    }
}

/// What every variable of ours begins with.
pub const VARIABLE_PREFIX: &str = "EDGE_DEVICE_";

impl Setting {
    /// Returns the environment variable, `EDGE_DEVICE_LOG_LEVEL`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key)
    }

    /// Returns the flag without its dashes, `log-level`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.to_ascii_lowercase().replace('_', "-")
    }
}

/// Returns the setting of that key, in any case of letters.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    ALL.iter().find(|setting| setting.key.eq_ignore_ascii_case(key))
}

/// Returns the reference of all settings for the documentation, in Markdown: a heading and a table
/// for each group. A test compares the two.
#[must_use]
pub fn markdown() -> String {
    let mut reference = String::new();
    let mut group = None;
    for setting in ALL {
        if group.replace(setting.group) != Some(setting.group) {
            reference += &format!(
                "\n## {}\n\n| setting | flag | default | what it does |\n|---|---|---|---|\n",
                setting.group.heading(),
            );
        }
        let default = match setting.default {
            Fallback::Text(text) => format!("`{text}`"),
            Fallback::Found(how) => how.to_owned(),
            Fallback::Nothing => String::new(),
        };
        let (key, flag, placeholder) = (setting.key, setting.flag(), setting.kind.placeholder());
        let summary = setting.summary;
        reference += &format!("| `{key}` | `--{flag} {placeholder}` | {default} | {summary} |\n");
    }
    reference
}

const fn setting(
    key: &'static str,
    kind: Kind,
    default: Fallback,
    group: Group,
    summary: &'static str,
) -> Setting {
    Setting { key, kind, default, group, summary }
}

use Fallback::{Found, Nothing, Text as Is};
use Group::{Agent, Cron, DesiredState, Device, Metrics, Retry, Runtimes};

/// Every setting, in the order in which people meet them.
#[rustfmt::skip]
pub static ALL: &[Setting] = &[
    setting("SERVER", Kind::Url, Nothing, DesiredState,
        "Control plane, https://host:port; this or MANIFESTS is needed"),
    setting("CA_ROOT", Kind::File, Nothing, DesiredState,
        "Certificates of the authorities that the control plane is checked against (PEM)"),
    setting("CERT", Kind::File, Nothing, DesiredState,
        "Client certificate for the first registration (PEM)"),
    setting("KEY", Kind::SecretFile, Nothing, DesiredState,
        "Private key of CERT (PEM)"),
    setting("MANIFESTS", Kind::Directory, Nothing, DesiredState,
        "Directory of EdgeDevice and EdgeWorkload files, instead of SERVER"),

    setting("DEVICE_ID", Kind::Text, Found("/etc/machine-id, else one made once and kept in STATE_DIR"), Device,
        "Name of this device: lower-case letters, digits and dashes"),
    setting("NAMESPACE", Kind::Text, Is("default"), Device,
        "Kubernetes namespace in which the device enrols"),
    setting("STATE_DIR", Kind::Directory,
        Found("/var/lib/device-worker-ng as root, else $XDG_STATE_HOME/device-worker-ng"), Device,
        "Where the last configuration and the device's certificate are kept"),

    setting("PODMAN_SOCKET", Kind::Socket, Is("/run/podman/podman.sock"), Runtimes,
        "Socket of root's podman"),
    setting("XDG_RUNTIME_DIR", Kind::Directory, Found("$XDG_RUNTIME_DIR, unless the agent runs as root"), Runtimes,
        "Runtime directory of the user who runs rootless pods, /run/user/1000"),
    setting("PODMAN_ROOTLESS_SOCKET", Kind::Socket, Found("XDG_RUNTIME_DIR/podman/podman.sock"), Runtimes,
        "Socket of that user's podman"),
    setting("KUBECONFIG", Kind::File, Nothing, Runtimes,
        "Access to the cluster that runs k8s workloads; in-cluster: the one that the agent runs in"),
    setting("START_BUDGET", Kind::Count, Is("4"), Runtimes,
        "How many workloads may be pulled, and how many started, at the same time on each runtime"),
    setting("SETTLING_TIME", Kind::Duration, Is("10s"), Runtimes,
        "Time between stops, or starts, of different priorities that one profile asks for"),
    setting("PROTECT", Kind::Conditions, Nothing, Runtimes,
        "What the device keeps by restraining workloads, psi_mem_full < 5%; a list, or semicolons"),
    setting("IMAGE_PRUNE_AFTER", Kind::Duration, Is("24h"), Runtimes,
        "How long an image that only removed workloads used is kept; never: for ever"),
    setting("CONTAINER_LOG_SIZE", Kind::Text, Is("10mb"), Runtimes,
        "Size at which podman cuts a container's log: a whole number with kb, mb or gb"),

    setting("RETRY_BACKOFF", Kind::Choice(&["constant", "exponential"]), Is("constant"), Retry,
        "Whether the delay before a retry stays the same or grows, up to 5m"),
    setting("RETRY_PERIOD", Kind::Duration, Is("20s"), Retry,
        "The delay, when constant"),
    setting("RETRY_INITIAL", Kind::Duration, Is("1s"), Retry,
        "The first delay, when exponential"),
    setting("RETRY_MULTIPLIER", Kind::Number, Is("2"), Retry,
        "The factor from one delay to the next, 1 to 100, when exponential"),
    setting("RETRY_RANDOMIZATION", Kind::Number, Is("0.2"), Retry,
        "The share by which a delay varies at random, 0 to 1, when exponential"),

    setting("CRON_CLOCK", Kind::Choice(&["synchronized", "plausible", "any"]), Is("plausible"), Cron,
        "The clock that cron follows: synchronized, plausible (later than what is on disk) or any"),
    setting("CRON_CLOCK_GRACE", Kind::Duration, Is("5m"), Cron,
        "Time since boot after which a plausible clock is followed without being synchronized"),

    setting("METRICS_LISTEN", Kind::Addresses, Is("localhost:8080"), Metrics,
        "Where metrics are taken: localhost:port, address:port or unix:/path; a list, or commas"),
    setting("METRICS_HOSTS", Kind::Hosts, Nothing, Metrics,
        "Names by which clients may call the listener, besides localhost; a list, or commas"),
    setting("METRIC_TTL", Kind::Duration, Nothing, Metrics,
        "Time after which a metric that is not posted again counts as nil; without it, never"),

    setting("LOG_LEVEL", Kind::LogLevel, Is("info"), Agent,
        "error, warn, info, debug or trace; also for single targets: info,actors::scheduler=debug"),
    setting("LOG_FORMAT", Kind::Choice(&["json", "pretty"]), Is("json"), Agent,
        "json for machines, pretty for people"),
    setting("GRACEFUL_SHUTDOWN", Kind::Duration, Is("5s"), Agent,
        "How long work under way may take to end when the agent stops; pods keep running"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_unique_and_upper_case() {
        let keys: BTreeSet<_> = ALL.iter().map(|setting| setting.key).collect();
        assert_eq!(keys.len(), ALL.len());
        for key in keys {
            assert!(key.chars().all(|c| c.is_ascii_uppercase() || c == '_'), "{key}");
        }
    }

    #[test]
    fn a_key_is_found_in_any_case() {
        for key in ["LOG_LEVEL", "log_level", "Log_Level"] {
            assert_eq!(find(key).unwrap().key, "LOG_LEVEL");
        }
        assert_eq!(find("LOGLEVEL"), None);
    }

    #[test]
    fn flag_and_variable_follow_from_the_key() {
        let setting = find("CA_ROOT").unwrap();
        assert_eq!(setting.flag(), "ca-root");
        assert_eq!(setting.variable(), "EDGE_DEVICE_CA_ROOT");
    }

    #[test]
    fn the_reference_has_a_row_for_each_setting_and_a_heading_for_each_group() {
        let reference = markdown();
        let rows: Vec<_> = reference.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), ALL.len());
        assert!(rows.iter().all(|row| row.matches('|').count() == 5), "{reference}");
        assert!(reference.contains("| `START_BUDGET` | `--start-budget NUMBER` | `4` | How many"));
        assert_eq!(reference.matches("\n## ").count(), 7);
    }

    #[test]
    fn summaries_fit_a_line() {
        for setting in ALL {
            assert!(setting.summary.len() <= 90, "{}", setting.key);
            assert!(!setting.summary.ends_with('.'), "{}", setting.key);
        }
    }
}
