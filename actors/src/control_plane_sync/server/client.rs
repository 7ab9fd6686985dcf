//! Asks the Flotta edge API over HTTPS, with the device's certificate.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use awc::error::PayloadError;
use awc::http::{Method, header};
use awc::{Client, Connector};
use uuid::Builder;

use crate::blocking::OneAtATime;
use crate::clock::Clock;
use crate::control_plane_sync::diagnostic::Diagnostic;
use crate::control_plane_sync::identity::certificate::ClientIdentity;
use crate::control_plane_sync::server::api::{
    Answer, ConfigurationSource, ControlAnswer, ControlPlaneApi, EnrolmentAnswer, Heartbeat,
};
use crate::control_plane_sync::server::ca_root::CaRoot;
use crate::control_plane_sync::server::endpoint::Endpoint;
use crate::control_plane_sync::server::error::{Call, ControlPlaneError};
use crate::control_plane_sync::server::hardware::Hardware;
use crate::control_plane_sync::server::tls;
use crate::control_plane_sync::server::wire::{self, ControlCommand, Known, Stamp, WireError};
use crate::error_chain::error_chain;
use crate::workload::{Configuration, DeviceId, Workload};

/// Time for one question, from the host name's resolution to the last byte of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a registration: its answer comes only once, so it is waited for.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for reading the hardware facts, on a disk that may hang.
const HARDWARE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for making sense of a configuration.
const READING_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest configuration that is read, in bytes.
const MAX_CONFIGURATION: usize = 16 * 1024 * 1024;
/// Largest other answer: one of that size is read within milliseconds.
const MAX_ANSWER: usize = 256 * 1024;

/// Whom to ask, as whom, and whom to trust.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// SERVER: `https://host:port`, with or without the API's path.
    pub url: String,
    /// CA_ROOT: the file with the CA that signed the server's certificate.
    pub ca_root: PathBuf,
    /// The id under which the device is known there.
    pub device: DeviceId,
    /// The namespace that the device wants to belong to.
    pub namespace: String,
}

/// The Flotta edge API over HTTPS.
pub struct HttpsClient {
    inner: Rc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    settings: ServerSettings,
    clock: Clock,
    /// Made anew with each identity; none before the first.
    client: RefCell<Option<Client>>,
    /// The last configuration that made sense.
    known: RefCell<Option<Arc<Known>>>,
    reading: OneAtATime,
    ca_root: CaRoot,
}

impl HttpsClient {
    /// Prepares a client; it can be used once an identity was presented.
    ///
    /// # Errors
    ///
    /// When the URL cannot be asked.
    pub fn new(settings: ServerSettings, clock: Clock) -> Result<Self, ControlPlaneError> {
        let endpoint = Endpoint::new(&settings.url, &settings.device)?;
        let ca_root = CaRoot::new(&settings.ca_root);
        let inner = Inner {
            endpoint,
            settings,
            clock,
            client: RefCell::default(),
            known: RefCell::default(),
            reading: OneAtATime::default(),
            ca_root,
        };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Asks, and turns the body of a good answer into `T`.
    fn ask<T: 'static>(
        &self,
        call: Call,
        body: Option<Vec<u8>>,
        read: fn(&[u8]) -> Result<T, WireError>,
    ) -> Answer<T> {
        let inner = Rc::clone(&self.inner);
        Box::pin(async move {
            let reply = inner.exchange(call, body).await?;
            read(&reply.body).map_err(|error| senseless(call, &error))
        })
    }
}

/// A good answer.
struct Reply {
    status: u16,
    body: Bytes,
}

