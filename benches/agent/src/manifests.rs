//! Folders of manifests, as many workloads and conditions as wanted.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use actors::testing::podman::IMAGE;

/// The device that the manifests are for.
pub(crate) const DEVICE: &str = "toto";

/// What a device has to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scenario {
    /// Workloads `w0000`, `w0001`, …; each names one condition.
    pub(crate) workloads: usize,
    /// Conditions; the one numbered `c` looks at metric `m<c modulo metrics>`.
    pub(crate) conditions: usize,
    /// Metrics `m0`, `m1`, …; each has a profile with all conditions on it.
    pub(crate) metrics: usize,
    /// A port of the device that each pod's liveness probe asks for a page, every 10 s.
    pub(crate) probed_port: Option<u16>,
}

impl Scenario {
    /// Writes the manifests below `folder`.
    pub(crate) fn write(&self, folder: &Path) {
        let manifests = folder.join("manifests");
        fs::create_dir_all(&manifests).expect("the folder is made");
        fs::write(manifests.join("device.yaml"), self.device()).expect("the device is written");
        for index in 0..self.workloads {
            let file = manifests.join(format!("{}.yaml", name(index)));
            fs::write(file, self.workload(index)).expect("a workload is written");
        }
    }

    fn device(&self) -> String {
        let mut text = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata:\n  \
             name: {DEVICE}\n  labels:\n    app: bench\nspec:\n  profiles:\n"
        );
        for metric in 0..self.metrics {
            let _ = writeln!(text, "    - name: p{metric}\n      conditions:");
            for condition in (metric..self.conditions).step_by(self.metrics) {
                let _ = writeln!(text, "        - name: c{condition}");
                let limit = 50 + condition / self.metrics;
                let expression = format!("m{metric} < {limit} || m{metric} == nil");
                let _ = writeln!(text, "          expression: {expression:?}");
            }
        }
        // One that no workload names.
        text + "    - name: unused\n      conditions:\n        - name: unused\n          \
                expression: \"unused > 0\"\n"
    }

    fn workload(&self, index: usize) -> String {
        let name = name(index);
        let condition = index % self.conditions;
        let metric = condition % self.metrics;
        let (host_network, probe) = match self.probed_port {
            None => (false, String::new()),
            Some(port) => {
                let get = format!("httpGet: {{path: /healthz, port: {port}}}");
                (true, format!("livenessProbe: {{{get}, periodSeconds: 10}}"))
            }
        };
        format!(
            r#"apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: {name}
spec:
  deviceSelector:
    matchLabels:
      app: bench
  profiles:
    - name: p{metric}
      conditions:
        - name: c{condition}
  type: pod
  pod:
    spec:
      terminationGracePeriodSeconds: 2
      hostNetwork: {host_network}
      containers:
        - name: main
          image: {IMAGE}
          command: ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]
          env:
            - name: NUMBER
              value: "{index}"
          resources:
            limits:
              memory: 64Mi
          {probe}
"#
        )
    }
}

/// Returns the name of a workload.
pub(crate) fn name(index: usize) -> String {
    format!("w{index:04}")
}
