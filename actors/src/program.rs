//! Runs a program that only answers, with bounds: it may wait for a disk or a bus that never answers. Not for
//! the thread of the actors.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Bytes that are read of a program's complaints.
const MAX_COMPLAINT: u64 = 4 * 1024;
/// Time for a program to end once it has answered.
const END: Duration = Duration::from_secs(2);
/// Time between two looks whether it has.
const END_POLL: Duration = Duration::from_millis(5);

/// What a program may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time for its answer.
    pub time: Duration,
    /// Bytes that are read of that; it is ended when it has written them.
    pub answer: u64,
}

/// Returns what `program` answers to these words, in an environment of `variables` alone: as root it must not
/// depend on what an environment says.
///
/// # Errors
/// It is not there, takes too long, or fails without an answer; says why, in its own words if it has some.
pub fn answer(
    program: &Path,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
    variables: &[(&str, &str)],
    bounds: Bounds,
) -> Result<Vec<u8>, String> {
    let name = program.display();
    let failed = |error: io::Error| format!("failed to run {name}: {error}");
    let mut child = Command::new(program)
        .args(words)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let output = child.stdout.take().map(|output| beside(output, bounds.answer));
    let complaint = child.stderr.take().map(|output| beside(output, MAX_COMPLAINT));
    let read = output.and_then(|output| output.recv_timeout(bounds.time).ok());
    // It has ended, or does soon; or it has written more than is read, or takes too long, and is ended.
    let is_over = read.as_ref().is_some_and(|it| (it.len() as u64) < bounds.answer);
    let status = end(&mut child, if is_over { END } else { Duration::ZERO }).map_err(failed)?;
    let Some(text) = read else {
        return Err(format!("{name} has not answered within {} s", bounds.time.as_secs()));
    };
    if !text.is_empty() || status.success() {
        return Ok(text);
    }
    let complaint = complaint.and_then(|it| it.recv_timeout(bounds.time).ok()).unwrap_or_default();
    match String::from_utf8_lossy(&complaint).trim_end() {
        "" => Err(format!("{name} has failed: {status}")),
        complaint => Err(format!("{name}: {complaint}")),
    }
}

/// Returns how the program has ended, and ends it if it has not within `time`: it may have closed its output and
/// live on.
fn end(child: &mut Child, time: Duration) -> io::Result<ExitStatus> {
    let looks = time.as_millis() / END_POLL.as_millis();
    for _ in 0..looks {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        #[expect(clippy::disallowed_methods, reason = "it is not the thread of the actors")]
        thread::sleep(END_POLL);
    }
    drop(child.kill());
    child.wait()
}

/// Reads on a thread of its own; what is read comes once it has ended.
fn beside(output: impl Read + Send + 'static, most: u64) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    let reading = move || {
        let mut bytes = Vec::new();
        // Of a reader that fails the beginning is of use.
        let _ = output.take(most).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    };
    // Without a thread nothing comes, which is the same as no answer.
    let _ = thread::Builder::new().name("program".to_owned()).spawn(reading);
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_ANSWER: u64 = 64 * 1024;

    fn shell(time: u64, script: &str) -> Result<String, String> {
        let bounds = Bounds { time: Duration::from_secs(time), answer: MAX_ANSWER };
        let text = answer(Path::new("/bin/sh"), ["-c", script], &[("GIVEN", "yes")], bounds);
        text.map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_program_answers_fails_or_is_ended() {
        for (time, script, expected) in [
            (60, "echo one; echo two", Ok("one\ntwo\n")),
            (60, "echo \"$HOME$GIVEN\"", Ok("yes\n")),
            (60, "true", Ok("")),
            (60, "echo half; echo no >&2; exit 3", Ok("half\n")),
            (60, "echo no systemd here >&2; exit 1", Err("/bin/sh: no systemd here")),
            (60, "exit 4", Err("/bin/sh has failed: exit status: 4")),
            (60, "echo all; exec >&-; exec sleep 600", Ok("all\n")),
            (1, "exec sleep 600", Err("/bin/sh has not answered within 1 s")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(shell(time, script), expected, "{script}");
        }
    }

    #[test]
    fn an_answer_without_an_end_is_cut() {
        let text = shell(60, "exec yes").unwrap();
        assert_eq!(text.len() as u64, MAX_ANSWER);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let bounds = Bounds { time: Duration::from_secs(60), answer: MAX_ANSWER };
        let program = Path::new("/nonexistent/systemctl");
        let error = answer(program, [""; 0], &[], bounds).unwrap_err();
        assert!(error.starts_with("failed to run /nonexistent/systemctl: "), "{error}");
    }
}
