//! ControlPlaneSync: what the control plane, or a folder of manifests, wants of this device.

mod certificate;
mod client;
mod control_plane_error;
mod endpoint;
mod enrolment;
mod event_ring;
mod identity;
mod json;
mod pace;
mod tls;
mod wipe_guard;

pub use certificate::{CertificateError, ClientIdentity, KeyFamily, Validity};
pub use client::{
    AgentStatus, Answer, ConfigurationSource, ControlAnswer, ControlPlaneApi, EnrolmentAnswer,
    Heartbeat, HttpsClient, ServerSettings,
};
pub use control_plane_error::{Call, ControlPlaneError, Message};
pub use identity::{Identities, IdentityError, IdentityFiles};
