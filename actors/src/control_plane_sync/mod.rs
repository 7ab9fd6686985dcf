//! ControlPlaneSync: what the control plane, or a folder of manifests, wants of this device.

#![allow(
    dead_code,
    unused_imports,
    reason = "the actor that uses these modules joins them next; goes away with it"
)]

mod hardware;
mod manifest_folder;
mod manifests;
mod specification;
mod store;
mod wire;