impl Inner {
    fn stamp<'a>(&self, message_id: &'a str) -> Stamp<'a> {
        Stamp { message_id, sent: self.clock.now().wall }
    }

    async fn exchange(
        &self,
        call: Call,
        body: Option<Vec<u8>>,
    ) -> Result<Reply, ControlPlaneError> {
        let after = match call {
            Call::Registration => REGISTRATION_TIMEOUT,
            Call::Enrolment | Call::Heartbeat | Call::Configuration | Call::Control => {
                ANSWER_TIMEOUT
            }
        };
        let reply = tokio::time::timeout(after, self.round_trip(call, body))
            .await
            .map_err(|_| ControlPlaneError::TimedOut { call, after })??;
        match ControlPlaneError::of_status(call, reply.status, &reply.body) {
            Some(error) => Err(error),
            None => Ok(reply),
        }
    }

    async fn round_trip(
        &self,
        call: Call,
        body: Option<Vec<u8>>,
    ) -> Result<Reply, ControlPlaneError> {
        let client = self.client.borrow().clone();
        let client = client.ok_or_else(|| ControlPlaneError::Misconfigured {
            reason: "there is no identity to show".to_owned(),
        })?;
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let request = client
            .request(method, self.endpoint.url(call))
            .insert_header((header::ACCEPT, "application/json"));
        let sent = match body {
            // Without its content type the server takes a body for mere bytes.
            Some(body) => request.content_type("application/json").send_body(body),
            None => request.send(),
        };
        let host = &self.endpoint.host;
        let mut response = sent.await.map_err(|error| tls::failure(call, host, &error))?;
        let status = response.status().as_u16();
        let limit = match call {
            Call::Configuration => MAX_CONFIGURATION,
            Call::Enrolment | Call::Registration | Call::Heartbeat | Call::Control => MAX_ANSWER,
        };
        let body = response.body().limit(limit).await;
        let body = body.map_err(|error| body_failure(call, limit, &error))?;
        Ok(Reply { status, body })
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the errors of a library, which grow")]
fn body_failure(call: Call, limit: usize, error: &PayloadError) -> ControlPlaneError {
    match error {
        PayloadError::Overflow => ControlPlaneError::TooLarge { call, limit },
        other => ControlPlaneError::Unreachable {
            call,
            reason: format!("the answer was cut off: {other}"),
        },
    }
}

impl ConfigurationSource for HttpsClient {
    fn configuration(&self, in_force: &[Arc<Workload>]) -> Answer<Configuration> {
        let call = Call::Configuration;
        let (inner, in_force) = (Rc::clone(&self.inner), in_force.to_vec());
        Box::pin(async move {
            let reply = inner.exchange(call, None).await?;
            let (device, known) = (inner.settings.device.clone(), inner.known.borrow().clone());
            let read = move || Known::read(&reply.body, &device, known.as_deref(), &in_force);
            // Reading an answer of megabytes takes seconds, and no other actor may wait for it.
            let read = inner.reading.run("reading the answer", READING_TIMEOUT, read).await;
            let known = match read {
                Ok(read) => Arc::new(read.map_err(|error| senseless(call, &error))?),
                Err(error) => return Err(senseless(call, &error)),
            };
            inner.known.replace(Some(Arc::clone(&known)));
            Ok(known.configuration.clone())
        })
    }

    fn diagnostics(&self) -> Vec<Diagnostic> {
        let known = self.inner.known.borrow();
        known.as_ref().map(|known| known.diagnostics.clone()).unwrap_or_default()
    }
}

impl ControlPlaneApi for HttpsClient {
    fn present(&self, identity: ClientIdentity) -> Answer<()> {
        let inner = Rc::clone(&self.inner);
        Box::pin(async move {
            let config = tls::client_config(&inner.ca_root.read().await?, &identity, &inner.clock)?;
            let connector = Connector::new()
                .rustls_0_23(Arc::new(config))
                .timeout(ANSWER_TIMEOUT)
                .handshake_timeout(ANSWER_TIMEOUT);
            let client = Client::builder().connector(connector);
            let client = client.disable_redirects().disable_timeout().finish();
            *inner.client.borrow_mut() = Some(client);
            Ok(())
        })
    }

    fn enrol(&self) -> Answer<EnrolmentAnswer> {
        let inner = Rc::clone(&self.inner);
        Box::pin(async move {
            let hardware = Hardware::read_within(HARDWARE_TIMEOUT).await;
            let hardware = hardware.ok_or(ControlPlaneError::Misconfigured {
                reason: "the hardware facts could not be read in time".to_owned(),
            })?;
            let namespace = &inner.settings.namespace;
            let body = wire::enrolment(inner.stamp(&message_id()), namespace, &hardware);
            let reply = inner.exchange(Call::Enrolment, Some(body)).await?;
            Ok(match reply.status {
                208 => EnrolmentAnswer::Approved,
                _ => EnrolmentAnswer::Pending,
            })
        })
    }

    fn register(&self, request: String) -> Answer<String> {
        // Without hardware: facts that the server cannot store would spend the only chance.
        let body = wire::registration(self.inner.stamp(&message_id()), &request, None);
        self.ask(Call::Registration, Some(body), wire::registration_answer)
    }

    fn heartbeat(&self, heartbeat: Heartbeat) -> Answer<()> {
        let inner = Rc::clone(&self.inner);
        Box::pin(async move {
            // A heartbeat without its hardware is better than none.
            let hardware = match heartbeat.with_hardware {
                true => Hardware::read_within(HARDWARE_TIMEOUT).await,
                false => None,
            };
            let content = wire::Heartbeat {
                status: heartbeat.status,
                version: heartbeat.configuration_version.as_deref(),
                jobs: &heartbeat.jobs,
                events: &heartbeat.events,
                hardware: hardware.as_ref(),
            };
            let body = wire::heartbeat(inner.stamp(&message_id()), &content);
            inner.exchange(Call::Heartbeat, Some(body)).await.map(drop)
        })
    }

    fn control(&self) -> Answer<ControlAnswer> {
        self.ask(Call::Control, None, |body| {
            let command = wire::control_command(body)?;
            Ok(match command {
                Some(ControlCommand::Disconnect) => ControlAnswer::Disconnect,
                None => ControlAnswer::Nothing,
            })
        })
    }
}

/// Returns the error for a whole answer that makes no sense.
fn senseless(call: Call, error: &dyn std::error::Error) -> ControlPlaneError {
    ControlPlaneError::Undecodable { call, reason: error_chain(error) }
}

/// Returns a random UUID.
fn message_id() -> String {
    Builder::from_random_bytes(fastrand::u128(..).to_be_bytes()).into_uuid().to_string()
}

#[cfg(test)]
mod tests;
