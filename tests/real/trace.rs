//! A witness between the agent and podman: notes when which request went over the socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// A request line, and when its first byte came.
#[derive(Clone, Debug)]
pub struct Request {
    /// When.
    pub at: Instant,
    /// Method and path.
    pub line: String,
}

/// Listens at a socket of its own and passes everything on.
pub struct Trace {
    /// The socket for the agent.
    pub socket: PathBuf,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Trace {
    /// Opens `socket` in front of `podman`.
    pub fn before(podman: &Path, socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let requests: Arc<Mutex<Vec<Request>>> = Arc::default();
        let trace = Self { socket: socket.to_owned(), requests: Arc::clone(&requests) };
        let podman = podman.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&podman) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let requests = Arc::clone(&requests);
                thread::spawn(move || pass_on(from, to, Some(&requests)));
                thread::spawn(move || pass_on(server, client, None));
            }
        });
        trace
    }

    /// Returns the requests since `start` whose line holds `part`.
    pub fn since(&self, start: Instant, part: &str) -> Vec<Request> {
        let requests = self.requests.lock().unwrap();
        let wanted = |request: &&Request| request.at >= start && request.line.contains(part);
        requests.iter().filter(wanted).cloned().collect()
    }
}

fn pass_on(mut from: UnixStream, mut to: UnixStream, requests: Option<&Mutex<Vec<Request>>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let at = Instant::now();
        if let Some(requests) = requests
            && let Some(line) = request_line(&buffer[..length])
        {
            requests.lock().unwrap().push(Request { at, line });
        }
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Returns the request line when a request starts here.
fn request_line(bytes: &[u8]) -> Option<String> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    line.ends_with("HTTP/1.1").then(|| line.trim_end_matches(" HTTP/1.1").to_owned())
}
