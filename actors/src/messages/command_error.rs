//! Why an executor did not do what it was asked to.

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// An image could not be brought to the device.
    #[error("failed to pull image {image}: {message}")]
    Pull {
        /// The image as the specification names it.
        image: String,
        /// What the runtime said.
        message: String,
    },
    /// The pod could not be created or did not start. What was created has been removed, or none of it runs:
    /// a cluster keeps a Deployment without replica.
    #[error("failed to start the pod: {message}")]
    Start {
        /// What the runtime said.
        message: String,
    },
    /// What the runtime has stored is damaged. Nothing of the pod runs.
    #[error("the pod does not start: {message}")]
    Damaged {
        /// What is damaged, what is done about it, and the way out.
        message: String,
    },
    /// The pod could not be stopped or removed.
    #[error("failed to stop the pod: {message}")]
    Stop {
        /// What the runtime said.
        message: String,
    },
    /// The pod could not be frozen or thawed.
    #[error("failed to freeze or thaw the pod: {message}")]
    Freeze {
        /// What the runtime said.
        message: String,
    },
    /// The specification asks for what this runtime cannot do.
    #[error("the specification cannot be run here: {message}")]
    Unsupported {
        /// What, and the way out.
        message: String,
    },
    /// The runtime did not answer: not the workload's fault.
    #[error("the runtime did not answer: {message}")]
    Unavailable {
        /// What was tried and what came back.
        message: String,
    },
    /// The executor died or hung; what it did so far is unknown.
    #[error("the executor was restarted while it worked on it")]
    Abandoned,
    /// The executor came to the command after its deadline and did nothing.
    #[error("the command waited past its deadline")]
    Expired,
}

impl CommandError {
    /// Returns whether it says nothing of the workload: the runtime or the executor failed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Abandoned | Self::Expired => true,
            Self::Pull { .. }
            | Self::Start { .. }
            | Self::Damaged { .. }
            | Self::Stop { .. }
            | Self::Freeze { .. }
            | Self::Unsupported { .. } => false,
        }
    }
}
