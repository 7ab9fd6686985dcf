//! The libpod API: what the executor asks of podman, and the client that asks over a unix socket.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use awc::http::{Method, StatusCode};
use awc::{Client, ClientRequest, Connector};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{LocalBoxStream, StreamExt as _, iter};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::connector::UnixConnector;
use super::events::{Line, Lines, PodmanEvent};
use super::libpod::{
    ContainerDetail, ContainerRow, ErrorAnswer, HostInfo, Info, PlayReport, PodRow, PullLine,
    UpdateBody,
};
use crate::pod_manifest::{AGENT, MANAGED_BY};
use crate::workload::RegistryCredentials;

/// Works on podman 4.0 to 5.x; a 5 here would change the shape of inspect.
const API: &str = "http://podman/v4.0.0/libpod";
/// Listing never blocks on a lock, but for pods.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);
/// A call that reads or changes one container.
const SINGLE_TIMEOUT: Duration = Duration::from_secs(10);
/// podman needs so much longer than the grace period to stop a container.
const STOP_SLACK: Duration = Duration::from_secs(10);
/// Removing a pod; podman 4.3 takes 4 s at times.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(30);
/// More than any answer needs: 8,000 containers.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// A container's log is cut at this size, so that it never fills the disk.
const LOG_OPTIONS: &str = "max-size=10mb";

/// An answer that is awaited on the agent's one thread.
pub type Answer<'a, T> = LocalBoxFuture<'a, Result<T, PodmanError>>;
/// Events as they happen. Ends when podman does.
pub type EventStream = LocalBoxStream<'static, Result<PodmanEvent, PodmanError>>;

/// Why podman did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PodmanError {
    /// Nobody listens on the socket.
    #[error("failed to connect to podman at {}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The reason.
        #[source]
        source: Box<dyn Error>,
    },
    /// The answer did not come, or not whole, in time.
    #[error("failed to {call} within {} s", after.as_secs_f32())]
    Timeout {
        /// What was asked.
        call: &'static str,
        /// The time allowed.
        after: Duration,
    },
    /// The connection ended in the middle.
    #[error("failed to {call}: podman hung up")]
    Cut {
        /// What was asked.
        call: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn Error>,
    },
    /// The answer is not what libpod answers.
    #[error("failed to {call}: the answer is not libpod's")]
    Garbled {
        /// What was asked.
        call: &'static str,
        /// The reason.
        #[source]
        source: Box<dyn Error>,
    },
    /// podman refused.
    #[error("failed to {call}: {cause}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// The innermost reason; the same in all versions of podman.
        cause: String,
        /// The whole chain of reasons.
        message: String,
    },
}

impl PodmanError {
    /// Returns whether podman took the call and refused it: trying the same again is no use.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Returns the error with all its sources on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        text
    }
}

/// What `play/kube` is given.
#[derive(Clone, Debug)]
pub struct PlayRequest {
    /// The pod as JSON.
    pub manifest: Vec<u8>,
    /// The network; `None` where the manifest decides.
    pub network: Option<&'static str>,
    /// Annotations beyond those of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Time allowed, init containers included.
    pub timeout: Duration,
}

/// What `images/pull` is given.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// The image as the specification names it.
    pub image: String,
    /// Credentials by registry.
    pub registries: BTreeMap<String, RegistryCredentials>,
    /// Whether the registry must speak TLS with a known certificate.
    pub verify_tls: bool,
    /// Time allowed.
    pub timeout: Duration,
}

