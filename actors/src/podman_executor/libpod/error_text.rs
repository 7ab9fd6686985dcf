//! podman's error texts in plain words.

use crate::pod_manifest::DEVICE;
use crate::podman_executor::libpod::types::{ContainerRow, container_name};

/// What the kernel says of a full disk.
const NO_SPACE: &str = "no space left on device";
/// What podman 5 says of it, whose state is in SQLite.
const NO_SPACE_IN_DATABASE: &str = "database or disk is full";

/// Longest reason that is passed on.
const MAX_REASON: usize = 500;

/// Returns why a pod did not start. `rows` give containers their names.
pub(in crate::podman_executor) fn start_reason(text: &str, rows: &[ContainerRow]) -> String {
    let text = named(text, rows);
    let known = [
        ("command that was not found", "a command is not in its image"),
        ("address already in use", "a host port is in use"),
        (NO_SPACE, "the disk is full"),
        (NO_SPACE_IN_DATABASE, "the disk is full"),
        ("image not known", "an image is not on the device"),
        ("/dev/net/tun", "rootless networks need access to /dev/net/tun (chmod 666 /dev/net/tun)"),
        ("cannot set memory limit", "limits of rootless pods need cgroup v2"),
    ];
    let plain = known.iter().find(|(part, _)| text.contains(part));
    match plain {
        Some((_, plain)) => shortened(&format!("{plain}: {}", relevant(&text))),
        None => shortened(relevant(&text)),
    }
}

/// Returns why the pod `name` cannot be made, which is there and no pod of this device, and the way out.
pub(in crate::podman_executor) fn taken(name: &str, owner: Option<&str>) -> String {
    match owner.filter(|owner| is_device(owner)) {
        Some(owner) => format!(
            "a pod called {name} exists that is not ours: it belongs to device {owner}; if no agent \
             of that DEVICE_ID runs any more, remove its pods: {}",
            removal_of(owner)
        ),
        None => format!(
            "a pod called {name} exists that is not ours; remove it (podman pod rm -f {name}) or give \
             the workload another name"
        ),
    }
}

/// Returns whether `label` can be the id of a device. Anybody can write labels, and this one is shown in
/// a command that is meant to be typed.
pub(in crate::podman_executor) fn is_device(label: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !label.is_empty() && label.chars().all(plain)
}

/// Returns the command that removes every pod of the device `owner`.
pub(in crate::podman_executor) fn removal_of(owner: &str) -> String {
    format!("podman pod rm -f $(podman pod ls -q --filter label={DEVICE}={owner})")
}

/// Returns the command that replaces an image.
pub(in crate::podman_executor) fn image_by_hand(image: &str) -> String {
    format!("podman image rm {image}, then podman pull {image}, or podman load -i FILE")
}

/// Returns why a pod was not removed: `text` is all that podman said, `cause` what it blames.
pub(in crate::podman_executor) fn stop_reason(text: &str, cause: &str) -> String {
    // Of several errors podman blames the last, which only follows from the first.
    match text.contains(NO_SPACE) || text.contains(NO_SPACE_IN_DATABASE) {
        true => shortened(&format!("the disk is full: {cause}")),
        false => shortened(cause),
    }
}

/// Returns why an image did not come.
pub(in crate::podman_executor) fn pull_reason(text: &str) -> String {
    let known = [
        ("manifest unknown", "the registry has no such image"),
        ("name unknown", "the registry has no such image"),
        ("unauthorized", "the registry wants other credentials"),
        ("authentication required", "the registry wants other credentials"),
        ("denied", "the registry denies access"),
        (NO_SPACE, "the disk is full"),
        (NO_SPACE_IN_DATABASE, "the disk is full"),
        ("no such host", "the registry's name is not known"),
        ("connection refused", "the registry does not answer"),
        ("network is unreachable", "the network is unreachable"),
        ("timeout", "the registry does not answer"),
        ("short-name", "the image's name lacks its registry"),
    ];
    let plain = known.iter().find(|(part, _)| text.contains(part));
    plain.map_or_else(|| shortened(text), |(_, plain)| (*plain).to_owned())
}

