//! Damage in podman's storage, read from what podman says, in plain words with the way out. Pure.
//!
//! A power cut leaves files of zero length: the lists of images and layers, what describes an image, the
//! name of a layer. podman blames what follows from it, in words of its own for each.

/// What of podman's storage is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Damage {
    /// The image that podman makes for itself, which keeps the pods' namespaces.
    PauseImage,
    /// The list of layers: images are known, and what they consist of is not.
    LayerList,
    /// A list that podman cannot read: it does nothing at all.
    List,
    /// What describes an image.
    Description,
    /// The content of a layer.
    Layer,
    /// The database of pods and containers: podman does not start.
    Database,
}

/// What podman's own image runs.
const PAUSE_PROGRAM: &str = "/catatonit";
/// How runtimes say that there is no such program.
const NO_PROGRAM: [&str; 3] =
    ["command that was not found", "executable file not found", "exec format error"];
/// How a decoder of JSON says that a file is none.
const NO_JSON: [&str; 3] = [
    "unexpected end of json input",
    "looking for beginning of",
    "invalid memory address or nil pointer dereference",
];
/// How podman says that its database is none: SQLite's words, then those of bolt, which also crashes.
const NO_DATABASE: [&str; 9] = [
    "is not a database",
    "database disk image is malformed",
    "malformed database schema",
    "unable to open database file: is a directory",
    "bolt_state.db: invalid database",
    "bolt_state.db: version mismatch",
    "bolt_state.db: file size too small",
    "bolt_state.db: is a directory",
    "in go.etcd.io/bbolt",
];

/// Returns what is damaged, by what podman says; `None` where it says nothing of that.
pub(in crate::podman_executor) fn damage(text: &str) -> Option<Damage> {
    let text = text.to_lowercase();
    let says = |part: &str| text.contains(part);
    if NO_DATABASE.into_iter().any(says) || says("opening database") && says("checksum") {
        Some(Damage::Database)
    } else if says(PAUSE_PROGRAM) && (NO_PROGRAM.into_iter().any(says) || says("no such file"))
        || says("cannot get namespace path unless container") && says("container is stopped")
    {
        Some(Damage::PauseImage)
    } else if says("[]*storage.") && says("decode slice")
        || says("configure storage: loading ") && says(".json")
    {
        Some(Damage::List)
    } else if says("layer not known") {
        Some(Damage::LayerList)
    } else if NO_JSON.into_iter().any(says) {
        Some(Damage::Description)
    } else if says("no such file or directory") && names_a_layer(&text)
        || says("readlink ") && says("/overlay/") && says("invalid argument")
    {
        Some(Damage::Layer)
    } else {
        None
    }
}

/// Returns whether `text` may come of a layer without content: the container's program is not there.
pub(in crate::podman_executor) fn lacks_a_program(text: &str) -> bool {
    let text = text.to_lowercase();
    NO_PROGRAM.iter().take(2).any(|part| text.contains(part))
}

/// Returns whether `text` has the path of a layer: `…/overlay/` and the layer's id.
fn names_a_layer(text: &str) -> bool {
    let is_id = |name: &str| {
        let id = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    ["/overlay/", "/vfs/dir/"].iter().any(|folder| text.split(folder).skip(1).any(is_id))
}

impl Damage {
    /// Returns what it is, in plain words.
    pub(in crate::podman_executor) const fn as_str(self) -> &'static str {
        match self {
            Self::PauseImage => "podman's own pause image is damaged",
            Self::LayerList => "podman's list of layers is damaged",
            Self::List => "a list in podman's storage is damaged",
            Self::Description => "what podman has stored about an image is damaged",
            Self::Layer => "a layer of an image is damaged",
            Self::Database => "podman's database is damaged",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podmans_words_of_damage_are_known() {
        let overlay = "/var/lib/containers/storage/overlay/88b573900971414baa31c14b9307fbb777886c2ca3512458ec222c8693d26149";
        let stat = format!(
            "playing YAML file: creating container storage: creating read-write layer with ID \"1d7f\": Stat {overlay}/diff: no such file or directory"
        );
        let faccess =
            format!("failed in inspect image b:1: faccessat {overlay}: no such file or directory");
        let gone = format!("playing YAML file: stat {overlay}: no such file or directory");
        for (text, expected) in [
            // podman 4.3 with runc.
            ("playing YAML file: layer not known", Some(Damage::LayerList)),
            (
                "runtime error: invalid memory address or nil pointer dereference",
                Some(Damage::Description),
            ),
            ("playing YAML file: unexpected end of JSON input", Some(Damage::Description)),
            (
                "playing YAML file: invalid character '\\x1f' looking for beginning of value",
                Some(Damage::Description),
            ),
            (stat.as_str(), Some(Damage::Layer)),
            (gone.as_str(), Some(Damage::Layer)),
            (
                "starting container 8779: runc: runc create failed: unable to start container process: \
                 exec: \"/catatonit\": stat /catatonit: no such file or directory: OCI runtime \
                 attempted to invoke a command that was not found",
                Some(Damage::PauseImage),
            ),
            (
                "starting container ac8a: cannot get namespace path unless container b65b is running: \
                 container is stopped",
                Some(Damage::PauseImage),
            ),
            (
                "Error: opening database /x/libpod/bolt_state.db: invalid database",
                Some(Damage::Database),
            ),
            ("Error: file is not a database", Some(Damage::Database)),
            // podman 5.4 with runc and with crun.
            (
                "failed in inspect image 127.0.0.1:5000/b:1: layer not known",
                Some(Damage::LayerList),
            ),
            (
                "[]*storage.Layer: decode slice: expect [ or n, but found 9, error found in #1 byte of \
                 ...|9L$|..., bigger context ...|9L$|...",
                Some(Damage::List),
            ),
            (
                "failed in inspect image 127.0.0.1:5000/b:1: unexpected end of JSON input",
                Some(Damage::Description),
            ),
            (faccess.as_str(), Some(Damage::Layer)),
            (
                "starting container a677: mounting storage for container a677: readlink \
                 /var/lib/containers/storage/overlay/l: invalid argument",
                Some(Damage::Layer),
            ),
            // What says nothing of the storage.
            ("127.0.0.1:5000/b:1: image not known", None),
            (
                "starting container 10a9: runc: runc create failed: unable to start container \
                 process: exec: \"/nope\": stat /nope: no such file or directory: OCI runtime \
                 attempted to invoke a command that was not found",
                None,
            ),
            ("statfs /mnt/data: no such file or directory", None),
            ("stat /srv/overlay/site: no such file or directory", None),
            (
                "cannot listen on the TCP port: listen tcp4 :18080: bind: address already in use",
                None,
            ),
            ("dial unix /run/podman/podman.sock: connect: no such file or directory", None),
            ("write /x/bolt_state.db: no space left on device", None),
            ("", None),
        ] {
            assert_eq!(damage(text), expected, "{text}");
        }
    }

    #[test]
    fn only_a_program_that_is_not_there_makes_a_look_at_the_layers_worth_while() {
        for (text, expected) in [
            ("exec: \"sh\": executable file not found in $PATH: OCI runtime attempted", true),
            ("OCI runtime attempted to invoke a command that was not found", true),
            (
                "crun: executable file `sh` not found in $PATH: No such file or directory: OCI runtime \
              attempted to invoke a command that was not found",
                true,
            ),
            ("address already in use", false),
        ] {
            assert_eq!(lacks_a_program(text), expected, "{text}");
        }
    }
}