/// What the executor asks of one podman service. Every call ends by a deadline of its own.
pub trait PodmanApi {
    /// Reads the service's facts.
    fn host(&self) -> Answer<'_, HostInfo>;
    /// Opens the stream of events about containers of ours, from `since` (Unix seconds) on.
    fn events(&self, since: Option<i64>) -> Answer<'_, EventStream>;
    /// Lists containers of ours in any state. Never blocks on a pod.
    fn containers(&self) -> Answer<'_, Vec<ContainerRow>>;
    /// Lists pods of ours. Blocks while any of them is being stopped.
    fn pods(&self) -> Answer<'_, Vec<PodRow>>;
    /// Finds the pod `name` if it is ours.
    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>>;
    /// Reads one container.
    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail>;
    /// Creates and starts a pod. May leave half of it behind, whatever it answers.
    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport>;
    /// Stops a container. One that does not run or exist is a success.
    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> Answer<'a, ()>;
    /// Kills and removes a pod. One that does not exist is a success.
    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()>;
    /// Changes the limits of a running container.
    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()>;
    /// Tells whether the image is on the device.
    fn image_exists<'a>(&'a self, image: &'a str) -> Answer<'a, bool>;
    /// Brings an image to the device.
    fn pull(&self, request: PullRequest) -> Answer<'_, ()>;
    /// Tells whether a process exists where the service runs; `None` when that cannot be seen.
    fn process_exists(&self, pid: i64) -> Option<bool>;
    /// Returns user and group that the service runs as, when the agent must hand files over.
    fn owner(&self) -> Option<(u32, u32)>;
}