/// Returns whether a pull failed for want of a connection, so that a copy on the device may do.
pub(in crate::podman_executor) fn is_unreachable(text: &str) -> bool {
    [
        "no such host",
        "connection refused",
        "network is unreachable",
        "no route to host",
        "timeout",
        "server misbehaving",
        "temporary failure",
    ]
    .iter()
    .any(|part| text.contains(part))
}

/// Puts names in the place of ids.
fn named(text: &str, rows: &[ContainerRow]) -> String {
    let rows = rows.iter().filter(|row| !row.id.is_empty());
    rows.fold(text.to_owned(), |text, row| text.replace(&row.id, container_name(row)))
}

/// Cuts the runtime's preamble, which says nothing.
fn relevant(text: &str) -> &str {
    let preamble = ["container_linux.go", "process_linux.go"];
    let start = text.rfind("exec: \"").or_else(|| {
        let at = preamble.iter().filter_map(|part| text.rfind(part)).max()?;
        text.get(at..)?.find(": ").map(|next| at + next + 2)
    });
    start.and_then(|start| text.get(start..)).unwrap_or(text)
}

pub(in crate::podman_executor) fn shortened(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_taken_name_is_reported_with_the_remedy() {
        let message = taken("web-1", Some("titi"));
        assert!(message.contains("it belongs to device titi;"), "{message}");
        assert!(message.ends_with("--filter label=device-worker-ng/device=titi)"), "{message}");
        // Nothing that a shell would run.
        for owner in [None, Some(""), Some("titi); reboot #"), Some("a b")] {
            let message = taken("web-1", owner);
            assert!(
                message.contains("podman pod rm -f web-1") && !message.contains("$("),
                "{message}"
            );
        }
    }

    #[test]
    fn the_page_on_operations_has_the_same_command() {
        let page = include_str!("../../../../docs/operations.md");
        assert!(page.contains(&removal_of("OLD")), "{}", removal_of("OLD"));
    }

    #[test]
    fn a_missing_command_is_named_without_the_runtimes_preamble() {
        let text = "starting container 10a9: runc: runc create failed: unable to start container \
            process: exec: \"/nope\": stat /nope: no such file or directory: OCI runtime attempted \
            to invoke a command that was not found";
        let reason = start_reason(text, &[]);
        assert!(reason.starts_with("a command is not in its image: exec: \"/nope\""), "{reason}");
    }

    #[test]
    fn a_failed_init_container_is_called_by_its_name() {
        let row = ContainerRow {
            id: "10a9".to_owned(),
            names: vec!["web-1-migrate".to_owned()],
            pod_name: "web-1".to_owned(),
            ..ContainerRow::default()
        };
        let reason = start_reason("init container 10a9 exited with code 4", &[row]);
        assert_eq!(reason, "init container migrate exited with code 4");
    }

    #[test]
    fn a_full_disk_is_named_although_podman_blames_what_follows_from_it() {
        let text = "2 errors occurred: * write /x/bolt_state.db: no space left on device * removing \
            container 82e4: a container that depends on it still exists: dependency exists";
        let cause = "failed to remove the pod: dependency exists";
        assert_eq!(stop_reason(text, cause), format!("the disk is full: {cause}"));
        assert_eq!(stop_reason(cause, cause), cause);
    }

    #[test]
    fn a_full_disk_is_named_in_the_words_of_podman_five_too() {
        let text = "beginning container 82e4 save transaction: database or disk is full";
        assert_eq!(stop_reason(text, text), format!("the disk is full: {text}"));
        assert_eq!(pull_reason(text), "the disk is full");
        assert!(start_reason(text, &[]).starts_with("the disk is full: "));
    }

    #[test]
    fn reasons_of_failed_pulls_are_distinguished() {
        let wrong = "reading manifest 1 in 127.0.0.1:5000/x: unauthorized: authentication required";
        assert_eq!(pull_reason(wrong), "the registry wants other credentials");
        assert!(!is_unreachable(wrong));
        let away = "dial tcp 127.0.0.1:5000: connect: connection refused";
        assert_eq!(pull_reason(away), "the registry does not answer");
        assert!(is_unreachable(away));
    }
}
