//! Secrets are planted in every test, and looked for in all that each agent says.

use std::fs;
use std::path::Path;

use actors::testing::podman::REGISTRY_PASSWORD;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Begins every planted secret.
pub const MARK: &str = "planted-";

/// Returns a secret to be planted.
pub fn planted(what: &str) -> String {
    format!("{MARK}{what}")
}

/// Returns the first secret that `text` shows, in clear, in base64 or as a list of bytes. `keys` are
/// the lines of private keys.
pub fn shown(text: &str, keys: &[String]) -> Option<String> {
    let list: Vec<String> = MARK.bytes().map(|byte| byte.to_string()).collect();
    let encoded = (0..3).map(|before| {
        // Of what stands beside the mark only whole groups of six bits are known.
        let text = STANDARD_NO_PAD.encode(format!("{}{MARK}", " ".repeat(before)));
        text[(before * 8).div_ceil(6)..(before + MARK.len()) * 8 / 6].to_owned()
    });
    let clear = [MARK.to_owned(), list.join(", "), list.join(","), "PRIVATE KEY".to_owned()];
    let mut needles = clear.into_iter().chain(encoded).chain(keys.iter().cloned());
    needles.find(|needle| text.contains(needle.as_str()))
}

/// Returns the lines of all private keys below `folder`.
pub fn keys_below(folder: &Path) -> Vec<String> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            keys.extend(keys_below(&path));
        } else if path.to_string_lossy().contains("key")
            && let Ok(text) = fs::read_to_string(&path)
        {
            let lines = text.lines().filter(|line| line.len() > 40 && !line.starts_with('-'));
            keys.extend(lines.map(str::to_owned));
        }
    }
    keys
}

#[test]
fn a_secret_is_found_in_every_form_that_it_may_take() {
    let bytes = MARK.as_bytes().to_vec();
    let key = ["MHcCAQEEIHk0".to_owned()];
    for text in [
        format!("value: {MARK}x"),
        format!("{bytes:?}"),
        serde_json::to_string(&bytes).unwrap(),
        STANDARD_NO_PAD.encode(format!("{MARK}x")),
        STANDARD_NO_PAD.encode(format!("u:{MARK}x")),
        STANDARD_NO_PAD.encode(format!("bob:{REGISTRY_PASSWORD}")),
        STANDARD_NO_PAD.encode(format!("ann:{REGISTRY_PASSWORD}!")),
        STANDARD_NO_PAD.encode(format!("annie:{REGISTRY_PASSWORD}")),
        "-----BEGIN EC PRIVATE KEY-----".to_owned(),
        "x MHcCAQEEIHk0 y".to_owned(),
    ] {
        assert!(shown(&text, &key).is_some(), "{text}");
    }
    for text in ["", "plant", "a planted tree", "PUBLIC KEY", "MHcCAQEE"] {
        assert_eq!(shown(text, &key), None, "{text}");
    }
}
