//! A stand-in for the operator's edge API, over TLS on a port of its own, with faults on demand.
//!
//! It answers as the recorded exchanges of a running operator do; `tests/edge_api.rs` replays
//! them. It runs on its own thread, so that it serves a test's actor as well as a real process.

pub(crate) mod authority;
mod devices;
mod lists;
mod server;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{oneshot, watch};

use self::authority::Authority;
use self::devices::Devices;
use crate::control_plane_sync::Call;

/// What the stand-in does instead of answering properly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers properly, but so much later.
    Slow(Duration),
    /// Does nothing and answers with this status.
    Status(u16),
    /// Acts, but the answer breaks off in the middle of its body.
    CutBody,
    /// Does nothing and breaks the answer off, as a panicking handler of the operator does.
    Cut,
    /// Answers 200 with a body that is no JSON.
    WrongJson,
    /// Sends `null` for every list of the configuration.
    NullArrays,
    /// Sends lists of the configuration in another order each time, and a new version.
    RandomOrder,
    /// Sends the configuration of another device.
    ForeignDevice,
    /// Sends a body larger than any client should read.
    Huge,
    /// Takes the request and never answers.
    NeverAnswer,
}

/// A request as it came in, and the status that it was answered with.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// What was asked; none for paths and directives that are not of the API.
    pub call: Option<Call>,
    /// GET or POST.
    pub method: String,
    /// The path.
    pub path: String,
    /// The body as JSON; null when there was none.
    pub body: Value,
    /// The common name of the client's certificate.
    pub common_name: String,
    /// The status of the answer.
    pub status: u16,
}

/// A running stand-in; it stops when dropped.
pub struct EdgeApi {
    port: u16,
    authority: Arc<Authority>,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the handle and the server share.
pub(crate) struct State {
    devices: Mutex<Devices>,
    /// Counts requests, so that a test can wait for the next one.
    news: watch::Sender<u64>,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Devices> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EdgeApi {
    /// Starts one on a free port of 127.0.0.1, with a new CA and without devices. Enrolment is
    /// approved after the first request.
    ///
    /// # Panics
    ///
    /// When no port can be opened.
    #[must_use]
    pub fn start() -> Self {
        let authority = Arc::new(Authority::new());
        let state = Arc::new(State { devices: Mutex::default(), news: watch::Sender::new(0) });
        let (stop, stopped) = oneshot::channel();
        let (port_sender, port) = mpsc::channel();
        let shared = (Arc::clone(&authority), Arc::clone(&state));
        let thread =
            std::thread::spawn(move || server::run(shared.0, shared.1, &port_sender, stopped));
        let port = port.recv().unwrap_or_default();
        assert!(port != 0, "the stand-in edge API did not start");
        Self { port, authority, state, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the value for SERVER.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Returns the CA's certificate, the contents of CA_ROOT.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.ca_pem()
    }

    /// Returns a registration certificate and its key, the contents of CERT and KEY; the key in
    /// SEC1 form, as the operator gives it.
    #[must_use]
    pub fn registration_pair(&self) -> (String, String) {
        self.authority.registration_pair()
    }

    /// Signs a request for a certificate (PEM) without asking whether it is allowed, as an
    /// administrator with the CA's key could. None when the request cannot be read.
    #[must_use]
    pub fn issue(&self, request: &str, device: &str) -> Option<String> {
        let lifetime = self.state.lock().certificate_lifetime;
        self.authority.sign(request, device, "default", lifetime)
    }

    /// Sets the lifetime of the device certificates to come. Those of less than a day are not dated
    /// back.
    pub fn set_certificate_lifetime(&self, lifetime: Duration) {
        self.state.lock().certificate_lifetime = lifetime;
    }

    /// Sets after how many enrolment requests a device is approved; none: never.
    pub fn set_approval_after(&self, requests: Option<u32>) {
        self.state.lock().approval_after = requests;
    }

    /// Sets what every device gets as the `content` of its configuration; `device_id` and
    /// `version` are filled in. Without it a device has no workloads.
    pub fn set_configuration(&self, content: Value) {
        self.state.lock().set_configuration(content);
    }

    /// Sets the workloads of the configuration and leaves the rest of it.
    pub fn set_workloads(&self, workloads: Vec<Value>) {
        self.state.lock().set_workloads(workloads);
    }

    /// Makes a device as `kubectl apply` does, before it has enrolled.
    pub fn make_device_by_hand(&self, device: &str) {
        self.state.lock().make_by_hand(device);
    }

    /// Deletes a device as `kubectl delete edgedevice` does.
    pub fn delete_device(&self, device: &str) {
        self.state.lock().delete(device);
    }

    /// Answers `call` with `fault` until it is healed.
    pub fn fault(&self, call: Call, fault: Fault) {
        self.state.lock().faults.insert(call, fault);
    }

    /// Ends the fault of `call`.
    pub fn heal(&self, call: Call) {
        self.state.lock().faults.remove(&call);
    }

    /// Returns all requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().received.clone()
    }

    /// Returns a handle to the bodies of all requests so far, which outlives the server.
    pub fn bodies(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        move || state.lock().received.iter().map(|it| it.body.to_string()).collect()
    }

    /// Returns how many requests of this kind were answered with 200 or 208.
    #[must_use]
    pub fn answered(&self, call: Call) -> usize {
        let devices = self.state.lock();
        let good = |received: &&Received| {
            received.call == Some(call) && matches!(received.status, 200 | 208)
        };
        devices.received.iter().filter(good).count()
    }

    /// Returns the content of the last heartbeat that was accepted.
    #[must_use]
    pub fn last_heartbeat(&self) -> Option<Value> {
        let devices = self.state.lock();
        let accepted =
            |received: &&Received| received.call == Some(Call::Heartbeat) && received.status == 200;
        let last = devices.received.iter().rev().find(accepted)?;
        last.body.get("content").cloned()
    }

    /// Returns a workload's status in the last heartbeat that was accepted.
    #[must_use]
    pub fn workload_status(&self, workload: &str) -> Option<String> {
        let heartbeat = self.last_heartbeat()?;
        let workloads = heartbeat.get("workloads")?.as_array()?;
        let found = workloads
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some(workload))?;
        found.get("status").and_then(Value::as_str).map(str::to_owned)
    }

    /// Waits in real time until `condition` holds, looking again after each request; returns
    /// whether it did within `limit`.
    pub async fn wait_until(&self, limit: Duration, condition: impl Fn(&Self) -> bool) -> bool {
        let mut news = self.state.news.subscribe();
        let wait = async {
            while !condition(self) {
                if news.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok() && condition(self)
    }
}

impl Drop for EdgeApi {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
