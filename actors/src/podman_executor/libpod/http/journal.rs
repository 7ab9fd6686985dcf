//! Reads what podman's service wrote last, from the journal: by systemd's own program, off the agent's thread.
//!
//! podman itself is not run for it: under the agent's unit it would complain of the unit (a read-only disk, missing
//! rights), it might wait for the very lock that holds the service up, and another user's may be any program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::geteuid;

use super::peer::{ExpectedPeer, runtime_dir_owner};
use crate::blocking::OneAtATime;
use crate::podman_executor::libpod::refusal::of_journal;
use crate::program::{self, Bounds};

/// systemd's own program, at the one place where it is.
const JOURNALCTL: &str = "/usr/bin/journalctl";
/// Time for journalctl, which reads files alone.
const JOURNAL_TIME: Duration = Duration::from_secs(10);
/// Time for its thread, the end of journalctl included.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Entries that are looked at, newest first: the stack of a crash has some hundred lines.
const ENTRIES: &str = "500";
/// Bytes that are read of them.
const MAX_BYTES: u64 = 512 * 1024;
/// Where podman listens for root unless its units say otherwise.
const ROOTS_SOCKETS: [&str; 2] = ["/run/podman/podman.sock", "/var/run/podman/podman.sock"];
/// The same for a user, below the runtime directory.
const USERS_SOCKET: &str = "podman/podman.sock";

/// The journal in which podman's service writes.
pub(super) struct Journal {
    program: PathBuf,
    /// Whether it is this podman's, whatever its socket.
    is_of_any: bool,
    turn: OneAtATime,
}

impl Default for Journal {
    /// The one of the machine.
    fn default() -> Self {
        Self { program: JOURNALCTL.into(), is_of_any: false, turn: OneAtATime::default() }
    }
}

impl Journal {
    /// Returns the journal that `program` shows in the place of journalctl.
    #[cfg(feature = "testing")]
    pub(super) fn shown_by(program: PathBuf) -> Self {
        Self { program, is_of_any: true, ..Self::default() }
    }

    /// Returns why the podman that should listen at `socket` ended when it was last started. `None` when it did not, or
    /// when nothing says so: without systemd, or for a socket that is not that of podman's own units.
    pub(super) async fn said_last(&self, socket: &Path, expected: &ExpectedPeer) -> Option<String> {
        let (socket, expected) = (socket.to_owned(), expected.clone());
        let (program, is_of_any) = (self.program.clone(), self.is_of_any);
        let read = move || {
            let unit = service(&socket, &expected, is_of_any)?;
            of_journal(&entries(&program, &unit)?)
        };
        self.turn.run("reading the journal", TIMEOUT, read).await.ok().flatten()
    }
}

/// Returns how the journal calls the service behind `socket`, if that is one of podman's own units.
fn service(socket: &Path, expected: &ExpectedPeer, is_of_any: bool) -> Option<Vec<String>> {
    let of_user = |uid: u32, folder: &Path| {
        let is_usual = is_of_any || socket == folder.join(USERS_SOCKET);
        let user = [format!("_UID={uid}"), "_SYSTEMD_USER_UNIT=podman.service".to_owned()];
        is_usual.then(|| user.to_vec())
    };
    match expected {
        ExpectedPeer::RootOrOwn => {
            let is_usual =
                is_of_any || ROOTS_SOCKETS.iter().any(|usual| socket == Path::new(usual));
            is_usual.then(|| vec!["_SYSTEMD_UNIT=podman.service".to_owned()])
        }
        ExpectedPeer::Own => {
            let uid = geteuid().as_raw();
            of_user(uid, Path::new(&format!("/run/user/{uid}")))
        }
        ExpectedPeer::OwnerOf(folder) => of_user(runtime_dir_owner(folder).ok()?, folder),
    }
}

/// Returns the newest entries of a service, newest first. Not those of this boot alone: in a container
/// journalctl may be shown another boot's id than journald.
fn entries(program: &Path, service: &[String]) -> Option<Vec<u8>> {
    let words = [
        "--quiet",
        "--no-pager",
        "--reverse",
        "--lines",
        ENTRIES,
        "--output=json",
        "--output-fields=MESSAGE,_STREAM_ID",
        // What containers write there has come another way.
        "_TRANSPORT=stdout",
    ];
    let words = words.into_iter().chain(service.iter().map(String::as_str));
    let bounds = Bounds { time: JOURNAL_TIME, answer: MAX_BYTES };
    program::answer(program, words, &[], bounds).ok()
}
