//! The device's place in a control plane: which identity it shows, and what it asks for next.

use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;

use crate::clock::Monotonic;
use crate::control_plane_sync::identity::certificate::{ClientIdentity, KeyFamily};
use crate::control_plane_sync::identity::enrolment::{Enrolment, Step};
use crate::control_plane_sync::identity::error::IdentityError;
use crate::control_plane_sync::identity::files::IdentityFiles;
use crate::control_plane_sync::server::api::{Answer, ControlPlaneApi, EnrolmentAnswer};
use crate::control_plane_sync::server::error::ControlPlaneError;

/// Which identity the client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The registration pair.
    Registration,
    /// The device's own.
    Device,
}

/// The identity that the client shows, and the family of its key.
pub(crate) type Shown = (Identity, KeyFamily);

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

/// What reads or writes the identity's files, which takes as long as the disk does.
pub(crate) type OnDisk<T> = LocalBoxFuture<'static, Result<T, MembershipError>>;

/// A step whose files are read and written: it can be asked for.
pub(crate) struct Prepared {
    /// What the client shows now.
    pub(crate) shown: Shown,
    /// The question.
    pub(crate) answer: Answer<Progress>,
}

/// A certificate that is on the disk.
pub(crate) struct Adopted {
    identity: ClientIdentity,
    /// Whether the client could take it.
    presented: Result<(), ControlPlaneError>,
}

/// Whether the control plane has accepted the identity that was adopted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Confirmation {
    Missing,
    /// It has; the files are being renamed.
    UnderWay,
    Done,
}

/// The state of one device.
pub(crate) struct Membership {
    /// How far it is.
    pub(crate) enrolment: Enrolment,
    api: Rc<dyn ControlPlaneApi>,
    files: IdentityFiles,
    shown: Option<Shown>,
    /// The files are to be read again, though they are being read now.
    is_outdated: bool,
    /// The device's own identity is to be removed before anything else is done with the files.
    must_forget: bool,
    confirmation: Confirmation,
}

impl Membership {
    /// Reads what is on the disk.
    pub(crate) fn begin(
        api: Rc<dyn ControlPlaneApi>,
        files: IdentityFiles,
        random: f64,
    ) -> OnDisk<(Self, Vec<String>)> {
        Box::pin(async move {
            let look = |files: &IdentityFiles| Ok((files.load(), files.has_pending_request()));
            let (identities, unanswered) = files.run_blocking(look).await?;
            let certificate = identities.device.map(|device| device.validity());
            let membership = Self {
                enrolment: Enrolment::new(certificate, unanswered, random),
                api,
                files,
                shown: None,
                is_outdated: false,
                must_forget: false,
                confirmation: Confirmation::Missing,
            };
            Ok((membership, identities.findings))
        })
    }

    /// Reads the files again before the next question, because one of them may have been replaced.
    /// What `is_being_read` now may be the old one.
    pub(crate) const fn show_again(&mut self, is_being_read: bool) {
        self.shown = None;
        self.is_outdated = is_being_read;
    }

    /// Returns whether the client shows the device's own identity.
    pub(crate) fn shows_own(&self) -> bool {
        self.shown.is_some_and(|(identity, _)| identity == Identity::Device)
    }

    /// Takes note of what the client shows now.
    pub(crate) const fn now_shows(&mut self, shown: Shown) {
        self.shown = if self.is_outdated { None } else { Some(shown) };
        self.is_outdated = false;
        // Showing one begins with the removal.
        self.must_forget = false;
    }

    /// Makes the client show an identity. The files are read only when it changes, so that a file
    /// that was mended is seen at the next attempt.
    pub(crate) fn show(&self, wanted: Identity) -> OnDisk<Shown> {
        let (api, files, shown) = (Rc::clone(&self.api), self.files.clone(), self.shown);
        let must_forget = self.must_forget;
        Box::pin(async move {
            if let Some(shown) = shown.filter(|(identity, _)| *identity == wanted) {
                return Ok(shown);
            }
            let reading = move |files: &IdentityFiles| {
                if must_forget {
                    files.forget()?;
                }
                Ok(files.load())
            };
            let identities = files.run_blocking(reading).await?;
            let found = match wanted {
                Identity::Registration => identities.registration?,
                Identity::Device => identities.device.ok_or(MembershipError::NoDeviceIdentity)?,
            };
            let family = found.family();
            api.present(found).await?;
            Ok((wanted, family))
        })
    }

    /// Prepares `step`: shows the identity that it needs, and makes the request for a certificate.
    pub(crate) fn prepare(&self, step: Step) -> OnDisk<Prepared> {
        let wanted = match step {
            Step::Renew => Identity::Device,
            Step::Enrol | Step::Register => Identity::Registration,
        };
        let (showing, files, api) = (self.show(wanted), self.files.clone(), Rc::clone(&self.api));
        Box::pin(async move {
            let shown = showing.await?;
            let answer = match step {
                Step::Enrol => {
                    let answer = api.enrol();
                    answer.map(|it| it.map(Progress::Enrolment)).boxed_local()
                }
                Step::Register | Step::Renew => {
                    let (_, family) = shown;
                    let request = files.run_blocking(move |files| files.request(family)).await?;
                    let answer = api.register(request);
                    answer.map(|it| it.map(Progress::Certificate)).boxed_local()
                }
            };
            Ok(Prepared { shown, answer })
        })
    }

    /// Writes a certificate, and shows it from then on.
    pub(crate) fn adopt(&self, certificate_pem: String) -> OnDisk<Adopted> {
        let (files, api) = (self.files.clone(), Rc::clone(&self.api));
        Box::pin(async move {
            let identity = files.run_blocking(move |files| files.adopt(&certificate_pem)).await?;
            let presented = api.present(identity.clone()).await;
            Ok(Adopted { identity, presented })
        })
    }

    /// Takes note of a certificate that was written.
    pub(crate) fn adopted(
        &mut self,
        adopted: Adopted,
        now: Monotonic,
    ) -> Result<(), MembershipError> {
        self.shown = None;
        self.confirmation = Confirmation::Missing;
        self.enrolment.registered(adopted.identity.validity(), now);
        adopted.presented?;
        self.shown = Some((Identity::Device, adopted.identity.family()));
        Ok(())
    }

    /// Takes note that the control plane accepted the device's own identity; if that is news,
    /// returns what makes the files of that identity the only ones.
    pub(crate) fn accepted(&mut self) -> Option<OnDisk<()>> {
        self.enrolment.accepted();
        if self.confirmation != Confirmation::Missing {
            return None;
        }
        self.confirmation = Confirmation::UnderWay;
        Some(self.write(IdentityFiles::confirm))
    }

    /// Takes note of how [`Self::accepted`] went. An identity that was adopted meanwhile is not
    /// meant.
    pub(crate) fn confirmed(&mut self, is_done: bool) {
        if self.confirmation == Confirmation::UnderWay {
            self.confirmation = if is_done { Confirmation::Done } else { Confirmation::Missing };
        }
    }

    /// Drops the device's own identity.
    pub(crate) fn forget(&mut self) -> OnDisk<()> {
        self.shown = None;
        self.must_forget = true;
        self.write(IdentityFiles::forget)
    }

    /// Takes note that [`Self::forget`] is done; else it is done before the files are read again.
    pub(crate) const fn forgotten(&mut self) {
        self.must_forget = false;
    }

    fn write(&self, work: fn(&IdentityFiles) -> Result<(), IdentityError>) -> OnDisk<()> {
        let files = self.files.clone();
        Box::pin(async move { Ok(files.run_blocking(work).await?) })
    }
}
