//! A device: its folder, its manifests or its control plane, and how its agent is started.

use std::path::PathBuf;
use std::time::Duration;

use actors::testing::edge_api::EdgeApi;
use actors::testing::podman::HermeticPodman;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::agent::{Agent, Settings, eventually};
use crate::pods::{Container, manifest, one_container, serving};
use crate::secrecy::planted;

/// A folder for the agent, open to every user.
pub struct Device {
    /// How its agent is started.
    pub settings: Settings,
    folder: TempDir,
}

impl Device {
    /// Returns a device that takes manifests from a folder.
    pub fn with_manifests() -> Self {
        let mut device = Self::new();
        std::fs::create_dir(device.path("manifests")).unwrap();
        let folder = device.path("manifests").display().to_string();
        device.settings.set("MANIFESTS", folder);
        device
    }

    /// Returns a device of a control plane that speaks to it every two seconds.
    pub fn of(edge: &EdgeApi) -> Self {
        edge.set_configuration(configuration(Vec::new()));
        let mut device = Self::new();
        let (certificate, key) = edge.registration_pair();
        for (setting, name, text) in [
            ("CA_ROOT", "ca.pem", edge.ca_pem()),
            ("CERT", "cert.pem", certificate),
            ("KEY", "key.pem", key),
        ] {
            let path = device.write(name, &text);
            device.settings.set(setting, path.display().to_string());
        }
        device.settings.set("SERVER", edge.url());
        device.settings.heard_by(edge.bodies());
        device
    }

    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::Builder::new().prefix("dwa").tempdir().unwrap();
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        Self { settings: Settings::new(folder.path()), folder }
    }

    /// Lets root's pods run on `podman`.
    pub fn on(mut self, podman: &HermeticPodman) -> Self {
        self.settings.set("PODMAN_SOCKET", podman.socket().display().to_string());
        self
    }

    /// Lets a user's pods run on `podman`.
    pub fn on_user(mut self, podman: &HermeticPodman) -> Self {
        let socket = podman.socket();
        let runtime_dir = socket.with_file_name("xdg");
        self.settings.set("PODMAN_ROOTLESS_SOCKET", socket.display().to_string());
        self.settings.set("XDG_RUNTIME_DIR", runtime_dir.display().to_string());
        self
    }

    /// Returns the path of something in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into its folder.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Puts a manifest into its folder of manifests, whole.
    pub fn apply(&self, name: &str, manifest: &Value) {
        self.write("new", &manifest.to_string());
        std::fs::rename(self.path("new"), self.path(&format!("manifests/{name}.yaml"))).unwrap();
    }

    /// Starts its agent with the workload `web` in the folder; returns it with the container, once the
    /// status says that it runs.
    pub fn start_with_web(&self, podman: &HermeticPodman) -> (Agent, Container) {
        self.apply("web", &manifest("web", &serving(), json!({})));
        let agent = self.settings.start();
        let web = one_container(podman, "web");
        agent.wait_for_status("web", "running");
        (agent, web)
    }

    /// Takes a manifest away.
    pub fn withdraw(&self, name: &str) {
        std::fs::remove_file(self.path(&format!("manifests/{name}.yaml"))).unwrap();
    }
}

/// Returns a configuration of these workloads, with a short heartbeat and a secret.
pub fn configuration(workloads: Vec<Value>) -> Value {
    let data = json!({"password": STANDARD.encode(planted("secret"))}).to_string();
    json!({
        "secrets": [{"name": "app-secret", "data": data}],
        "configuration": {"heartbeat": {"hardware_profile": {}, "period_seconds": 2}},
        "workloads": workloads,
    })
}

/// Waits until a heartbeat has said that a workload is so.
pub fn reported(edge: &EdgeApi, workload: &str, status: &str) {
    eventually(&format!("workload {workload} is reported as {status}"), || {
        (edge.workload_status(workload).as_deref() == Some(status)).then_some(())
    });
}

/// Waits until an event of a heartbeat has all `parts`.
pub fn wait_for_event(edge: &EdgeApi, parts: &[&str]) {
    eventually(&format!("an event with {parts:?} is recorded"), || {
        let heard = edge.received();
        let events = heard.iter().filter_map(|it| it.body["content"]["events"].as_array());
        let holds = |event: &Value| parts.iter().all(|part| event.to_string().contains(part));
        events.flatten().any(holds).then_some(())
    });
}

/// Time between two looks where nothing shall happen.
pub const A_WHILE: Duration = Duration::from_secs(3);
