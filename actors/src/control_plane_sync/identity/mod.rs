//! Who the device is at the control plane: keys, certificates and the way to them.

pub(super) mod certificate;
pub(super) mod enrolment;
pub(super) mod error;
pub(super) mod files;
pub(super) mod membership;
