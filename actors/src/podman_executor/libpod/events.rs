//! podman's event stream: lines of JSON, cut anywhere by the transport.

use std::time::Duration;

use serde::Deserialize;

use crate::messages::Action;
use crate::podman_executor::libpod::bounds::text;
use crate::podman_executor::libpod::types::ErrorAnswer;

/// A line that grows beyond this is no event.
const MAX_LINE: usize = 256 * 1024;
/// So much of the stream is read in a second: thousands of events, and nothing to the agent's thread.
const BYTES_PER_SECOND: u32 = 1024 * 1024;
/// The least time from one piece of the stream to the next: that many small ones cost no more.
const MIN_PAUSE: Duration = Duration::from_millis(1);
/// Events that leave every container's state as it was.
const IDLE: [&str; 8] = [
    "attach",
    "exec",
    "exec_died",
    "exec_create",
    "exec_start",
    "health_status",
    "mount",
    "unmount",
];

/// Events of the containers of a pod that is being started. One that is found frozen is thawed.
const STARTING: [&str; 4] = ["create", "init", "start", "unpause"];

/// Events of the containers of a pod that is being frozen or thawed.
const FREEZING: [&str; 2] = ["pause", "unpause"];

/// Something that happened to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PodmanEvent {
    /// `died`, `start`, `remove` and so on.
    #[serde(rename = "Action", default, deserialize_with = "text")]
    pub action: String,
    /// To what.
    #[serde(rename = "Actor", default)]
    pub actor: EventActor,
    /// When, Unix seconds.
    #[serde(default)]
    pub time: i64,
}

/// What an event happened to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventActor {
    /// What is known of it.
    #[serde(rename = "Attributes", default)]
    pub attributes: EventAttributes,
}

/// What is known of a container at an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct EventAttributes {
    /// Its name: that of its pod, a dash, and its own in the pod.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
}

/// What a command does to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Change {
    /// It starts it.
    Start,
    /// It freezes or thaws it.
    Freeze,
    /// It stops and removes it.
    Stop,
}

impl Change {
    /// Returns what `action` does to its pod, if it starts, freezes, thaws or stops it.
    pub(in crate::podman_executor) const fn of(action: &Action) -> Option<Self> {
        match action {
            Action::Start { .. } => Some(Self::Start),
            Action::Freeze { .. } | Action::Thaw { .. } => Some(Self::Freeze),
            Action::Stop { .. } | Action::Suspend { .. } | Action::Halt { .. } => Some(Self::Stop),
            Action::Pull { .. } | Action::Limit { .. } => None,
        }
    }
}

impl PodmanEvent {
    /// Returns an event of the container with this name.
    #[must_use]
    pub fn of(container: &str, action: &str, time: i64) -> Self {
        let attributes = EventAttributes { name: container.to_owned() };
        Self { action: action.to_owned(), actor: EventActor { attributes }, time }
    }

    /// Returns whether a container of the pod `pod` can be meant.
    pub(in crate::podman_executor) fn is_of(&self, pod: &str) -> bool {
        let rest = self.actor.attributes.name.strip_prefix(pod);
        rest.is_some_and(|rest| rest.starts_with('-'))
    }

    /// Returns whether it follows from `change`, so that the command's end says more.
    pub(in crate::podman_executor) fn follows_from(&self, change: Change) -> bool {
        match change {
            Change::Start => STARTING.contains(&self.action.as_str()),
            Change::Freeze => FREEZING.contains(&self.action.as_str()),
            Change::Stop => true,
        }
    }

    /// Returns whether the event may have changed a container's state.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        !IDLE.contains(&self.action.as_str())
    }
}

/// What a line of the stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::podman_executor) enum Line {
    /// An event.
    Event(PodmanEvent),
    /// podman 4.3 answers 200 and sends its error in the stream.
    Error(String),
    /// Neither.
    Rubbish,
}

/// Collects chunks until lines are whole.
#[derive(Debug, Default)]
pub(in crate::podman_executor) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes a chunk and returns the lines that it completed.
    pub(in crate::podman_executor) fn push(&mut self, chunk: &[u8]) -> Vec<Line> {
        let mut complete = Vec::new();
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                complete.extend(decode(&self.pending));
                self.pending.clear();
            } else if self.pending.len() > MAX_LINE {
                complete.push(Line::Rubbish);
                self.pending.clear();
            }
        }
        complete
    }
}

/// Returns how long to wait after a piece of `bytes` bytes before the next is read. What is not read stays
/// with podman, and nothing of it is lost.
pub(in crate::podman_executor) fn pause_after(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    (Duration::from_secs(1) / BYTES_PER_SECOND).saturating_mul(bytes).max(MIN_PAUSE)
}

