//! Logs of containers: line by line for a reader, and the end of one as it is kept.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::stream::{StreamExt as _, unfold};
use http::Method;

use super::log_frames::LogFrames;
use crate::log_query::{LogLines, LogQuery};
use crate::podman_executor::libpod::api::PodmanError;
use crate::podman_executor::libpod::http::{Call, LibpodClient};

/// What errors say that podman was asked for.
const WHAT: &str = "read the container's log";
/// Time until the log begins to come.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The same of a log that is followed: podman answers with its first line, which may never come.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Lines that the end of a log is looked for in: as many as 64 KiB of short lines hold.
const LINES_OF_END: u32 = 4096;

impl LibpodClient {
    /// Reads the log of a container, line by line; with `follow` until the container ends.
    ///
    /// # Errors
    /// podman refuses, or does not answer.
    pub async fn log(
        &self,
        container: &str,
        query: &LogQuery,
    ) -> Result<LogLines<PodmanError>, PodmanError> {
        let since = query.since.map(|since| since.timestamp().to_string());
        let tail = query.tail.map(|lines| lines.to_string());
        let flag = |flag: bool| if flag { "true" } else { "false" };
        let mut pairs = vec![
            ("stdout", "true"),
            ("stderr", "true"),
            ("follow", flag(query.follow)),
            ("timestamps", flag(query.timestamps)),
        ];
        pairs.extend(since.as_deref().map(|since| ("since", since)));
        pairs.extend(tail.as_deref().map(|tail| ("tail", tail)));
        let call = Call::of(WHAT, Method::GET, ["containers", container, "logs"]).query(&pairs);
        let after = if query.follow { FOLLOW_TIMEOUT } else { OPEN_TIMEOUT };
        let reply = self.open(call, after).await?;
        let lines = unfold(Some((reply, LogFrames::default())), async |state| {
            let (mut reply, mut frames) = state?;
            loop {
                match frames.line() {
                    Ok(Some(line)) => return Some((Ok(line), Some((reply, frames)))),
                    Ok(None) => {}
                    Err(fault) => {
                        let source = fault.into();
                        return Some((Err(PodmanError::Garbled { call: WHAT, source }), None));
                    }
                }
                match reply.piece().await? {
                    Ok(piece) => frames.push(&piece),
                    Err(source) => {
                        let source = source.into();
                        return Some((Err(PodmanError::Cut { call: WHAT, source }), None));
                    }
                }
            }
        });
        Ok(lines.boxed_local())
    }

    /// Reads the last whole lines of a container's log, of at most `most` bytes, each with its time.
    pub(super) async fn read_log_end(
        &self,
        container: &str,
        most: usize,
    ) -> Result<Vec<u8>, PodmanError> {
        let query = LogQuery { tail: Some(LINES_OF_END), timestamps: true, ..LogQuery::default() };
        let mut lines = self.log(container, &query).await?;
        let mut end = LogEnd::new(most);
        while let Some(line) = lines.next().await {
            end.push(line?);
        }
        Ok(end.whole())
    }
}

/// The last lines of a log, as many as fit.
struct LogEnd {
    lines: VecDeque<Vec<u8>>,
    size: usize,
    most: usize,
}

impl LogEnd {
    fn new(most: usize) -> Self {
        Self { lines: VecDeque::new(), size: 0, most }
    }

    /// Adds a line. One that is too long by itself keeps its end.
    fn push(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        line.drain(..line.len().saturating_sub(self.most));
        self.size += line.len();
        self.lines.push_back(line);
        while self.size > self.most
            && let Some(first) = self.lines.pop_front()
        {
            self.size -= first.len();
        }
    }

    fn whole(self) -> Vec<u8> {
        Vec::from(self.lines).concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_log_the_last_lines_are_kept_that_fit() {
        for (most, lines, kept) in [
            (8, &[][..], ""),
            (8, &["one"], "one\n"),
            (8, &["one", "two"], "one\ntwo\n"),
            (8, &["one", "two", "six"], "two\nsix\n"),
            (8, &["one", "two", "seven"], "seven\n"),
            (8, &["one", "longer than all"], "han all\n"),
        ] {
            let mut end = LogEnd::new(most);
            for line in lines {
                end.push(line.as_bytes().to_vec());
            }
            assert_eq!(String::from_utf8(end.whole()).unwrap(), kept, "{most}: {lines:?}");
        }
    }
}
