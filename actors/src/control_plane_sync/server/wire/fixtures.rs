//! Recorded exchanges with a running control plane.

use serde_json::Value;

/// One exchange.
pub(super) struct Exchange(Value);

impl Exchange {
    /// The body of the request.
    pub(super) fn request(&self) -> &Value {
        &self.0["request"]["body"]
    }

    /// The body of the response as it stood on the wire.
    pub(super) fn response(&self) -> Vec<u8> {
        let body = &self.0["response"]["body"];
        let text = body.as_str().map(str::to_owned);
        text.unwrap_or_else(|| body.to_string()).into_bytes()
    }
}

/// Reads the exchange recorded in the file `name`.
pub(super) fn exchange(name: &str) -> Exchange {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/control-plane");
    let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
    Exchange(serde_json::from_str(&text).unwrap())
}
