//! A device with a bit of everything, so that a page about it has something to show.

use std::thread;
use std::time::Duration;

use actors::testing::podman::HermeticPodman;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::device::Device;
use crate::pods::{manifest, running, serving};

/// Rounds of posts, and the time between two.
const ROUNDS: u32 = 60;
const PERIOD: Duration = Duration::from_millis(500);

/// The device and its agent.
pub struct Scene {
    /// The agent.
    pub agent: Agent,
    _device: Device,
}

impl Scene {
    /// Starts an agent with workloads that run, wait, fail and are due later.
    pub fn on(podman: &HermeticPodman) -> Self {
        let mut device = Device::with_manifests().on(podman);
        device.settings.set("RETRY_PERIOD", "60s");
        device.apply("device", &profiles());
        let pods = [
            ("camera", serving(), json!({})),
            ("model", serving(), needs("load", "calm", Some(50_000))),
            ("night-report", serving(), json!({"cron": "30 3 * * *"})),
            ("heater-watch", serving(), needs("climate", "cold", None)),
            ("importer", running("exit 3"), json!({})),
        ];
        for (name, pod, more) in pods {
            device.apply(name, &manifest(name, &pod, more));
        }
        let mut uploader = serving();
        uploader["containers"][0]["image"] = json!("localhost:1/uploader:2.1");
        device.apply("uploader", &manifest("uploader", &uploader, json!({})));
        let agent = device.settings.start();
        agent.post("cpu", 20.0);
        agent.wait_for_status("camera", "running");
        agent.wait_for_status("model", "running");
        agent.wait_for_status("importer", "crashed");
        agent.wait_for_reason("uploader", "pull");
        Self { agent, _device: device }
    }

    /// Posts what a device feels in half a minute.
    pub fn post_for_a_while(&self) {
        for round in 0..ROUNDS {
            let turn = f64::from(round);
            let wave = (turn / 7.0).sin() + (turn / 2.3).sin() / 3.0;
            let samples = json!([
                {"name": "cpu", "value": (27.0 + 11.0 * wave).round(), "unit": "%"},
                {"name": "mem", "value": (412.0 + turn * 1.5 + 20.0 * wave).round(), "unit": "MiB"},
                {"name": "temp", "value": (480.0 + turn + 8.0 * wave).round() / 10.0, "unit": "C"},
                {"name": "disk_free", "value": 48_402_788_352_u64 - u64::from(round) * 4_096, "unit": "B"},
                {"name": "door", "value": if round % 17 < 12 { 0 } else { 1 }},
            ]);
            let answer = self.agent.http("POST", "/metrics", &samples.to_string());
            assert_eq!(answer.map(|(status, _)| status), Some(204));
            thread::park_timeout(PERIOD);
        }
    }
}

fn needs(profile: &str, condition: &str, cpu: Option<u32>) -> Value {
    let mut condition = json!({"name": condition});
    if let Some(cpu) = cpu {
        condition["cpu"] = cpu.into();
    }
    json!({"profiles": [{"name": profile, "conditions": [condition]}]})
}

fn profiles() -> Value {
    let condition = |name: &str, expression: &str| json!({"name": name, "expression": expression});
    json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
        "metadata": {"name": "cam-01"},
        "spec": {"profiles": [
            {"name": "load", "conditions": [
                condition("calm", "cpu < 50%"),
                condition("busy", "avg(cpu, 1m) >= 80%"),
            ]},
            {"name": "climate", "conditions": [
                condition("cold", "outside < 4C"),
                condition("hot", "temp > 70C for 30s"),
            ]},
        ]},
    })
}
