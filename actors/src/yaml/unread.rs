//! Keys of a document that were not read as they are written.

use super::position::Position;

/// Most keys of a document that are reported.
pub(crate) const MAX_UNREAD: usize = 100;
/// A longer key resembles none.
const MAX_KEY: usize = 64;

/// A key that was not read as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreadKey {
    /// Where it stands.
    pub(crate) at: Position,
    /// The keys that lead to it, as `spec.containers[0].imge`.
    pub(crate) path: String,
    /// The key itself.
    pub(crate) key: String,
    /// What became of it.
    pub(crate) what: Unread,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// No such key is known in this place; the nearest that is.
    Unknown(Option<&'static str>),
    /// It was read as this one, which differs in upper and lower case only.
    ReadAs(&'static str),
}

/// Returns that of `known` which `key` resembles most, if there is one that can be meant: some letters
/// are wrong, missing, too many or swapped, or it is `written_so` or `written-so`.
pub(crate) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > MAX_KEY {
        return None;
    }
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    let key = plain(key);
    let distance = |name: &&'static str| strsim::osa_distance(&key, &plain(name));
    let best = known.iter().copied().min_by_key(distance)?;
    let allowed = match best.len() {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    (distance(&best) <= allowed).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_resembles_what_was_meant() {
        let known = &["profiles", "cron", "rootless", "workingDir", "pod", "name", "image"];
        for (key, expected) in [
            ("profile", Some("profiles")),
            ("proflies", Some("profiles")),
            ("corn", Some("cron")),
            ("Rootless", Some("rootless")),
            ("working_dir", Some("workingDir")),
            ("working-dir", Some("workingDir")),
            ("imge", Some("image")),
            ("pods", Some("pod")),
            ("schedule", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(key, known), expected, "{key}");
        }
        assert_eq!(nearest(&"n".repeat(100_000), known), None);
    }
}
