//! The requests of one connection reach the HTTP server one by one, whatever its client sends ahead.
//!
//! actix-http reads up to 128 KiB ahead while it handles a request, and makes a head of each request in
//! them, which takes 7 KiB: a client that sends the shortest of requests and reads no answer would take
//! 40 MiB with one connection. It also takes the unread body of a request that waits for that of the one
//! that it answers, and closes the connection.

use std::io::{self, BufRead as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::web::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use super::state::{Awaited, State};

/// Bytes read ahead while a request is handled, to see that the client leaves.
const LOOK_AHEAD: usize = 512;

/// What a client has sent and the HTTP server has not been given yet.
#[derive(Default)]
pub(in crate::metrics_ingest::http) struct ReadAhead {
    held: BytesMut,
    /// The server is to make a request of what it has before it is given more.
    has_handed: bool,
    lines: Lines,
    /// Bytes behind the head that was handed over last: they belong to its body.
    behind_head: usize,
}

impl ReadAhead {
    /// Reads from `stream`, whose connection has this `state`; hands over nothing while a request is
    /// handled and has its body.
    pub(in crate::metrics_ingest::http) fn poll_read(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        state: &State,
        task: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.has_handed) {
            let read = self.look_ahead(stream, task);
            if !self.held.is_empty() {
                task.waker().wake_by_ref();
            }
            return read;
        }
        let awaited = state.awaited(std::mem::take(&mut self.behind_head));
        if awaited == Awaited::Nothing {
            state.wake_when_free(task.waker());
            return self.look_ahead(stream, task);
        }
        if !self.held.is_empty() {
            let mut held = std::mem::take(&mut self.held);
            let most = held.len().min(buffer.remaining());
            let portion = self.portion(&held[..most], awaited, state);
            buffer.put_slice(&held.split_to(portion));
            self.has_handed |= !held.is_empty();
            self.held = held;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = stream.poll_read(task, buffer);
        let new = &buffer.filled()[before..];
        let portion = self.portion(new, awaited, state);
        if portion < new.len() {
            self.has_handed = true;
            self.held.extend_from_slice(&new[portion..]);
            buffer.set_filled(before + portion);
        }
        read
    }

    /// Returns how many of `bytes` are handed over now.
    fn portion(&mut self, bytes: &[u8], awaited: Awaited, state: &State) -> usize {
        match awaited {
            Awaited::Nothing => 0,
            Awaited::Bytes(left) => {
                let portion = bytes.len().min(left);
                state.note_body(portion);
                portion
            }
            // What ends it is a blank line; another one in it does no harm.
            Awaited::Chunks => match self.lines.end_of_head(bytes) {
                Some(end) => {
                    self.has_handed = true;
                    end
                }
                None => bytes.len(),
            },
            Awaited::Head => {
                let Some(end) = self.lines.end_of_head(bytes) else { return bytes.len() };
                // A body that comes with its head need not wait for another turn.
                let rest = &bytes[end..];
                let is_last = self.lines.end_of_head(rest).is_none();
                self.has_handed = true;
                self.behind_head = if is_last { rest.len() } else { 0 };
                if !is_last {
                    self.lines = Lines::default();
                }
                end + self.behind_head
            }
        }
    }

    /// Ready only once the client has left.
    fn look_ahead(
        &mut self,
        stream: Pin<&mut impl AsyncRead>,
        task: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            return Poll::Pending;
        }
        let mut bytes = [0; LOOK_AHEAD];
        let mut buffer = ReadBuf::new(&mut bytes);
        match stream.poll_read(task, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                self.held.extend_from_slice(buffer.filled());
                Poll::Pending
            }
            ended @ (Poll::Ready(_) | Poll::Pending) => ended,
        }
    }
}

/// Finds the blank lines that end heads, in bytes that come in pieces. Those before a head are none.
#[derive(Default)]
struct Lines {
    /// A line with a character was there since the last head.
    has_line: bool,
    /// So has the line that has begun.
    has_text: bool,
}

impl Lines {
    /// Returns where the first head in `bytes` ends.
    fn end_of_head(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let line = rest;
            // The search of the standard library is quick, whatever this is built for.
            let length = rest.skip_until(b'\n').unwrap_or(line.len());
            let line = &line[..length];
            let has_end = line.last() == Some(&b'\n');
            let has_text = self.has_text || line.iter().any(|byte| !b"\r\n".contains(byte));
            if has_end && !has_text && self.has_line {
                *self = Self::default();
                return Some(bytes.len() - rest.len());
            }
            self.has_line |= has_text;
            self.has_text = has_text && !has_end;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::task::Waker;

    use super::*;
    use crate::clock::Clock;
    use crate::metrics_ingest::sockets::Peer;

    #[test]
    fn a_head_ends_with_the_first_blank_line_in_whatever_pieces_it_comes() {
        for (pieces, expected) in [
            (&["GET / HTTP/1.1\r\n"][..], None),
            (&["GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"], Some((0, 27))),
            (&["GET / HTTP/1.1\n\n"], Some((0, 16))),
            (&["\r\n\r\nGET / HTTP/1.1\n\n"], Some((0, 20))),
            (&["\r\n", "\r\n"], None),
            (&["GET / HTTP/1.1\r\n", "\r\nG"], Some((1, 2))),
            (&["GET / HTTP/1.1\r\n\r", "\nG"], Some((1, 1))),
            (&["GET / HTTP/1.1\r", "\nHost: x\r\n", "\r\n"], Some((2, 2))),
        ] {
            let mut lines = Lines::default();
            let mut ends = pieces.iter().map(|piece| lines.end_of_head(piece.as_bytes()));
            let found = ends.by_ref().enumerate().find_map(|(at, end)| Some((at, end?)));
            assert_eq!(found, expected, "{pieces:?}");
        }
    }

    /// What a client has sent: all of it is there, and no end of it.
    struct Sent(&'static [u8]);

    impl AsyncRead for Sent {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Pending;
            }
            let (now, later) = self.0.split_at(buffer.remaining().min(self.0.len()));
            buffer.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn no_request_is_handed_over_while_one_is_handled() {
        const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
        let requests = REQUEST.repeat(1_000).leak();
        let state = Rc::new(State::new(0, Peer::Loopback, Clock::system()));
        let (mut ahead, mut stream) = (ReadAhead::default(), Sent(requests));
        let mut task = Context::from_waker(Waker::noop());
        // As the server does: it reads until there is nothing to read, then handles one request.
        let mut read = || {
            let mut bytes = vec![0; 32 * 1024];
            let mut buffer = ReadBuf::new(&mut bytes);
            while ahead.poll_read(Pin::new(&mut stream), &state, &mut task, &mut buffer).is_ready()
            {
            }
            buffer.filled().len() / REQUEST.len()
        };
        let mut handled = 0;
        while handled < 1_000 {
            let waiting = read();
            assert_eq!(waiting, 1, "after {handled}");
            for _ in 0..waiting {
                let busy = state.begin_request();
                assert_eq!(read(), 0);
                drop(busy);
            }
            handled += waiting;
        }
    }
}
