//! HTTP over podman's unix socket: every exchange ends by its deadline, every answer is typed.
//!
//! Each call has a connection of its own: one that podman closed while it was idle would fail the
//! next call, and closing it is how a call is given up.

use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::api::PodmanError;
use super::libpod::ErrorAnswer;

/// Works on podman 4.0 to 5.x; a 5 here would change the shape of inspect.
const API: &str = "/v4.0.0/libpod";
/// Listing never blocks on a lock, but for pods.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// More than any answer needs: 8,000 containers.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// libpod over a unix socket.
pub struct LibpodClient {
    pub(super) socket: PathBuf,
    /// The process that listens on the socket, once connected.
    pub(super) peer: Rc<Cell<Option<i32>>>,
}

/// What is asked of libpod.
pub(super) struct Call {
    /// What it is for, as errors say it: "list containers".
    what: &'static str,
    method: Method,
    /// Path and query below [`API`].
    target: String,
    registry_auth: Option<String>,
    body: Vec<u8>,
}

impl Call {
    pub(super) fn new(what: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self { what, method, target: path.into(), registry_auth: None, body: Vec::new() }
    }

    pub(super) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        // Pairs of texts can always be encoded.
        let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
        self.target = format!("{}?{query}", self.target);
        self
    }

    pub(super) fn registry_auth(mut self, value: Option<String>) -> Self {
        self.registry_auth = value;
        self
    }

    pub(super) fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    fn request(self) -> Result<Request<Full<Bytes>>, PodmanError> {
        // A name that makes no address: podman could only refuse it.
        let refused = |error: http::Error| {
            let cause = error.to_string();
            PodmanError::Refused { call: self.what, status: 400, message: cause.clone(), cause }
        };
        let uri = Uri::try_from(format!("{API}/{}", self.target));
        let mut request = Request::builder()
            .method(self.method)
            .uri(uri.map_err(|error| refused(error.into()))?)
            .header(header::HOST, "podman")
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(auth) = self.registry_auth {
            request = request.header("X-Registry-Auth", auth);
        }
        request.body(Full::from(self.body)).map_err(refused)
    }
}

/// The head of an answer, and its body as it comes.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    body: Incoming,
    /// Moves the bytes; dropped, the connection is closed.
    _connection: JoinSet<()>,
}

impl Reply {
    /// Reads the whole body.
    async fn whole(self, call: &'static str) -> Result<Bytes, PodmanError> {
        let body = Limited::new(self.body, MAX_ANSWER).collect().await;
        Ok(body.map_err(|source| PodmanError::Cut { call, source })?.to_bytes())
    }

    /// Waits for more of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            match self.body.frame().await? {
                // Trailers are nothing that libpod sends.
                Ok(frame) => match frame.into_data() {
                    Ok(data) => return Some(Ok(data)),
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl LibpodClient {
    /// Returns a client for the service at `socket`, which need not exist yet.
    #[must_use]
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), peer: Rc::default() }
    }

    /// Sends `call` and reads the head of its answer. An error answer is an error.
    ///
    /// # Errors
    /// It did not come by `after`, or podman refused.
    pub(super) async fn open(&self, call: Call, after: Duration) -> Result<Reply, PodmanError> {
        let what = call.what;
        let opening = async {
            let reply = self.send(call).await?;
            if reply.status.is_success() {
                return Ok(reply);
            }
            let status = reply.status.as_u16();
            let body = reply.whole(what).await.unwrap_or_default();
            Err(refused(what, status, &body))
        };
        let timed_out = |_| PodmanError::Timeout { call: what, after };
        timeout(after, opening).await.map_err(timed_out)?
    }

    async fn send(&self, call: Call) -> Result<Reply, PodmanError> {
        let what = call.what;
        let request = call.request()?;
        let stream = UnixStream::connect(&self.socket).await.map_err(|source| {
            PodmanError::Connect { socket: self.socket.clone(), source: source.into() }
        })?;
        self.peer.set(stream.peer_cred().ok().and_then(|credentials| credentials.pid()));
        let cut = |source: hyper::Error| PodmanError::Cut { call: what, source: source.into() };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
        let mut tasks = JoinSet::new();
        // How it ended is told to whoever reads the answer.
        tasks.spawn_local(async { drop(connection.await) });
        let (head, body) = sender.send_request(request).await.map_err(cut)?.into_parts();
        Ok(Reply { status: head.status, body, _connection: tasks })
    }

    /// Sends, reads the whole answer within `after`, and expects one of `good`.
    pub(super) async fn expect(
        &self,
        call: Call,
        after: Duration,
        good: &[u16],
    ) -> Result<(u16, Bytes), PodmanError> {
        let what = call.what;
        let exchange = async {
            let reply = self.send(call).await?;
            Ok((reply.status.as_u16(), reply.whole(what).await?))
        };
        let timed_out = |_| PodmanError::Timeout { call: what, after };
        let (status, body) = timeout(after, exchange).await.map_err(timed_out)??;
        if good.contains(&status) {
            return Ok((status, body));
        }
        Err(refused(what, status, &body))
    }

    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        call: Call,
        after: Duration,
    ) -> Result<T, PodmanError> {
        let what = call.what;
        let (_, body) = self.expect(call, after, &[200]).await?;
        decoded(what, &body)
    }

    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        what: &'static str,
        path: &str,
        filters: &Value,
    ) -> Result<Vec<T>, PodmanError> {
        let query = [("all", "true"), ("filters", &filters.to_string())];
        let call = Call::new(what, Method::GET, path).query(&query);
        // An empty list may come as null.
        let rows: Option<Vec<T>> = self.read(call, LIST_TIMEOUT).await?;
        Ok(rows.unwrap_or_default())
    }
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
