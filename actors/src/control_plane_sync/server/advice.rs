//! What to do when the control plane withholds something: the same words in the log, in the status
//! and in `docs/operations.md`. Pure.

use crate::control_plane_sync::server::error::{Call, ControlPlaneError};

/// The operator answers a question for the configuration with 500.
pub const MISSING_OBJECT: &str = "look for a Secret, ConfigMap or auth file that a workload of \
    this device names and that is missing in its namespace: for want of one the operator gives \
    out no configuration at all, so that no change and no deletion reaches the device";
/// A registration is answered with 500.
pub const REGISTERED_BEFORE: &str = "most likely the device is registered there already, and lost \
    its certificate: set its label edgedeviceSignedRequest=true again, or delete the EdgeDevice; \
    then it registers by itself";
/// An enrolment is answered with 208, the registration that follows with 404.
pub const MADE_BY_HAND: &str = "there is an EdgeDevice of this name that no enrolment made, \
    probably with kubectl: delete it, let the device enrol, then label it and add its profiles; \
    the label for signed requests does not help here";
/// An enrolment is pending.
pub const NOT_APPROVED: &str =
    "approve its EdgeDeviceSignedRequest, or let the operator approve devices by itself";
/// The device's certificate is refused.
pub const OTHER_AUTHORITY: &str = "the operator's authority was rebuilt, or CERT and KEY are of \
    another operator: replace CA_ROOT, CERT and KEY by its present ones";
/// The certificate is good, and another device's.
pub const OTHER_DEVICE: &str = "the certificate belongs to another device: CERT and KEY must be the \
    registration pair, and STATE_DIR this device's alone";

/// All of them.
pub const ADVICE: [&str; 6] =
    [MISSING_OBJECT, REGISTERED_BEFORE, MADE_BY_HAND, NOT_APPROVED, OTHER_AUTHORITY, OTHER_DEVICE];

/// Returns what is likely to be wrong when `call` fails so for long.
pub(crate) const fn advice(call: Call, error: &ControlPlaneError) -> Option<&'static str> {
    match (call, error) {
        (Call::Configuration, ControlPlaneError::ServerFailed { status: 500, .. }) => {
            Some(MISSING_OBJECT)
        }
        (Call::Registration, ControlPlaneError::ServerFailed { status: 500, .. }) => {
            Some(REGISTERED_BEFORE)
        }
        (Call::Registration, ControlPlaneError::DeviceUnknown { .. }) => Some(MADE_BY_HAND),
        (
            _,
            ControlPlaneError::Unauthorized { .. }
            | ControlPlaneError::ServerNotTrusted { .. }
            | ControlPlaneError::HandshakeRefused { .. },
        ) => Some(OTHER_AUTHORITY),
        (_, ControlPlaneError::Forbidden { .. }) => Some(OTHER_DEVICE),
        (
            _,
            ControlPlaneError::Misconfigured { .. }
            | ControlPlaneError::Manifests { .. }
            | ControlPlaneError::NoSuchHost { .. }
            | ControlPlaneError::Unreachable { .. }
            | ControlPlaneError::TimedOut { .. }
            | ControlPlaneError::DeviceUnknown { .. }
            | ControlPlaneError::NotTheApi { .. }
            | ControlPlaneError::Rejected { .. }
            | ControlPlaneError::ServerFailed { .. }
            | ControlPlaneError::UnexpectedStatus { .. }
            | ControlPlaneError::TooLarge { .. }
            | ControlPlaneError::Undecodable { .. },
        ) => None,
    }
}
