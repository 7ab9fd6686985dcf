//! Device profiles, the metrics that they look at, and the verdicts on them.

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
