//! Any answer of a control plane is refused or comes to workloads that harm nothing.

#![no_main]

use actors::control_plane_sync::fuzz_entry::{configuration, other_answers};
use actors::testing::safety;
use actors::workload::DeviceId;
use libfuzzer_sys::fuzz_target;

/// The devices of the recorded exchanges that are the seeds.
const DEVICES: [&str; 4] = ["cam", "cam-01", "cam-02", "toto"];

fuzz_target!(|body: &[u8]| {
    for device in DEVICES {
        let device = DeviceId::from(device);
        match configuration(body, &device) {
            Ok(read) => {
                safety::check(&read);
                assert_eq!(configuration(body, &device), Ok(read), "the same, read again");
            }
            Err(reason) => assert!(reason.len() < 2_000, "{reason}"),
        }
    }
    let [certificate, command] = other_answers(body);
    assert!(certificate.contains("-----BEGIN CERTIFICATE-----") || certificate.len() < 2_000);
    assert!(command.len() < 2_000);
});
