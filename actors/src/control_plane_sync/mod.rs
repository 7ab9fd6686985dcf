//! ControlPlaneSync: what the control plane, or a folder of manifests, wants of this device.
//!
//! `actor` asks and publishes; `server` is the control plane, `identity` who the device is there,
//! `folder` the manifests of a device without one. Both give the same `specification`s, of which
//! `state` keeps those in force.

mod actor;
mod call_stats;
mod diagnostic;
mod event_ring;
mod folder;
#[cfg(feature = "testing")]
pub mod fuzz_entry;
mod identity;
mod server;
mod source;
mod specification;
mod state;
mod status;
mod tasks;
mod withheld;

pub use actor::{ControlPlaneSync, SyncDeps};
pub use diagnostic::Diagnostic;
pub use folder::source::{Manifests, manifests_in, manifests_once};
pub use identity::certificate::{CertificateError, ClientIdentity, KeyFamily, Validity};
pub use identity::error::IdentityError;
pub use identity::files::{Identities, IdentityFiles};
pub use server::advice;
pub use server::api::{
    Answer, Completeness, ConfigurationSource, ControlAnswer, ControlPlaneApi, EnrolmentAnswer,
    Heartbeat,
};
pub use server::client::{HttpsClient, ServerSettings};
pub use server::error::{Call, ControlPlaneError, Message};
pub use server::wire::AgentStatus;
pub use source::{ConfigurationStore, Restored, Source, stored_in};
pub use specification::{known_annotations, objectives_of};
