//! Any body of posted text in Prometheus' exposition format is refused with a short reason or holds only
//! samples that can be used.

#![no_main]

use actors::metrics_ingest::fuzz_entry::exposition;
use actors::testing::safety;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| safety::check_samples(body.len(), exposition(body)));
