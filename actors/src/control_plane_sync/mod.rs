//! ControlPlaneSync: what the control plane, or a folder of manifests, wants of this device.

mod certificate;
mod client;
mod control_plane_error;
mod endpoint;
mod enrolment;
mod event_ring;
mod hardware;
mod identity;
mod pace;
mod specification;
mod tls;
mod wipe_guard;
mod wire;

pub use certificate::{CertificateError, ClientIdentity, KeyFamily, Validity};
pub use client::{
    Answer, ConfigurationSource, ControlAnswer, ControlPlaneApi, EnrolmentAnswer, Heartbeat,
    HttpsClient, ServerSettings,
};
pub use control_plane_error::{Call, ControlPlaneError, Message};
pub use identity::{Identities, IdentityError, IdentityFiles};
pub use wire::AgentStatus;
