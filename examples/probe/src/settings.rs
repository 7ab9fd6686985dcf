//! What the variables say: where the agent is, how often to post, which disk.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::host::Folders;

/// Where the agent listens.
const AGENT: &str = "PROBE_AGENT";
/// Time between two posts, in seconds.
const PERIOD: &str = "PROBE_PERIOD_SECONDS";
/// A path on the file system whose room is posted.
const DISK: &str = "PROBE_DISK";

/// Posts that may be missed before a metric counts as nil.
const PERIODS_TO_LIVE: u32 = 3;

/// How the probe works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the agent listens.
    pub agent: SocketAddr,
    /// Time between two posts.
    pub period: Duration,
    /// A path on the file system whose room is posted.
    pub disk: PathBuf,
}

/// A variable that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    name: &'static str,
    value: String,
    wanted: &'static str,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?} is not {}", self.name, self.value, self.wanted)
    }
}

impl std::error::Error for InvalidSetting {}

impl Settings {
    /// Reads the settings; what is not set has its default.
    ///
    /// # Errors
    /// A variable has a value that cannot be used.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, InvalidSetting> {
        let agent = variable(AGENT).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let period = variable(PERIOD).unwrap_or_else(|| "5".to_owned());
        Ok(Self {
            agent: agent.parse().map_err(|_| InvalidSetting {
                name: AGENT,
                value: agent,
                wanted: "an address and a port, like 127.0.0.1:8080 or [::1]:8080",
            })?,
            period: period
                .parse()
                .ok()
                .filter(|seconds| (1..=3600).contains(seconds))
                .map(Duration::from_secs)
                .ok_or(InvalidSetting {
                    name: PERIOD,
                    value: period,
                    wanted: "a whole number of seconds from 1 to 3600",
                })?,
            disk: variable(DISK).map_or_else(|| PathBuf::from("/"), PathBuf::from),
        })
    }

    /// Returns after what time a metric that is not posted again counts as nil.
    #[must_use]
    pub fn time_to_live(&self) -> Duration {
        self.period.saturating_mul(PERIODS_TO_LIVE)
    }

    /// Returns where the files of the host are.
    #[must_use]
    pub fn folders(&self) -> Folders {
        Folders { disk: self.disk.clone(), ..Folders::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let value = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(value).map_err(|error| error.to_string())
    }

    #[test]
    fn without_variables_the_defaults_hold() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.agent.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.period, Duration::from_secs(5));
        assert_eq!(settings.time_to_live(), Duration::from_secs(15));
        assert_eq!(settings.folders(), Folders::default());
    }

    #[test]
    fn a_variable_beats_its_default() {
        let settings = read(&[(AGENT, "[::1]:9090"), (PERIOD, "60"), (DISK, "/data")]).unwrap();
        assert_eq!(settings.agent.to_string(), "[::1]:9090");
        assert_eq!(settings.period, Duration::from_secs(60));
        assert_eq!(settings.folders().disk, PathBuf::from("/data"));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_refused_by_name() {
        for (name, value) in [
            (AGENT, "localhost:8080"),
            (AGENT, "127.0.0.1"),
            (PERIOD, "0"),
            (PERIOD, "3601"),
            (PERIOD, "5s"),
            (PERIOD, "-1"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{name}: {value:?} is not ")), "{error}");
        }
    }
}
