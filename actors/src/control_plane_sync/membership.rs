//! The device's place in a control plane: which identity it shows, and what it asks for next.

use super::api::{Answer, ControlPlaneApi, EnrolmentAnswer};
use super::certificate::KeyFamily;
use super::control_plane_error::ControlPlaneError;
use super::enrolment::{Enrolment, Step};
use super::identity::IdentityFiles;
use super::identity_error::IdentityError;
use crate::clock::Monotonic;
use futures_util::FutureExt;

/// Which identity the client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The registration pair.
    Registration,
    /// The device's own.
    Device,
}

/// What a step brought.
#[derive(Debug)]
pub(crate) enum Progress {
    /// An answer to the enrolment.
    Enrolment(EnrolmentAnswer),
    /// A certificate, in PEM form.
    Certificate(String),
}

/// Why a step could not even be asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MembershipError {
    /// Something is wrong with the files.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The client cannot work with the identity.
    #[error(transparent)]
    Client(#[from] ControlPlaneError),
    /// The device's own certificate is gone from the disk.
    #[error("failed to find the device's own certificate")]
    NoDeviceIdentity,
}

/// The state of one device.
pub(crate) struct Membership {
    /// How far it is.
    pub(crate) enrolment: Enrolment,
    shown: Option<(Shown, KeyFamily)>,
    /// The control plane has not yet accepted the identity that was adopted last.
    is_unconfirmed: bool,
}

impl Membership {
    /// Starts with what is on the disk; also returns what should be looked at there.
    pub(crate) fn begin(identity: &IdentityFiles, random: f64) -> (Self, Vec<String>) {
        let identities = identity.load();
        let certificate = identities.device.map(|device| device.validity());
        let unanswered = identity.has_pending_request();
        let membership = Self {
            enrolment: Enrolment::new(certificate, unanswered, random),
            shown: None,
            is_unconfirmed: true,
        };
        (membership, identities.findings)
    }

    /// Reads the files again before the next question, because one of them may have been replaced.
    pub(crate) const fn show_again(&mut self) {
        self.shown = None;
    }

    /// Makes the client show an identity. The files are read only when it changes, so that a file
    /// that was mended is seen at the next attempt.
    pub(crate) fn show(
        &mut self,
        wanted: Shown,
        api: &dyn ControlPlaneApi,
        identity: &IdentityFiles,
    ) -> Result<KeyFamily, MembershipError> {
        if let Some((shown, family)) = self.shown
            && shown == wanted
        {
            return Ok(family);
        }
        let identities = identity.load();
        let found = match wanted {
            Shown::Registration => identities.registration?,
            Shown::Device => identities.device.ok_or(MembershipError::NoDeviceIdentity)?,
        };
        api.present(&found)?;
        let family = found.family();
        self.shown = Some((wanted, family));
        Ok(family)
    }

    /// Asks for `step`.
    pub(crate) fn ask(
        &mut self,
        step: Step,
        api: &dyn ControlPlaneApi,
        identity: &IdentityFiles,
    ) -> Result<Answer<Progress>, MembershipError> {
        Ok(match step {
            Step::Enrol => {
                self.show(Shown::Registration, api, identity)?;
                let answer = api.enrol();
                answer.map(|it| it.map(Progress::Enrolment)).boxed_local()
            }
            Step::Register | Step::Renew => {
                let wanted = match step {
                    Step::Renew => Shown::Device,
                    Step::Enrol | Step::Register => Shown::Registration,
                };
                let family = self.show(wanted, api, identity)?;
                let answer = api.register(identity.request(family)?);
                answer.map(|it| it.map(Progress::Certificate)).boxed_local()
            }
        })
    }

    /// Takes a certificate and shows it from now on.
    pub(crate) fn adopt(
        &mut self,
        certificate_pem: &str,
        api: &dyn ControlPlaneApi,
        identity: &IdentityFiles,
        now: Monotonic,
    ) -> Result<(), MembershipError> {
        let adopted = identity.adopt(certificate_pem)?;
        self.shown = None;
        self.is_unconfirmed = true;
        self.enrolment.registered(adopted.validity(), now);
        api.present(&adopted)?;
        self.shown = Some((Shown::Device, adopted.family()));
        Ok(())
    }

    /// Takes note that the control plane accepted the device's own identity.
    pub(crate) fn accepted(&mut self, identity: &IdentityFiles) -> Result<(), IdentityError> {
        self.enrolment.accepted();
        if self.is_unconfirmed {
            identity.confirm()?;
            self.is_unconfirmed = false;
        }
        Ok(())
    }

    /// Drops the device's own identity.
    pub(crate) fn forget(&mut self, identity: &IdentityFiles) -> Result<(), IdentityError> {
        self.shown = None;
        identity.forget()
    }
}
