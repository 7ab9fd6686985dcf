//! What each podman says of itself and of all that it has.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use actors::clock::Clock;
use actors::podman_executor::{ExpectedPeer, LibpodClient, Survey};
use actors::workload::ExecutorKind;
use serde_json::Value;
use tokio::task::LocalSet;

use super::gathering::Tray;
use crate::config::{Config, Machine, Sources};
use crate::runtimes::podmans;

/// Stands for all of them.
const PODMAN: &str = "podman";
/// Containers that are looked at one by one: those of a large device.
const MAX_DETAILS: usize = 200;
/// Time in which that is begun.
const DETAILS_TIME: Duration = Duration::from_secs(20);

/// Asks every podman that the settings name, each for all that it says.
pub(super) fn surveys(sources: &Sources, tray: &Tray) {
    let access = match Config::only_access(sources, &Machine::this()) {
        Ok(access) => access,
        Err(errors) => return tray.missing(PODMAN, &errors.to_string()),
    };
    let podmans = podmans(&access);
    if podmans.is_empty() {
        return tray.missing(PODMAN, "the settings name none that this user may ask");
    }
    if let Err(error) = ask_all(podmans, tray) {
        tray.missing(PODMAN, &error.to_string());
    }
}

fn ask_all(podmans: Vec<(ExecutorKind, PathBuf, ExpectedPeer)>, tray: &Tray) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        // At the same time: one that hangs takes none of the other's.
        let all = podmans.into_iter().map(|(kind, socket, expected)| async move {
            ask(kind, &LibpodClient::new(socket, expected), tray).await;
        });
        futures_util::future::join_all(all).await
    });
    // A thread that reads a disk which hangs is not waited for.
    runtime.shutdown_background();
    Ok(())
}

async fn ask(kind: ExecutorKind, podman: &LibpodClient, tray: &Tray) {
    let name = |what: &str| format!("{}/{what}.json", kind.as_str());
    let mut containers = Value::Null;
    for survey in Survey::ALL {
        match podman.survey(survey).await {
            Ok(answer) => {
                tray.json(name(survey.name()), &answer);
                if survey == Survey::Containers {
                    containers = answer;
                }
            }
            Err(error) => {
                tray.missing(name(survey.name()), &error.chain());
                if !error.is_refusal() {
                    let rest = format!("{} (the rest)", kind.as_str());
                    return tray.missing(rest, "was not asked for after that");
                }
            }
        }
    }
    // Last: of many containers it takes longest.
    tray.json(name("containers-inspected"), &details(podman, &containers).await);
}

/// Looks at each container of a listing. In the place of one that is gone stands why.
async fn details(podman: &LibpodClient, listing: &Value) -> Value {
    let rows = listing.as_array().into_iter().flatten();
    let ids: Vec<&str> = rows.filter_map(|row| row["Id"].as_str()).collect();
    let mut details = Vec::new();
    let clock = Clock::system();
    for id in ids.iter().take(MAX_DETAILS) {
        if clock.monotonic().since_start() > DETAILS_TIME {
            break;
        }
        details.push(match podman.survey_container(id).await {
            Ok(detail) => detail,
            Err(error) => Value::String(format!("{id}: {}", error.chain())),
        });
    }
    let left = ids.len().saturating_sub(details.len());
    if left > 0 {
        details.push(Value::String(format!("{left} more are left out")));
    }
    Value::Array(details)
}
