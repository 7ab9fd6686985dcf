//! How the containers of a pod do, by their probes.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// What the probes of one container have found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its startup probe has not succeeded yet, so no other is run.
    Starting {
        /// The last failure; `None` before the first attempt.
        reason: Option<String>,
    },
    /// It has started, and its readiness probe, if it has one, succeeded last.
    Ready,
    /// It has started, and is not ready to be used.
    NotReady {
        /// The last failure; `None` before the first attempt.
        reason: Option<String>,
    },
    /// Its liveness or startup probe has failed as often as it may: the container is to be ended.
    Failing {
        /// Which probe, and its last failure.
        reason: String,
        /// Time between SIGTERM and SIGKILL; `None` is the pod's own.
        grace: Option<Duration>,
    },
}

impl Health {
    /// Returns its name as it is shown.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Starting { .. } => "starting",
            Self::Ready => "ready",
            Self::NotReady { .. } => "unready",
            Self::Failing { .. } => "failing",
        }
    }

    /// Returns why the container is not ready.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Starting { reason } | Self::NotReady { reason } => reason.as_deref(),
            Self::Failing { reason, .. } => Some(reason),
            Self::Ready => None,
        }
    }
}

/// The health of one container that has probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerHealth {
    /// The container's name in the pod specification.
    pub container: String,
    /// What its probes have found.
    pub health: Health,
}

impl Serialize for ContainerHealth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ContainerHealth", 3)?;
        fields.serialize_field("container", &self.container)?;
        fields.serialize_field("state", self.health.as_str())?;
        fields.serialize_field("reason", &self.health.reason())?;
        fields.end()
    }
}

impl fmt::Display for ContainerHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.health {
            Health::NotReady { .. } => "not ready",
            Health::Starting { .. } | Health::Ready | Health::Failing { .. } => {
                self.health.as_str()
            }
        };
        write!(f, "container {} is {state}", self.container)?;
        match self.health.reason() {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// The health of a pod: of each of its containers that has probes. A pod without probes is ready
/// whenever it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PodHealth(pub Vec<ContainerHealth>);

impl PodHealth {
    /// Returns whether every container is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|it| it.health == Health::Ready)
    }

    /// Returns the first container whose probes have given it up.
    #[must_use]
    pub fn failing(&self) -> Option<&ContainerHealth> {
        self.0.iter().find(|it| matches!(it.health, Health::Failing { .. }))
    }

    /// Returns the grace period that the probe has which gave a container up, if it has one of its own.
    #[must_use]
    pub fn grace(&self) -> Option<Duration> {
        match self.failing()?.health {
            Health::Failing { grace, .. } => grace,
            Health::Starting { .. } | Health::Ready | Health::NotReady { .. } => None,
        }
    }

    /// Returns the first container that is not ready.
    #[must_use]
    pub fn unready(&self) -> Option<&ContainerHealth> {
        self.failing().or_else(|| self.0.iter().find(|it| it.health != Health::Ready))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(healths: &[Health]) -> PodHealth {
        let names = ["a", "b", "c"].into_iter();
        let of = |(container, health): (&str, &Health)| ContainerHealth {
            container: container.to_owned(),
            health: health.clone(),
        };
        PodHealth(names.zip(healths).map(of).collect())
    }

    #[test]
    fn a_pod_is_as_well_as_the_least_healthy_of_its_containers() {
        let starting = Health::Starting { reason: None };
        let not_ready = Health::NotReady { reason: Some("readinessProbe: HTTP 503".to_owned()) };
        let failing = Health::Failing { reason: "livenessProbe: HTTP 500".to_owned(), grace: None };
        for (healths, unready, is_failing) in [
            (vec![], None, false),
            (vec![Health::Ready], None, false),
            (vec![Health::Ready, starting.clone()], Some("container b is starting"), false),
            (
                vec![not_ready.clone(), starting],
                Some("container a is not ready: readinessProbe: HTTP 503"),
                false,
            ),
            (
                vec![not_ready, Health::Ready, failing],
                Some("container c is failing: livenessProbe: HTTP 500"),
                true,
            ),
        ] {
            let pod = pod(&healths);
            assert_eq!(pod.unready().map(ToString::to_string).as_deref(), unready, "{healths:?}");
            assert_eq!(pod.is_ready(), unready.is_none(), "{healths:?}");
            assert_eq!(pod.failing().is_some(), is_failing, "{healths:?}");
        }
    }
}
