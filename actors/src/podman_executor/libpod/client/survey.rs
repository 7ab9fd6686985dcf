//! What podman says of itself and of all that it has, for a report to people: without what may be secret.

mod shown;

use std::time::Duration;

use http::Method;
use serde_json::Value;

use self::shown::shown;
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::http::{Call, LibpodClient, Size};

/// Time for each answer: a report has several, and its reader waits.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Something that podman can be asked for as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survey {
    /// Its host, storage and settings.
    Info,
    /// Its version, and those of its parts.
    Version,
    /// Every pod, the agent's and others.
    Pods,
    /// Every container, in any state.
    Containers,
    /// Every image.
    Images,
    /// Every volume.
    Volumes,
}

impl Survey {
    /// Every survey, in the order in which a reader wants them.
    pub const ALL: [Self; 6] =
        [Self::Info, Self::Version, Self::Pods, Self::Containers, Self::Images, Self::Volumes];

    /// Returns its name, `pods`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Version => "version",
            Self::Pods => "pods",
            Self::Containers => "containers",
            Self::Images => "images",
            Self::Volumes => "volumes",
        }
    }

    fn call(self) -> Call {
        let (what, path) = match self {
            Self::Info => ("read podman's facts", "info"),
            Self::Version => ("read podman's version", "version"),
            Self::Pods => ("list pods", "pods/json"),
            Self::Containers => ("list containers", "containers/json"),
            Self::Images => ("list images", "images/json"),
            Self::Volumes => ("list volumes", "volumes/json"),
        };
        let call = Call::new(what, Method::GET, path).size(Size::All);
        match self {
            Self::Containers => call.query(&[("all", "true")]),
            Self::Info | Self::Version | Self::Pods | Self::Images | Self::Volumes => call,
        }
    }

    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Info => shown::INFO,
            Self::Version => shown::VERSION,
            Self::Pods => shown::PODS,
            Self::Containers => shown::CONTAINERS,
            Self::Images => shown::IMAGES,
            Self::Volumes => shown::VOLUMES,
        }
    }
}

impl LibpodClient {
    /// Returns podman's own answer, reduced to fields that hold no secret: no variable, argument, label
    /// of others, annotation or option of a volume.
    ///
    /// # Errors
    /// podman refuses, or does not answer.
    pub async fn survey(&self, survey: Survey) -> Result<Value, PodmanError> {
        let answer: Value = self.read(survey.call(), TIMEOUT).await?;
        Ok(shown(&answer, survey.fields()))
    }

    /// Returns what podman says of one container, reduced in the same way.
    ///
    /// # Errors
    /// podman refuses, or does not answer.
    pub async fn survey_container(&self, id: &str) -> Result<Value, PodmanError> {
        let call = Call::of("inspect the container", Method::GET, ["containers", id, "json"]);
        let answer: Value = self.read(call.size(Size::One), TIMEOUT).await?;
        Ok(shown(&answer, shown::CONTAINER))
    }
}
