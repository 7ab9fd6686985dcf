//! The probe of `examples/probe` is a source that the agent takes.

use std::time::Duration;

use probe::host::Folders;
use probe::{Probe, agent, body};
use serde_json::Value;

use crate::agent::eventually_or;
use crate::device::Device;
use crate::pods::device_with_condition;

const TIME_TO_LIVE: Duration = Duration::from_secs(3600);

#[test]
fn what_the_probe_measures_reaches_a_profile() {
    let device = Device::with_manifests();
    let condition =
        "mem_free > 1KiB && mem > 0% && mem < 100% && disk_free >= 0B && disk_used > 1KiB";
    device.apply("device", &device_with_condition(condition));
    let running = device.settings.start();
    running.wait_for_log(&["listener opened"]);

    let mut probe = Probe::new(Folders::default());
    let samples = probe.measure();
    agent::post(running.metrics(), &body::of(&samples, TIME_TO_LIVE)).unwrap();

    let verdict = |status: &Value| {
        let condition = &status["profiles"].as_array()?.first()?["conditions"][0];
        condition["verdict"].as_str().map(str::to_owned)
    };
    let is_true = || running.status().filter(|status| verdict(status).as_deref() == Some("true"));
    let status = eventually_or("the condition is true", is_true, || running.tail());
    for sample in samples {
        let metrics = status["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["name"] == sample.name).unwrap();
        assert_eq!(metric["value"].as_f64(), Some(sample.value), "{metric}");
        assert_eq!(metric["unit"], sample.unit, "{metric}");
    }
}
