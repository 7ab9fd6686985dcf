//! Several who gather at the same time, each beside the others: who fails or hangs costs its own part
//! only.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use actors::clock::Clock;
use grammar::{printable_json, printable_lines};
use serde_json::Value;

use super::clean::clean;

/// The most that one file of a bundle holds, in bytes.
const MAX_PART: usize = 8 * 1024 * 1024;
/// The most that all of them hold.
const MAX_ALL: usize = 32 * 1024 * 1024;

/// A file of the bundle, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its path within the bundle.
    pub(super) name: String,
    /// What is in it, or what went wrong.
    pub(super) content: Result<String, String>,
}

/// Somebody who gathers parts.
pub(super) struct Gatherer {
    /// Stands for its parts while none is there.
    name: &'static str,
    work: Box<dyn FnOnce(&Tray) + Send>,
}

impl Gatherer {
    pub(super) fn new(name: &'static str, work: impl FnOnce(&Tray) + Send + 'static) -> Self {
        Self { name, work: Box::new(work) }
    }
}

enum News {
    Part(Part),
    /// This gatherer has no more.
    Done(&'static str),
}

/// Where a gatherer lays its parts. They are cleaned of secrets, made printable and cut there.
pub(super) struct Tray(Sender<News>);

impl Tray {
    /// Lays down a text.
    pub(super) fn text(&self, name: impl Into<String>, text: &str) {
        self.put(name.into(), Ok(printable_lines(&cut(clean(text))).into_owned()));
    }

    /// Lays down JSON, for people.
    pub(super) fn json(&self, name: impl Into<String>, value: &Value) {
        let text = cut(clean(&format!("{value:#}\n")));
        let lines = text.split_inclusive('\n').map(|line| {
            let (line, end) = line.strip_suffix('\n').map_or((line, ""), |line| (line, "\n"));
            format!("{}{end}", printable_json(line))
        });
        self.put(name.into(), Ok(lines.collect()));
    }

    /// Says why there is no such part.
    pub(super) fn missing(&self, name: impl Into<String>, reason: &str) {
        self.put(name.into(), Err(clean(reason)));
    }

