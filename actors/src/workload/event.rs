//! What happened once and is reported: to the control plane, in the status and in the log.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::WorkloadName;

/// Severity of an [`Event`], in Kubernetes' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Something happened as it should.
    Normal,
    /// Something needs attention.
    Warn,
}

/// Something that happened once and that the control plane and the device's user should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Follows from the reason.
    pub kind: EventKind,
    /// What sort of event it is.
    pub reason: EventReason,
    /// The workload that it is about; none where it is about the device.
    pub workload: Option<WorkloadName>,
    /// What happened, in plain words; at most 1,024 characters reach the control plane.
    pub message: String,
    /// Wall-clock time.
    pub at: DateTime<Utc>,
}

impl Event {
    /// Makes an event of the reason's severity.
    pub fn new(
        reason: EventReason,
        workload: Option<WorkloadName>,
        message: String,
        at: DateTime<Utc>,
    ) -> Self {
        Self { kind: reason.kind(), reason, workload, message, at }
    }
}

/// Declares the reasons with their severities, so that none can be left out of [`EventReason::ALL`].
macro_rules! event_reasons {
    ($($reason:ident: $kind:ident,)*) => {
        /// The reason of an event, in camel case as in Kubernetes; docs/events.md explains each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "docs/events.md explains each, a test holds it complete")]
        pub enum EventReason {
            $($reason,)*
        }

        impl EventReason {
            /// Every reason, in the order of docs/events.md.
            pub const ALL: &[Self] = &[$(Self::$reason,)*];

            /// Returns the reason as it is shown and sent.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$reason => stringify!($reason),)*
                }
            }

            /// Returns the severity of all events with this reason.
            pub const fn kind(self) -> EventKind {
                match self {
                    $(Self::$reason => EventKind::$kind,)*
                }
            }
        }
    };
}

event_reasons! {
    WorkloadStarted: Normal,
    WorkloadStopped: Normal,
    WorkloadFinished: Normal,
    WorkloadFailed: Warn,
    WorkloadCrashing: Warn,
    WorkloadChanged: Warn,
    WorkloadRejected: Warn,
    UpdateWaits: Normal,
    WorkloadRestrained: Warn,
    RestraintLifted: Normal,
    ObjectiveBroken: Warn,
    UpdateProved: Normal,
    RolledBack: Warn,
    StopFailed: Warn,
    HookFailed: Warn,
    LimitNotApplied: Warn,
    SpecificationAdjusted: Warn,
    RestartPolicyIgnored: Warn,
    DependencyCircle: Warn,
    DependencyUnknown: Warn,
    CronInvalid: Warn,
    CronUnusual: Warn,
    CronIgnored: Warn,
    CronSkipped: Warn,
    CronWaitsForClock: Warn,
    ProfileUnknown: Warn,
    ConditionFailed: Warn,
    UnitMissing: Normal,
    RuntimeUnavailable: Warn,
    RuntimeSlow: Warn,
    RuntimeAvailable: Normal,
    RuntimeFailed: Warn,
    RuntimeNotConfigured: Warn,
    ClusterUnreachable: Warn,
    ClusterReachable: Normal,
    ManifestRefused: Warn,
    FieldUnknown: Warn,
    ManifestAdjusted: Warn,
    ManifestIgnored: Normal,
    ConfigurationRefused: Warn,
    ConfigurationNotStored: Warn,
    StoredConfigurationDamaged: Warn,
    ControlPlaneWithholds: Warn,
    DeviceDeleted: Warn,
    DeviceNotEnrolled: Warn,
    RegistrationForbidden: Warn,
    IdentityRefused: Warn,
    IdentityUnusable: Warn,
    IdentityNeedsAttention: Warn,
    MetricsListenFailed: Warn,
}

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for EventReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
