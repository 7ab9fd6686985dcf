//! HTTP over podman's unix socket: every exchange ends by its deadline, every answer is typed.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use awc::http::{Method, StatusCode};
use awc::{Client, ClientRequest, Connector};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::api::PodmanError;
use super::connector::UnixConnector;
use super::libpod::ErrorAnswer;

/// Works on podman 4.0 to 5.x; a 5 here would change the shape of inspect.
const API: &str = "http://podman/v4.0.0/libpod";
/// Listing never blocks on a lock, but for pods.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any answer needs: 8,000 containers.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// libpod over a unix socket.
pub struct LibpodClient {
    pub(super) socket: PathBuf,
    client: Client,
    /// The process that listens on the socket, once connected.
    pub(super) peer: Rc<Cell<Option<i32>>>,
}

impl LibpodClient {
    /// Returns a client for the service at `socket`, which need not exist yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        let peer = Rc::new(Cell::new(None));
        let connector = UnixConnector::new(socket.clone(), Rc::clone(&peer));
        let client = Client::builder()
            .connector(Connector::new().connector(connector).timeout(LIST_TIMEOUT))
            .disable_redirects()
            .finish();
        Self { socket, client, peer }
    }

    pub(super) fn request(&self, method: Method, path: &str) -> ClientRequest {
        // A connection that podman closed while it was idle would fail the next call.
        self.client
            .request(method, format!("{API}/{path}"))
            .force_close()
            .content_type("application/json")
    }

    /// Sends and reads the whole answer within `after`.
    async fn exchange(
        &self,
        call: &'static str,
        request: Result<ClientRequest, PodmanError>,
        body: Vec<u8>,
        after: Duration,
    ) -> Result<(StatusCode, Vec<u8>), PodmanError> {
        let request = request?.timeout(after.saturating_mul(2));
        let exchange = async {
            let sent = request.send_body(body).await;
            let mut response = sent.map_err(|error| self.send_failed(call, error))?;
            let body = response.body().limit(MAX_ANSWER).await;
            let body = body.map_err(|source| PodmanError::Cut { call, source: source.into() })?;
            Ok((response.status(), body.to_vec()))
        };
        let timed_out = |_| PodmanError::Timeout { call, after };
        timeout(after, exchange).await.map_err(timed_out)?
    }

    pub(super) fn send_failed(
        &self,
        call: &'static str,
        error: awc::error::SendRequestError,
    ) -> PodmanError {
        use awc::error::SendRequestError as E;
        let socket = self.socket.clone();
        match error {
            E::Connect(awc::error::ConnectError::Io(source)) => {
                PodmanError::Connect { socket, source: source.into() }
            }
            E::Connect(source) => {
                PodmanError::Connect { socket, source: source.to_string().into() }
            }
            // A name that makes no address: podman could only refuse it.
            error @ (E::Url(_) | E::Http(_)) => {
                let cause = error.to_string();
                PodmanError::Refused { call, status: 400, message: cause.clone(), cause }
            }
            error @ (E::Send(_)
            | E::Response(_)
            | E::H2(_)
            | E::Timeout
            | E::TunnelNotSupported
            | E::Body(_)
            | E::Custom(..)
            | _) => PodmanError::Cut { call, source: error.to_string().into() },
        }
    }

    /// Sends and expects one of `good`.
    pub(super) async fn expect(
        &self,
        call: &'static str,
        request: Result<ClientRequest, PodmanError>,
        body: Vec<u8>,
        after: Duration,
        good: &[u16],
    ) -> Result<(u16, Vec<u8>), PodmanError> {
        let (status, body) = self.exchange(call, request, body, after).await?;
        let status = status.as_u16();
        if good.contains(&status) {
            return Ok((status, body));
        }
        Err(refused(call, status, &body))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: Result<ClientRequest, PodmanError>,
        after: Duration,
    ) -> Result<T, PodmanError> {
        let (_, body) = self.expect(call, request, Vec::new(), after, &[200]).await?;
        decoded(call, &body)
    }

    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        call: &'static str,
        path: &str,
        filters: &Value,
    ) -> Result<Vec<T>, PodmanError> {
        let query = [("all", "true"), ("filters", &filters.to_string())];
        let request = with_query(call, self.request(Method::GET, path), &query);
        // An empty list may come as null.
        let rows: Option<Vec<T>> = self.read(call, request, LIST_TIMEOUT).await?;
        Ok(rows.unwrap_or_default())
    }
}

/// Adds a query, or says why it cannot.
pub(super) fn with_query(
    call: &'static str,
    request: ClientRequest,
    query: &[(&str, &str)],
) -> Result<ClientRequest, PodmanError> {
    let request = request.query(&query);
    request.map_err(|source| PodmanError::Garbled { call, source: source.into() })
}

/// Reads JSON.
pub(super) fn decoded<T: DeserializeOwned>(
    call: &'static str,
    body: &[u8],
) -> Result<T, PodmanError> {
    serde_json::from_slice(body)
        .map_err(|source| PodmanError::Garbled { call, source: source.into() })
}

/// Reads an error answer.
pub(super) fn refused(call: &'static str, status: u16, body: &[u8]) -> PodmanError {
    let answer: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    let fallback = || {
        let text = answer.errs.join("; ");
        if text.is_empty() { format!("podman answered {status}") } else { text }
    };
    let cause = Some(answer.cause.clone()).filter(|cause| !cause.is_empty());
    let cause = cause.unwrap_or_else(fallback);
    let message = Some(answer.message).filter(|message| !message.is_empty());
    PodmanError::Refused { call, status, message: message.unwrap_or_else(|| cause.clone()), cause }
}

#[cfg(test)]
mod tests {
    use super::super::api::PodmanApi as _;
    use super::*;

    #[actix::test]
    async fn a_name_that_makes_no_address_is_refused_and_not_podmans_absence() {
        let client = LibpodClient::new("/nowhere/podman.sock");
        for image in ["quay.io/a b:1", "quay.io/a<b>"] {
            let answer = client.image_id(image).await;
            assert!(matches!(answer, Err(PodmanError::Refused { .. })), "{image}: {answer:?}");
        }
        let answer = client.image_id("quay.io/a:1").await;
        assert!(matches!(answer, Err(PodmanError::Connect { .. })), "{answer:?}");
    }
}