/// Decodes one line; `None` for an empty one.
fn decode(line: &[u8]) -> Option<Line> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return None;
    }
    let event = serde_json::from_slice::<PodmanEvent>(line).ok();
    if let Some(event) = event.filter(|event| !event.action.is_empty()) {
        return Some(Line::Event(event));
    }
    let error = serde_json::from_slice::<ErrorAnswer>(line).ok();
    let error = error.filter(|error| !error.cause.is_empty());
    Some(error.map_or(Line::Rubbish, |error| Line::Error(error.cause)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIED: &str = r#"{"status":"died","id":"10a9","Type":"container","Action":"died","Actor":{"ID":"10a9","Attributes":{"containerExitCode":"5","name":"ev1-a"}},"scope":"local","time":1795431036,"timeNano":1795431036922745492}"#;

    fn event(action: &str, time: i64) -> Line {
        Line::Event(PodmanEvent::of("ev1-a", action, time))
    }

    #[test]
    fn a_line_cut_anywhere_is_put_together() {
        let text = format!("{DIED}\n{DIED}\n");
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut seen = lines.push(&text.as_bytes()[..cut]);
            seen.extend(lines.push(&text.as_bytes()[cut..]));
            let died = event("died", 1_795_431_036);
            assert_eq!(seen, [died.clone(), died], "cut at {cut}");
        }
    }

    #[test]
    fn an_error_in_the_stream_is_distinguished_from_an_event() {
        let seen = Lines::default()
            .push(b"{\"cause\":\"zzz is an invalid filter\",\"message\":\"x\",\"response\":500}\n");
        assert_eq!(seen, [Line::Error("zzz is an invalid filter".to_owned())]);
    }

    #[test]
    fn rubbish_is_passed_over_and_the_next_event_is_read() {
        let mut lines = Lines::default();
        let endless = vec![b'x'; MAX_LINE + 1];
        assert_eq!(lines.push(&endless), [Line::Rubbish]);
        let seen = lines.push(format!("tail\n\n[]\n{DIED}\n").as_bytes());
        assert_eq!(seen, [Line::Rubbish, Line::Rubbish, event("died", 1_795_431_036)]);
    }

    #[test]
    fn a_flood_of_events_is_read_at_a_pace() {
        for (bytes, least, most) in [(0, 1, 1), (500, 1, 1), (65_536, 60, 64), (1 << 20, 950, 1000)]
        {
            let pause = pause_after(bytes).as_millis();
            assert!((least..=most).contains(&pause), "{bytes}: {pause} ms");
        }
        assert!(pause_after(usize::MAX) > Duration::from_secs(60));
    }

    #[test]
    fn an_event_without_bounds_is_rubbish() {
        let long = "x".repeat(2_000);
        for line in [
            format!("{{\"Action\":\"{long}\"}}\n"),
            format!(
                "{{\"Action\":\"died\",\"Actor\":{{\"Attributes\":{{\"name\":\"{long}\"}}}}}}\n"
            ),
            format!("{}\n", "[".repeat(100_000)),
            format!("{{\"Action\":\"died\",\"x\":{}\n", "{\"x\":".repeat(20_000)),
        ] {
            assert_eq!(Lines::default().push(line.as_bytes()), [Line::Rubbish]);
        }
        let error = format!("{{\"cause\":\"{}\"}}\n", "x".repeat(100_000));
        let Some(Line::Error(cause)) = Lines::default().push(error.as_bytes()).pop() else {
            panic!("no error");
        };
        assert!(cause.len() < 5_000, "{}", cause.len());
    }

    #[test]
    fn a_health_check_does_not_count_as_a_change() {
        let changes = |action: &str| PodmanEvent::of("web-a", action, 0).changes_state();
        assert!(changes("died") && changes("start") && changes("remove") && changes("unheard-of"));
        assert!(!changes("health_status") && !changes("exec_died"));
    }

    #[test]
    fn events_that_follow_from_a_command_are_expected() {
        let died = PodmanEvent::of("web-0123-main", "died", 0);
        assert!(died.is_of("web-0123") && !died.is_of("web-012") && !died.is_of("web-0123-main"));
        assert!(
            !PodmanEvent::of("", "died", 0).is_of("web-0123"),
            "an event that names nothing is of no pod"
        );
        for (action, start, freeze) in [
            ("create", true, false),
            ("init", true, false),
            ("start", true, false),
            ("pause", false, true),
            ("unpause", true, true),
            // A container that ends while its pod is started or frozen is news.
            ("died", false, false),
            ("remove", false, false),
            ("unheard-of", false, false),
        ] {
            let event = PodmanEvent::of("web-0123-main", action, 0);
            assert_eq!(event.follows_from(Change::Start), start, "{action}");
            assert_eq!(event.follows_from(Change::Freeze), freeze, "{action}");
            assert!(event.follows_from(Change::Stop), "{action}");
        }
    }
}