/// libpod over a unix socket.
pub struct LibpodClient {
    socket: PathBuf,
    client: Client,
    /// The process that listens on the socket, once connected.
    peer: Rc<Cell<Option<i32>>>,
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
        Self {
            socket,
            client,
            peer,
        }
    }

    fn request(&self, method: Method, path: &str) -> ClientRequest {
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
            let body = body.map_err(|source| PodmanError::Cut {
                call,
                source: source.into(),
            })?;
            Ok((response.status(), body.to_vec()))
        };
        let timed_out = |_| PodmanError::Timeout { call, after };
        timeout(after, exchange).await.map_err(timed_out)?
    }

    fn send_failed(&self, call: &'static str, error: awc::error::SendRequestError) -> PodmanError {
        use awc::error::SendRequestError as E;
        let socket = self.socket.clone();
        match error {
            E::Connect(awc::error::ConnectError::Io(source)) => PodmanError::Connect {
                socket,
                source: source.into(),
            },
            E::Connect(source) => PodmanError::Connect {
                socket,
                source: source.to_string().into(),
            },
            error => PodmanError::Cut {
                call,
                source: error.to_string().into(),
            },
        }
    }

    /// Sends and expects one of `good`.
    async fn expect(
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

    async fn read<T: DeserializeOwned>(
        &self,
        call: &'static str,
        request: Result<ClientRequest, PodmanError>,
        after: Duration,
    ) -> Result<T, PodmanError> {
        let (_, body) = self.expect(call, request, Vec::new(), after, &[200]).await?;
        decoded(call, &body)
    }

    async fn list<T: DeserializeOwned>(
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

/// The filter for what is ours.
fn ours() -> String {
    format!("{MANAGED_BY}={AGENT}")
}

fn with_query(
    call: &'static str,
    request: ClientRequest,
    query: &[(&str, &str)],
) -> Result<ClientRequest, PodmanError> {
    let request = request.query(&query);
    request.map_err(|source| PodmanError::Garbled {
        call,
        source: source.into(),
    })
}

fn decoded<T: DeserializeOwned>(call: &'static str, body: &[u8]) -> Result<T, PodmanError> {
    serde_json::from_slice(body).map_err(|source| PodmanError::Garbled {
        call,
        source: source.into(),
    })
}

fn refused(call: &'static str, status: u16, body: &[u8]) -> PodmanError {
    let answer: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
    let fallback = || {
        let text = answer.errs.join("; ");
        if text.is_empty() {
            format!("podman answered {status}")
        } else {
            text
        }
    };
    let cause = Some(answer.cause.clone()).filter(|cause| !cause.is_empty());
    let cause = cause.unwrap_or_else(fallback);
    let message = Some(answer.message).filter(|message| !message.is_empty());
    PodmanError::Refused {
        call,
        status,
        message: message.unwrap_or_else(|| cause.clone()),
        cause,
    }
}

/// Credentials as libpod takes them: URL-safe base64 of a map by registry.
fn auth_header(registries: &BTreeMap<String, RegistryCredentials>) -> String {
    let entries = registries.iter().map(|(registry, credentials)| {
        let entry = json!({
            "username": credentials.username,
            "password": credentials.password.expose(),
        });
        (registry.clone(), entry)
    });
    let map: serde_json::Map<String, Value> = entries.collect();
    URL_SAFE.encode(Value::Object(map).to_string())
}

impl PodmanApi for LibpodClient {
    fn host(&self) -> Answer<'_, HostInfo> {
        Box::pin(async move {
            let call = "read podman's facts";
            let request = Ok(self.request(Method::GET, "info"));
            let info: Info = self.read(call, request, SINGLE_TIMEOUT).await?;
            Ok(info.host)
        })
    }

    fn events(&self, since: Option<i64>) -> Answer<'_, EventStream> {
        Box::pin(async move {
            let call = "open the event stream";
            let filters = json!({"type": ["container"], "label": [ours()]}).to_string();
            let since = since.map(|since| since.to_string());
            let mut query = vec![("stream", "true"), ("filters", filters.as_str())];
            query.extend(since.as_deref().map(|since| ("since", since)));
            let request = with_query(call, self.request(Method::GET, "events"), &query)?;
            let sent = timeout(LIST_TIMEOUT, request.timeout(LIST_TIMEOUT * 2).send()).await;
            let sent = sent.map_err(|_| PodmanError::Timeout {
                call,
                after: LIST_TIMEOUT,
            })?;
            let mut response = sent.map_err(|error| self.send_failed(call, error))?;
            if !response.status().is_success() {
                let status = response.status().as_u16();
                let body = timeout(LIST_TIMEOUT, response.body()).await;
                let body = body.ok().and_then(Result::ok).unwrap_or_default();
                return Err(refused(call, status, &body));
            }
            let mut lines = Lines::default();
            let events = response.flat_map(move |chunk| iter(read_lines(&mut lines, chunk)));
            Ok(events.boxed_local())
        })
    }

    fn containers(&self) -> Answer<'_, Vec<ContainerRow>> {
        let filters = json!({"label": [ours()]});
        Box::pin(async move {
            let call = "list containers";
            self.list(call, "containers/json", &filters).await
        })
    }

    fn pods(&self) -> Answer<'_, Vec<PodRow>> {
        let filters = json!({"label": [ours()]});
        Box::pin(async move { self.list("list pods", "pods/json", &filters).await })
    }

    fn pod<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PodRow>> {
        // podman reads the name as a regular expression.
        let pattern = format!("^{}$", name.replace('.', "\\."));
        let filters = json!({"label": [ours()], "name": [pattern]});
        Box::pin(async move {
            let rows: Vec<PodRow> = self.list("find the pod", "pods/json", &filters).await?;
            Ok(rows.into_iter().find(|row| row.name == name))
        })
    }

    fn inspect<'a>(&'a self, container: &'a str) -> Answer<'a, ContainerDetail> {
        Box::pin(async move {
            let path = format!("containers/{container}/json");
            let request = Ok(self.request(Method::GET, &path));
            self.read("inspect the container", request, SINGLE_TIMEOUT).await
        })
    }

    fn play(&self, request: PlayRequest) -> Answer<'_, PlayReport> {
        Box::pin(async move {
            let call = "create the pod";
            let annotations = json!(request.annotations).to_string();
            let mut query = vec![("start", "true"), ("logOptions", LOG_OPTIONS)];
            query.extend(request.network.map(|network| ("network", network)));
            if !request.annotations.is_empty() {
                query.push(("annotations", &annotations));
            }
            let post = with_query(call, self.request(Method::POST, "play/kube"), &query);
            let answer = self.expect(call, post, request.manifest, request.timeout, &[200]);
            decoded(call, &answer.await?.1)
        })
    }

    fn stop_container<'a>(&'a self, container: &'a str, grace: Duration) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = "stop the container";
            // Zero would mean podman's default of 10 s.
            let seconds = grace.as_secs().max(1).to_string();
            let query = [("t", seconds.as_str()), ("timeout", seconds.as_str())];
            let path = format!("containers/{container}/stop");
            let post = with_query(call, self.request(Method::POST, &path), &query);
            let after = grace.saturating_add(STOP_SLACK);
            let answer = self.expect(call, post, Vec::new(), after, &[204, 304, 404]);
            answer.await.map(drop)
        })
    }

    fn remove_pod<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = "remove the pod";
            let query = [("force", "true"), ("timeout", "0")];
            let path = format!("pods/{name}");
            let delete = with_query(call, self.request(Method::DELETE, &path), &query);
            let answer = self.expect(call, delete, Vec::new(), REMOVE_TIMEOUT, &[200, 404]);
            match answer.await {
                Ok(_) => Ok(()),
                // Another removal was quicker.
                Err(PodmanError::Refused { cause, .. }) if cause == "no such pod" => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn update<'a>(&'a self, container: &'a str, limits: UpdateBody) -> Answer<'a, ()> {
        Box::pin(async move {
            let call = "change the limits";
            let body = json!(limits).to_string().into_bytes();
            let request = Ok(self.request(Method::POST, &format!("containers/{container}/update")));
            let answer = self.expect(call, request, body, SINGLE_TIMEOUT, &[200, 201]);
            answer.await.map(drop)
        })
    }

    fn image_exists<'a>(&'a self, image: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let call = "look for the image";
            let request = Ok(self.request(Method::GET, &format!("images/{image}/exists")));
            let answer = self.expect(call, request, Vec::new(), SINGLE_TIMEOUT, &[204, 404]);
            Ok(answer.await?.0 == 204)
        })
    }

    fn pull(&self, request: PullRequest) -> Answer<'_, ()> {
        Box::pin(async move {
            let call = "pull the image";
            let verify = request.verify_tls.to_string();
            let query = [
                ("reference", request.image.as_str()),
                ("tlsVerify", verify.as_str()),
                ("quiet", "true"),
            ];
            let post = with_query(call, self.request(Method::POST, "images/pull"), &query);
            let post = post.map(|post| match request.registries.is_empty() {
                true => post,
                false => post.insert_header(("X-Registry-Auth", auth_header(&request.registries))),
            });
            let answer = self.expect(call, post, Vec::new(), request.timeout, &[200]);
            pulled(call, &answer.await?.1)
        })
    }

    fn process_exists(&self, pid: i64) -> Option<bool> {
        // The service may live in another pid namespace: ask the /proc that it sees.
        let proc = PathBuf::from(format!("/proc/{}/root/proc", self.peer.get()?));
        let visible = proc.join("1").exists();
        visible.then(|| proc.join(pid.to_string()).exists())
    }

    fn owner(&self) -> Option<(u32, u32)> {
        use std::os::unix::fs::MetadataExt as _;
        let socket = std::fs::metadata(&self.socket).ok()?;
        let we_are_root = rustix::process::geteuid().is_root();
        let theirs = (socket.uid(), socket.gid());
        (we_are_root && socket.uid() != 0).then_some(theirs)
    }
}

