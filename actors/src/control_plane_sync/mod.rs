//! ControlPlaneSync: what the control plane, or a folder of manifests, wants of this device.

mod actor;
pub mod advice;
mod api;
mod ca_root;
mod certificate;
mod client;
mod contact;
mod control_plane_error;
mod desired;
#[cfg(feature = "testing")]
pub mod doors;
mod endpoint;
mod enrolment;
mod errands;
mod event_ring;
mod exposure;
mod hardware;
mod identity;
mod identity_error;
mod manifest_folder;
mod manifest_source;
mod manifests;
mod membership;
mod pace;
mod source;
mod specification;
mod status;
mod store;
mod tls;
mod wipe_guard;
mod wire;
mod withheld;

pub use actor::{ControlPlaneSync, SyncDeps};
pub use api::{
    Answer, Completeness, ConfigurationSource, ControlAnswer, ControlPlaneApi, EnrolmentAnswer,
    Heartbeat,
};
pub use certificate::{CertificateError, ClientIdentity, KeyFamily, Validity};
pub use client::{HttpsClient, ServerSettings};
pub use control_plane_error::{Call, ControlPlaneError, Message};
pub use identity::{Identities, IdentityFiles};
pub use identity_error::IdentityError;
pub use manifest_source::{Manifests, manifests_in, manifests_once};
pub use source::{ConfigurationStore, Restored, Source, stored_in};
pub use wire::AgentStatus;
