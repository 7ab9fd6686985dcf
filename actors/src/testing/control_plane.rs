//! A control plane without a network, to be scripted, for tests in virtual time.

use std::cell::RefCell;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::clock::{Clock, Monotonic};
use crate::control_plane_sync::{
    Answer, Call, ClientIdentity, ConfigurationSource, ControlAnswer, ControlPlaneApi,
    ControlPlaneError, Diagnostic, EnrolmentAnswer, Heartbeat, IdentityFiles,
};
use crate::testing::edge_api::authority::Authority;
use crate::workload::{Configuration, DeviceId, Workload};

/// How it answers from now on, and what it was asked. Clones share both.
#[derive(Clone)]
pub struct FakeControlPlane {
    script: Rc<RefCell<Script>>,
    authority: Rc<Authority>,
    clock: Clock,
    device: DeviceId,
}

/// How a [`FakeControlPlane`] answers.
#[derive(Clone, Debug)]
pub struct Script {
    /// To a question for the configuration.
    pub configuration: Result<Configuration, ControlPlaneError>,
    /// What the author of that configuration should know.
    pub diagnostics: Vec<Diagnostic>,
    /// To an enrolment.
    pub enrolment: Result<EnrolmentAnswer, ControlPlaneError>,
    /// To a registration; a good one is answered with a certificate.
    pub registration: Result<(), ControlPlaneError>,
    /// To a heartbeat.
    pub heartbeat: Result<(), ControlPlaneError>,
    /// To a question for commands.
    pub control: Result<ControlAnswer, ControlPlaneError>,
    /// Time before each answer.
    pub delay: Duration,
    /// Lifetime of the certificates to come.
    pub certificate_lifetime: Duration,
    /// All questions so far, with the time of each.
    pub asked: Vec<(Call, Monotonic)>,
    /// All heartbeats that were accepted.
    pub heartbeats: Vec<Heartbeat>,
    /// The requests for a certificate, in PEM form.
    pub requests: Vec<String>,
    /// Whether the identities shown were the device's own, in order.
    pub shown_own: Vec<bool>,
}

impl FakeControlPlane {
    /// Returns one that approves `device` at once and has `configuration` for it.
    #[must_use]
    pub fn new(device: DeviceId, configuration: Configuration, clock: Clock) -> Self {
        let script = Script {
            configuration: Ok(configuration),
            diagnostics: Vec::new(),
            enrolment: Ok(EnrolmentAnswer::Approved),
            registration: Ok(()),
            heartbeat: Ok(()),
            control: Ok(ControlAnswer::Nothing),
            delay: Duration::from_millis(10),
            certificate_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            asked: Vec::new(),
            heartbeats: Vec::new(),
            requests: Vec::new(),
            shown_own: Vec::new(),
        };
        Self {
            script: Rc::new(RefCell::new(script)),
            authority: Rc::new(Authority::with_clock(clock.clone())),
            clock,
            device,
        }
    }

    /// Changes how it answers.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.borrow_mut());
    }

    /// Returns a copy of the script with all that was asked.
    #[must_use]
    pub fn record(&self) -> Script {
        self.script.borrow().clone()
    }

    /// Returns when `call` was asked.
    #[must_use]
    pub fn times(&self, call: Call) -> Vec<Monotonic> {
        let script = self.script.borrow();
        let of_call = |(asked, at): &(Call, Monotonic)| (*asked == call).then_some(*at);
        script.asked.iter().filter_map(of_call).collect()
    }

    /// Writes a registration pair into `folder` and returns the device's files there.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn identity_files(&self, folder: &Path) -> std::io::Result<IdentityFiles> {
        let (certificate, key) = self.authority.registration_pair();
        std::fs::write(folder.join("cert.pem"), certificate)?;
        std::fs::write(folder.join("key.pem"), key)?;
        std::fs::set_permissions(folder.join("key.pem"), Permissions::from_mode(0o600))?;
        Ok(IdentityFiles::new(
            folder.join("cert.pem"),
            folder.join("key.pem"),
            folder,
            self.device.clone(),
        ))
    }

    fn answer<T: 'static>(
        &self,
        call: Call,
        take: impl FnOnce(&mut Script) -> Result<T, ControlPlaneError> + 'static,
    ) -> Answer<T> {
        let script = Rc::clone(&self.script);
        let now = self.clock.now().monotonic;
        let delay = script.borrow().delay;
        script.borrow_mut().asked.push((call, now));
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            take(&mut script.borrow_mut())
        })
    }
}

impl ConfigurationSource for FakeControlPlane {
    fn configuration(&self, _: &[Arc<Workload>]) -> Answer<Configuration> {
        self.answer(Call::Configuration, |script| script.configuration.clone())
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        self.script.borrow().diagnostics.clone()
    }

    fn changed(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

impl ControlPlaneApi for FakeControlPlane {
    fn present(&self, identity: ClientIdentity) -> Answer<()> {
        let is_own = identity.is_for(&self.device);
        self.script.borrow_mut().shown_own.push(is_own);
        Box::pin(async { Ok(()) })
    }

    fn enrol(&self) -> Answer<EnrolmentAnswer> {
        self.answer(Call::Enrolment, |script| script.enrolment.clone())
    }

    fn register(&self, request: String) -> Answer<String> {
        let (authority, device) = (Rc::clone(&self.authority), self.device.clone());
        self.answer(Call::Registration, move |script| {
            script.requests.push(request.clone());
            script.registration.clone()?;
            let lifetime = script.certificate_lifetime;
            let signed = authority.sign(&request, device.as_str(), "default", lifetime);
            signed.ok_or(ControlPlaneError::Rejected {
                call: Call::Registration,
                status: 400,
                message: crate::control_plane_sync::Message::default(),
            })
        })
    }

    fn heartbeat(&self, heartbeat: Heartbeat) -> Answer<()> {
        self.answer(Call::Heartbeat, |script| {
            script.heartbeat.clone()?;
            script.heartbeats.push(heartbeat);
            Ok(())
        })
    }

    fn control(&self) -> Answer<ControlAnswer> {
        self.answer(Call::Control, |script| script.control.clone())
    }
}
