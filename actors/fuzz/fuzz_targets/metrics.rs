//! Any body of a post is refused with a short reason or holds only samples that can be used.

#![no_main]

use actors::metrics_ingest::fuzz_entry::samples;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    match samples(body) {
        Ok(samples) => {
            assert!(!samples.is_empty() && samples.len() <= body.len());
            for sample in samples {
                let name = sample.name.as_str();
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
                assert!(!name.is_empty() && name.len() <= 256 && name.chars().all(plain));
                assert!(sample.value.is_finite());
                assert!(sample.unit.is_none_or(|unit| !unit.is_empty() && unit.len() <= 64));
                assert!(sample.ttl.is_none_or(|ttl| !ttl.is_zero()));
            }
        }
        Err(reason) => assert!(!reason.is_empty() && reason.len() < 500, "{reason}"),
    }
});