/// Decides by the last line whether an image came.
fn pulled(call: &'static str, body: &[u8]) -> Result<(), PodmanError> {
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let last: PullLine = decoded(call, lines.last().unwrap_or_default())?;
    if !last.id.is_empty() && last.error.is_empty() {
        return Ok(());
    }
    let cause = match last.error.is_empty() {
        true => "podman ended the pull without a result".to_owned(),
        false => last.error,
    };
    Err(PodmanError::Refused {
        call,
        status: 200,
        message: cause.clone(),
        cause,
    })
}

fn read_lines<B: AsRef<[u8]>>(
    lines: &mut Lines,
    chunk: Result<B, awc::error::PayloadError>,
) -> Vec<Result<PodmanEvent, PodmanError>> {
    let call = "read the event stream";
    let chunk = match chunk {
        Ok(chunk) => chunk,
        Err(source) => {
            let source = source.into();
            return vec![Err(PodmanError::Cut { call, source })];
        }
    };
    let lines = lines.push(chunk.as_ref()).into_iter();
    let read = lines.filter_map(|line| match line {
        Line::Event(event) => Some(Ok(event)),
        Line::Error(cause) => Some(Err(PodmanError::Refused {
            call,
            status: 200,
            message: cause.clone(),
            cause,
        })),
        Line::Rubbish => None,
    });
    read.collect()
}

/// Returns the kernel's id of this boot.
///
/// # Errors
/// The kernel does not tell.
pub fn boot_id() -> std::io::Result<String> {
    let id = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"))?;
    Ok(id.trim().to_owned())
}
