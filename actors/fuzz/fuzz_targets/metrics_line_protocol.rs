//! Any body of posted InfluxDB line protocol is refused with a short reason or holds only samples that
//! can be used.

#![no_main]

use actors::metrics_ingest::fuzz_entry::line_protocol;
use actors::testing::safety;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| safety::check_samples(body.len(), line_protocol(body)));
