//! What runs on the machine: a device, and workloads that differ by how long they sleep.

use std::fmt::Write as _;

use serde_json::Value;

use crate::machine::{IMAGE, Machine, NAME};

/// Where root's agent finds its manifests.
pub const MANIFESTS: &str = "/etc/device-worker-ng/manifests";

/// The device, with conditions on one metric.
const DEVICE: &str = r#"
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata: {name: device, labels: {app: camera}}
spec:
  profiles:
    - name: load
      conditions:
        - {name: calm, expression: "cpu < 50% || cpu == nil"}
        - {name: busy, expression: "cpu >= 50%"}
"#;

/// A workload whose one container sleeps so many seconds, over and over, and ends when it is asked to.
pub struct Sleeper {
    pub name: &'static str,
    /// Its mark: no two workloads sleep alike.
    pub seconds: u32,
    /// More of its `spec`, as YAML lines with two spaces before.
    pub spec: String,
    /// More of its container, as YAML lines with ten spaces before.
    pub container: String,
    /// What it does when it is asked to end.
    pub at_end: &'static str,
    /// Its grace period, in seconds.
    pub grace: u32,
    /// Its image.
    pub image: &'static str,
    /// What must run before it starts, and is ended after it.
    pub after: &'static str,
}

impl Sleeper {
    pub fn new(name: &'static str, seconds: u32) -> Self {
        let (spec, container) = (String::new(), String::new());
        Self { name, seconds, spec, container, at_end: "exit 0", grace: 5, image: IMAGE, after: "" }
    }

    /// Gives it another image.
    pub fn with_image(mut self, image: &'static str) -> Self {
        self.image = image;
        self
    }

    /// Adds to its `spec`.
    pub fn with_spec(mut self, lines: &str) -> Self {
        self.spec += lines;
        self
    }

    /// Limits it while the device is busy: `limits` is `cpu: 20000` or the like.
    pub fn limited_while_busy(self, limits: &str) -> Self {
        let conditions = format!("[{{name: calm}}, {{name: busy, {limits}}}]");
        self.with_spec(&format!("  profiles: [{{name: load, conditions: {conditions}}}]\n"))
    }

    pub fn manifest(&self) -> String {
        let Self { name, seconds, spec, container, at_end, grace, image, after } = self;
        let program = format!("trap '{at_end}' TERM; while :; do sleep {seconds} & wait; done");
        let program = serde_json::to_string(&program).unwrap();
        let mut text = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\n\
             metadata: {{name: {name}, annotations: {{device-worker-ng/after: \"{after}\"}}}}\nspec:\n  deviceSelector: {{matchLabels: {{app: camera}}}}\n\
             \x20 type: pod\n{spec}  pod:\n    spec:\n      hostNetwork: true\n"
        );
        write!(
            text,
            "      terminationGracePeriodSeconds: {grace}\n      containers:\n        - name: main\n\
             \x20         image: {image}\n\
             \x20         command: [sh, -c, {program}]\n{container}"
        )
        .unwrap();
        text
    }
}

impl Machine {
    /// Makes it the device, and gives its agent these workloads.
    pub fn configure(&self, workloads: &[&Sleeper]) {
        let config = format!("/etc/{NAME}/config.yaml");
        self.run(&format!("grep -q ^DEVICE_ID {config} || echo 'DEVICE_ID: device' >>{config}"));
        self.write(&format!("{MANIFESTS}/device.yaml"), DEVICE.as_bytes());
        for workload in workloads {
            let path = format!("{MANIFESTS}/{}.yaml", workload.name);
            self.write(&path, workload.manifest().as_bytes());
        }
        self.run(&format!("systemctl restart {NAME}"));
    }

    /// Waits until the workload's program runs, and returns its process.
    pub fn runs(&self, workload: &Sleeper) -> u32 {
        let what = format!("{} runs", workload.name);
        self.eventually(&what, |machine| machine.process_of(workload))
    }

    /// Returns the process of the workload's program, of which there must not be two.
    pub fn process_of(&self, workload: &Sleeper) -> Option<u32> {
        let found = self.try_run(&format!("pgrep -fx 'sleep {}'", workload.seconds)).text;
        assert!(found.lines().count() < 2, "{} runs twice: {found}", workload.name);
        found.parse().ok()
    }

    /// Posts a value of the metric `cpu`.
    pub fn post_cpu(&self, value: u32) {
        let sample = format!("{{\"name\":\"cpu\",\"value\":{value}}}");
        let json = "Content-Type: application/json";
        self.run(&format!("curl -sSf -H '{json}' -d '{sample}' localhost:8080/metrics"));
    }

    /// Waits until the agent's status gives a workload this one.
    pub fn wait_for(&self, workload: &Sleeper, status: &str) -> Value {
        let what = format!("{} is {status}", workload.name);
        let all = self.status(&what, |all| {
            find_workload(all, workload.name).is_some_and(|it| it["status"] == status)
        });
        find_workload(&all, workload.name).cloned().unwrap()
    }
}

/// As the user `edge`, with that user's systemd at hand.
pub fn as_user(command: &str) -> String {
    format!(
        "runuser -u edge -- env HOME=/home/edge XDG_RUNTIME_DIR=/run/user/1000 \
         DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus sh -c 'cd; {command}'"
    )
}

impl Machine {
    /// Gives the user `edge` a podman with the image, whether it is logged in or not.
    pub fn give_user_podman(&self) {
        self.run("loginctl enable-linger edge");
        self.eventually("the user's systemd is up", |machine| {
            machine.can(&as_user("systemctl --user is-active default.target")).then_some(())
        });
        self.run("podman save --quiet localhost/busybox:test >/tmp/busybox.tar");
        self.run(&as_user("podman load --quiet --input /tmp/busybox.tar"));
        self.run(&as_user("systemctl --user enable --now podman.socket"));
    }
}

/// Returns what a status says of a workload.
pub fn find_workload<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["workloads"].as_array()?.iter().find(|workload| workload["workload"] == name)
}
