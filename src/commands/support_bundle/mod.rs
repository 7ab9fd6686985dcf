//! `support-bundle`: one file with what helps to find out why a device does not do what it should.

mod agent;
mod archive;
mod clean;
mod gathering;
mod kept_logs;
mod machine;
mod podman;
mod question;
mod units;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use actors::clock::Clock;
use grammar::printable;

pub use self::question::{Question, usage};

use self::archive::Unwritten;
use self::gathering::{Gatherer, Part, gather};
use super::Answer;
use crate::config::Sources;

/// Name of the command.
pub const NAME: &str = "support-bundle";

/// Exit code when there is no bundle; 2 is wrong usage.
const UNWRITTEN: u8 = 1;
/// Time for everything: who has not answered by then is left out.
const TIME: Duration = Duration::from_secs(90);
/// The file within the bundle that says what is in it.
const CONTENTS: &str = "contents.txt";

/// Makes the bundle, and prints what is in it.
#[must_use]
pub fn run(question: &Question, sources: &Sources) -> ExitCode {
    let answer = write(question, sources).unwrap_or_else(|error| Answer {
        remarks: format!("error: {}\n", printable(&error.to_string())),
        code: UNWRITTEN,
        ..Answer::default()
    });
    answer.report()
}

fn write(question: &Question, sources: &Sources) -> Result<Answer, Unwritten> {
    let now = Clock::system().now().wall;
    let name = format!("device-worker-ng-{}", now.format("%Y%m%dT%H%M%SZ"));
    let path = question.output.clone().unwrap_or_else(|| format!("{name}.tar.gz").into());
    // Before anything is asked: a file that cannot be made would waste a minute.
    let file = archive::File::create(path)?;
    let mut parts = gather(gatherers(question, sources), TIME);
    let made_at = now.format("%Y-%m-%dT%H:%M:%SZ");
    let contents =
        format!("device-worker-ng {}, {made_at}\n\n{}", env!("CARGO_PKG_VERSION"), table(&parts));
    parts.insert(0, Part { name: CONTENTS.to_owned(), content: Ok(contents.clone()) });
    let (path, size) = file.write(&name, now.timestamp(), &parts)?;
    let path = path.display();
    Ok(Answer {
        output: format!("{contents}\nwritten to {path}, {}\n", kilobytes(size)),
        remarks: missing(&parts).map(|line| format!("missing: {line}\n")).collect(),
        code: 0,
    })
}

/// Returns who gathers what.
fn gatherers(question: &Question, sources: &Sources) -> Vec<Gatherer> {
    let (address, for_check, for_podman) =
        (question.address.clone(), sources.clone(), sources.clone());
    let with_logs = question.with_logs;
    let (for_agent, for_units) = (sources.clone(), sources.clone());
    let mut all = vec![
        Gatherer::new("agent", move |tray| {
            agent::status_and_events(address, with_logs, &for_agent, tray)
        }),
        Gatherer::new("configuration", move |tray| {
            agent::configuration_and_check(&for_check, tray)
        }),
        Gatherer::new("machine", machine::facts),
        Gatherer::new("podman", move |tray| podman::surveys(&for_podman, tray)),
        Gatherer::new("units", move |tray| units::states_and_journal(&for_units, tray)),
    ];
    if with_logs {
        all.push(Gatherer::new("kept-logs", kept_logs::all));
    }
    all
}

/// Returns the list of what is there and of what is missing, a line for each.
fn table(parts: &[Part]) -> String {
    let mut table = String::new();
    for part in parts {
        if let Ok(content) = &part.content {
            // Writing to a string cannot fail.
            let _ = writeln!(table, "  {:<44} {:>9}", part.name, kilobytes(content.len()));
        }
    }
    for (index, line) in missing(parts).enumerate() {
        let head = if index == 0 { "\nmissing:\n" } else { "" };
        let _ = writeln!(table, "{head}  {line}");
    }
    table
}

/// Returns for each part that is not there its name and why.
fn missing(parts: &[Part]) -> impl Iterator<Item = String> {
    parts.iter().filter_map(|part| {
        let reason = part.content.as_ref().err()?;
        Some(format!("{}: {}", part.name, printable(reason)))
    })
}

fn kilobytes(bytes: usize) -> String {
    format!("{} kB", bytes.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contents_list_what_is_there_and_why_the_rest_is_not() {
        let part = |name: &str, content: Result<&str, &str>| Part {
            name: name.to_owned(),
            content: content.map(str::to_owned).map_err(str::to_owned),
        };
        let there = [part("agent/status.json", Ok("{}")), part("machine.txt", Ok(""))];
        assert_eq!(
            table(&there),
            "  agent/status.json                                 1 kB\n  \
               machine.txt                                       0 kB\n"
        );
        let [status, machine] = there;
        let parts = [
            status,
            part("podman", Err("no answer\u{1b}[2J\nforged line")),
            machine,
            part("units", Err("no systemd")),
        ];
        assert!(
            table(&parts).ends_with(
                "0 kB\n\nmissing:\n  podman: no answer\\u{1b}[2J\\nforged line\n  units: no systemd\n"
            ),
            "{}",
            table(&parts)
        );
    }
}
