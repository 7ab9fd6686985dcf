//! Any stream of a podman's events, cut anywhere, comes to the same events, each within its bounds.

#![no_main]

use actors::podman_executor::fuzz_entry::events;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    let whole = events(&[stream]);
    assert!(whole.len() <= stream.len());
    for event in &whole {
        let text = event.as_ref().unwrap_or_else(|error| error);
        assert!(text.len() <= 4_096, "{}", text.len());
    }
    for length in [1, 7, 64] {
        let pieces: Vec<_> = stream.chunks(length).collect();
        assert_eq!(events(&pieces), whole, "in pieces of {length}");
    }
});
