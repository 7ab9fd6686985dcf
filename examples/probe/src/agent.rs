//! Posts a body to the agent, over a connection of its own.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time for each of connecting, writing and reading: the agent answers in milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The longest answer that is read; the agent's are shorter.
const MAX_ANSWER: u64 = 4096;

/// Why a body was not taken.
#[derive(Debug)]
pub enum PostError {
    /// The agent cannot be talked to.
    Talk(io::Error),
    /// The agent answered that it does not take it, and why.
    Refused(String),
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Talk(error) => write!(f, "{error}"),
            Self::Refused(answer) => write!(f, "the agent answered {answer}"),
        }
    }
}

impl std::error::Error for PostError {}

impl From<io::Error> for PostError {
    fn from(error: io::Error) -> Self {
        Self::Talk(error)
    }
}

/// Posts `body` to the agent at `address`.
///
/// # Errors
/// The agent is away, or refuses.
pub fn post(address: SocketAddr, body: &str) -> Result<(), PostError> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request(address, body).as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    judge(&String::from_utf8_lossy(&answer))
}

fn request(address: SocketAddr, body: &str) -> String {
    format!(
        "POST /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Any 2xx means taken.
fn judge(answer: &str) -> Result<(), PostError> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.lines().next().and_then(|line| line.split_once(' '));
    match status {
        Some((version, status)) if version.starts_with("HTTP/") => {
            if status.starts_with('2') {
                Ok(())
            } else {
                Err(PostError::Refused(format!("{status}: {}", body.trim())))
            }
        }
        _ => Err(PostError::Refused("no HTTP".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Takes one request, gives one answer, and returns the request.
    fn listen(answer: &'static str) -> (SocketAddr, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = String::new();
            let mut piece = [0; 1024];
            while !request.ends_with("[]") {
                let length = stream.read(&mut piece).unwrap();
                assert!(length > 0, "{request}");
                request.push_str(std::str::from_utf8(&piece[..length]).unwrap());
            }
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        (address, served)
    }

    #[test]
    fn the_request_is_what_the_agent_reads() {
        let (address, served) = listen("HTTP/1.1 204 No Content\r\n\r\n");
        post(address, "[]").unwrap();
        assert_eq!(
            served.join().unwrap(),
            format!(
                "POST /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
            )
        );
    }

    #[test]
    fn an_agent_that_refuses_is_quoted() {
        for (answer, expected) in [
            ("HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", None),
            (
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n",
                Some("the agent answered 400 Bad Request: no"),
            ),
            (
                "HTTP/1.1 507 Insufficient Storage\r\n\r\n",
                Some("the agent answered 507 Insufficient Storage: "),
            ),
            ("SSH-2.0-x\r\n", Some("the agent answered no HTTP")),
            ("", Some("the agent answered no HTTP")),
        ] {
            let (address, served) = listen(answer);
            let error = post(address, "[]").err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{answer}");
            served.join().unwrap();
        }
    }

    #[test]
    fn an_agent_that_is_away_is_an_error() {
        // Nobody can listen there.
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(matches!(post(address, "[]"), Err(PostError::Talk(_))));
    }
}
