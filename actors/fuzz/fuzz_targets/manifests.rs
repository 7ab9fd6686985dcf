//! Any file in the folder of manifests is refused or comes to workloads that harm nothing.

#![no_main]

use actors::control_plane_sync::fuzz_entry::manifest;
use actors::testing::safety;
use actors::workload::DeviceId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (read, problems) = manifest(text, &DeviceId::from("cam-01"));
    safety::check(&read);
    let again = manifest(text, &DeviceId::from("cam-01"));
    assert_eq!(again, (read, problems), "the same, read again");
});
