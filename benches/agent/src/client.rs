//! HTTP clients for the agent's listener: one connection, and many that are always busy.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the body of a posted metric.
pub(crate) fn sample(name: &str, value: f64) -> String {
    format!(r#"{{"name":"{name}","value":{value}}}"#)
}

/// Returns the bytes of one post.
pub(crate) fn request(body: &str) -> Vec<u8> {
    let length = body.len();
    let head = "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// One connection that is kept.
pub(crate) struct Connection(TcpStream);

impl Connection {
    /// Opens it.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self(stream))
    }

    /// Posts a body; fails unless it is answered with 204.
    pub(crate) fn post(&mut self, body: &str) -> io::Result<()> {
        self.0.write_all(&request(body))?;
        let (status, _) = self.answer()?;
        if status == 204 { Ok(()) } else { Err(io::Error::other(format!("answered {status}"))) }
    }

    /// Reads a page.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<String> {
        write!(self.0, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        Ok(String::from_utf8_lossy(&self.answer()?.1).into_owned())
    }

    fn answer(&mut self) -> io::Result<(u16, Vec<u8>)> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match self.0.read(&mut buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => bytes.extend_from_slice(&buffer[..length]),
            }
            if let Some((status, start, length)) = head(&bytes)
                && bytes.len() >= start + length
            {
                return Ok((status, bytes.split_off(start)));
            }
        }
    }
}

/// Returns status, start and length of the body, once the head is whole.
pub(crate) fn head(bytes: &[u8]) -> Option<(u16, usize, usize)> {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, end, length.unwrap_or(0)))
}

/// What came of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Posts that were answered with 204.
    pub(crate) taken: u64,
    /// Posts that were answered otherwise.
    pub(crate) refused: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Load {
    /// Returns the posts per second.
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    pub(crate) fn rate(&self) -> f64 {
        self.taken as f64 / self.took.as_secs_f64()
    }
}

/// Posts `request` on `connections` connections, each with one post on its way at any time, until
/// `length` has passed or `count` posts are answered. One thread: the machine is small, and what
/// it spends on itself it takes from who is measured.
pub(crate) fn load(
    address: SocketAddr,
    connections: usize,
    request: &[u8],
    length: Duration,
    count: u64,
) -> Load {
    let open = || {
        let stream = TcpStream::connect(address).expect("the listener is open");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_nonblocking(true).expect("a socket option");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| open()).collect();
    let mut result = Load { taken: 0, refused: 0, took: Duration::ZERO };
    let start = Instant::now();
    let (mut sent, mut idle) = (0, 0);
    for stream in &mut streams {
        stream.write_all(request).expect("a small write fits the buffer");
        sent += 1;
    }
    let mut buffer = [0; 4096];
    let timeout = Timespec::try_from(ANSWER_TIMEOUT).expect("a short time");
    let mut ready = vec![false; connections];
    while idle < connections {
        let mut fds: Vec<PollFd<'_>> =
            streams.iter().map(|stream| PollFd::new(stream, PollFlags::IN)).collect();
        let any = poll(&mut fds, Some(&timeout)).expect("poll works");
        assert!(any > 0, "no answer came");
        for (ready, fd) in ready.iter_mut().zip(&fds) {
            *ready = !fd.revents().is_empty();
        }
        let is_over = start.elapsed() >= length;
        for (stream, _) in streams.iter_mut().zip(&ready).filter(|(_, ready)| **ready) {
            // Answers are short and come in one piece.
            let read = stream.read(&mut buffer).expect("the connection is kept");
            assert!(read > 0, "the server hung up");
            match buffer.get(9..12) {
                Some(b"204") => result.taken += 1,
                _ => result.refused += 1,
            }
            if is_over || sent >= count {
                idle += 1;
            } else {
                stream.write_all(request).expect("a small write fits the buffer");
                sent += 1;
            }
        }
    }
    result.took = start.elapsed();
    result
}