    fn put(&self, name: String, content: Result<String, String>) {
        // Nobody receives after the time is over.
        let _ = self.0.send(News::Part(Part { name, content }));
    }
}

/// Cuts what is too long, and says so.
fn cut(mut text: String) -> String {
    if text.len() > MAX_PART {
        text.truncate(text.floor_char_boundary(MAX_PART));
        text.push_str("\n(the rest is left out)\n");
    }
    text
}

/// Lets all of them work at the same time, for `time` at most. Returns their parts by name.
pub(super) fn gather(gatherers: Vec<Gatherer>, time: Duration) -> Vec<Part> {
    let (sender, receiver) = channel();
    let mut parts = Vec::new();
    let mut waiting = BTreeSet::new();
    for Gatherer { name, work } in gatherers {
        let tray = Tray(sender.clone());
        let working = move || {
            work(&tray);
            let _ = tray.0.send(News::Done(name));
        };
        match thread::Builder::new().name(name.to_owned()).spawn(working) {
            Ok(_) => {
                waiting.insert(name);
            }
            Err(error) => {
                parts.push(Part { name: name.to_owned(), content: Err(error.to_string()) })
            }
        }
    }
    drop(sender);
    let reason = receive(&receiver, time, &mut waiting, &mut parts);
    let late = waiting.iter().map(|name| format!("{name} (the rest)"));
    parts.extend(late.map(|name| Part { name, content: Err(reason.clone()) }));
    parts.sort_by(|a, b| a.name.cmp(&b.name));
    within_bounds(parts, MAX_ALL)
}

/// Receives parts until all have done, or the time is over. Returns why the others have not.
fn receive(
    receiver: &Receiver<News>,
    time: Duration,
    waiting: &mut BTreeSet<&'static str>,
    parts: &mut Vec<Part>,
) -> String {
    let clock = Clock::system();
    loop {
        let left = time.saturating_sub(clock.monotonic().since_start());
        match receiver.recv_timeout(left) {
            Ok(News::Part(part)) => parts.push(part),
            Ok(News::Done(name)) => {
                waiting.remove(name);
            }
            Err(RecvTimeoutError::Timeout) => {
                return format!("was not there within {} s", time.as_secs());
            }
            Err(RecvTimeoutError::Disconnected) => {
                return "ended early: a fault of this program".to_owned();
            }
        }
    }
}

/// Leaves out what would make the bundle too large, the largest first.
fn within_bounds(mut parts: Vec<Part>, most: usize) -> Vec<Part> {
    let size = |part: &Part| part.content.as_ref().map_or(0, String::len);
    while parts.iter().map(size).sum::<usize>() > most
        && let Some(largest) = parts.iter_mut().max_by_key(|part| size(part))
    {
        largest.content = Err(format!("was left out: all parts exceed {} MB", most / 1_000_000));
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(name: &str, content: Result<&str, &str>) -> Part {
        Part { name: name.to_owned(), content: content.map(str::to_owned).map_err(str::to_owned) }
    }

    #[test]
    fn who_fails_hangs_or_breaks_costs_its_own_part_only() {
        let (_held, never) = channel::<()>();
        let gatherers = vec![
            Gatherer::new("hangs", move |tray| {
                tray.text("hangs/first.txt", "first");
                let _ = never.recv();
            }),
            Gatherer::new("good", |tray| tray.text("good.txt", "good")),
            Gatherer::new("fails", |tray| tray.missing("fails.txt", "no such thing")),
        ];
        assert_eq!(
            gather(gatherers, Duration::from_secs(1)),
            [
                part("fails.txt", Err("no such thing")),
                part("good.txt", Ok("good")),
                part("hangs (the rest)", Err("was not there within 1 s")),
                part("hangs/first.txt", Ok("first")),
            ]
        );
        let broken = Gatherer::new("broken", |_| panic!("on purpose"));
        let good = Gatherer::new("good", |tray| tray.text("good.txt", "good"));
        assert_eq!(
            gather(vec![broken, good], Duration::from_secs(60)),
            [
                part("broken (the rest)", Err("ended early: a fault of this program")),
                part("good.txt", Ok("good")),
            ]
        );
    }

    #[test]
    fn parts_command_no_terminal_and_stay_what_they_are() {
        let all = |tray: &Tray| {
            tray.text("a.txt", "one\u{1b}[2J\ntwo\n");
            tray.json("b.json", &json!({"k": "x\u{202e}\ny", "url": "https://u:p@h/x"}));
        };
        let parts = gather(vec![Gatherer::new("all", all)], Duration::from_secs(60));
        assert_eq!(parts[0], part("a.txt", Ok("one\\u{1b}[2J\ntwo\n")));
        let text = parts[1].content.as_ref().unwrap();
        assert!(text.contains("\"x\\u202e\\ny\""), "{text}");
        let read: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read, json!({"k": "x\u{202e}\ny", "url": "https://…@h/x"}));
    }

    #[test]
    fn what_is_too_much_is_cut_or_left_out_and_named() {
        let long = cut("ä".repeat(MAX_PART));
        assert!(long.len() < MAX_PART + 64 && long.ends_with("ä\n(the rest is left out)\n"));
        let parts = vec![part("a", Ok("12345")), part("b", Ok("123")), part("c", Err("gone"))];
        for (most, sizes) in [(8, [5, 3, 0]), (7, [0, 3, 0]), (2, [0, 0, 0])] {
            let left = within_bounds(parts.clone(), most);
            let size = |part: &Part| part.content.as_ref().map_or(0, String::len);
            assert_eq!(left.iter().map(size).collect::<Vec<_>>(), sizes, "{most}");
        }
        let left = within_bounds(parts, 7);
        assert!(left[0].content.as_ref().unwrap_err().starts_with("was left out"), "{left:?}");
    }
}
