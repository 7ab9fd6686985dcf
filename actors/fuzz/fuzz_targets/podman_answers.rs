//! Any answer of a podman, which may be a hostile user's, is refused with a short reason or comes to no more
//! than its bounds allow.

#![no_main]

use actors::podman_executor::fuzz_entry::{answers, containers};
use actors::testing::safety;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for read in answers(body) {
        match read {
            // Escaped, a byte becomes six letters at most.
            Ok(shown) => assert!(shown.len() < 1_000_000 + 6 * body.len(), "{}", shown.len()),
            Err(reason) => assert!(reason.len() < 20_000, "{}", reason.len()),
        }
    }
    if let Ok(rows) = containers(body) {
        safety::check_rows(&rows);
    }
});
