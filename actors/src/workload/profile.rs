//! Device profiles, the metrics that they look at, and the verdicts on them; objectives of the device, and
//! the steps by which workloads are restrained to keep them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConditionName, MetricName, ProfileName};

/// A posted metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric that it is a value of.
    pub name: MetricName,
    /// Its value; always finite.
    pub value: f64,
    /// The unit that the sender gave.
    pub unit: Option<String>,
    /// How long the value counts; `None` means the agent's default.
    pub ttl: Option<Duration>,
}

/// A condition of a device profile, as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileCondition {
    /// Unique in its profile.
    pub name: ConditionName,
    /// The expression, in the language of the crate `grammar`.
    pub expression: String,
}

/// A device profile: named conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Unique on the device.
    pub name: ProfileName,
    /// Its conditions.
    pub conditions: Vec<ProfileCondition>,
}

/// The outcome of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The expression holds.
    True,
    /// The expression does not hold.
    False,
    /// A metric that decides was never posted or is stale.
    Unknown,
    /// The expression does not parse, or units do not fit; says why.
    Failed(Arc<str>),
}

impl Verdict {
    /// Returns the word used in logs and on the status page.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
            Self::Failed(_) => "failed",
        }
    }

    /// Returns whether workloads may run by this verdict.
    #[must_use]
    pub fn is_true(&self) -> bool {
        matches!(self, Self::True)
    }
}

/// The verdicts on every condition of one profile.
pub type ProfileVerdicts = BTreeMap<ConditionName, Verdict>;

/// The verdicts on every condition of every profile. A profile whose verdicts did not change keeps
/// its `Arc`, so that a reader cheaply sees what changed.
pub type Verdicts = BTreeMap<ProfileName, Arc<ProfileVerdicts>>;

/// The profile that the objectives of a device are evaluated as: one condition for each. No profile of a
/// workload is called so.
pub const PROTECTION: &str = "device/protect";

/// A condition that the device is to keep, by restraining workloads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// Unique on the device.
    pub name: ConditionName,
    /// The expression, in the language of the crate `grammar`.
    pub keep: String,
    /// Time after each step until its effect is judged.
    pub settling: Duration,
    /// Time for which it must hold before a step is taken back.
    pub calm: Duration,
}

/// One way to restrain a workload, from the gentlest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// It gets little CPU time.
    Throttle,
    /// Memory is taken back from it.
    Squeeze,
    /// It is frozen: it keeps its memory and its connections, and does nothing.
    Freeze,
    /// It is stopped.
    Stop,
}

impl Rung {
    /// All of them, from the gentlest on.
    pub const ALL: [Self; 4] = [Self::Throttle, Self::Squeeze, Self::Freeze, Self::Stop];

    /// Returns the word for it in specifications, and on the status page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Squeeze => "squeeze",
            Self::Freeze => "freeze",
            Self::Stop => "stop",
        }
    }

    /// Returns what a workload is while it is in force.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Throttle => "throttled",
            Self::Squeeze => "squeezed",
            Self::Freeze => "frozen",
            Self::Stop => "stopped",
        }
    }
}

/// The ways in which a workload may be restrained; by default all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Rung>", into = "Vec<Rung>")]
pub struct Rungs([bool; 4]);

impl Rungs {
    /// None: it is never touched.
    pub const NONE: Self = Self([false; 4]);

    /// Returns whether `rung` is among them.
    #[must_use]
    pub fn contains(self, rung: Rung) -> bool {
        self.iter().any(|own| own == rung)
    }

    /// Returns them, from the gentlest on.
    pub fn iter(self) -> impl Iterator<Item = Rung> {
        Rung::ALL.into_iter().zip(self.0).filter(|(_, is_in)| *is_in).map(|(rung, _)| rung)
    }

    /// Returns those of them that `is_kept`.
    #[must_use]
    pub fn only(self, is_kept: impl Fn(Rung) -> bool) -> Self {
        self.iter().filter(|rung| is_kept(*rung)).collect()
    }
}

impl Default for Rungs {
    fn default() -> Self {
        Self([true; 4])
    }
}

impl FromIterator<Rung> for Rungs {
    fn from_iter<I: IntoIterator<Item = Rung>>(rungs: I) -> Self {
        let rungs: Vec<_> = rungs.into_iter().collect();
        Self(Rung::ALL.map(|rung| rungs.contains(&rung)))
    }
}

impl From<Vec<Rung>> for Rungs {
    fn from(rungs: Vec<Rung>) -> Self {
        rungs.into_iter().collect()
    }
}

impl From<Rungs> for Vec<Rung> {
    fn from(rungs: Rungs) -> Self {
        rungs.iter().collect()
    }
}
