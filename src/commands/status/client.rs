//! Asks the running agent for its status, over its local listener.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use actors::metrics_ingest::Listen;
use serde_json::Value;

/// Time to reach the listener.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for each piece of the answer; the agent gives its own actors 2 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(in crate::commands) enum NoStatus {
    /// Nothing listens at any of the addresses.
    #[error(
        "no agent answers at {addresses}: {reason}; is it running? --address ADDRESS, or --config \
         FILE with its METRICS_LISTEN, names another"
    )]
    NoAgent { addresses: String, reason: io::Error },
    /// Something listens, but does not answer as the agent does.
    #[error("what listens at {address} does not answer as an agent: {reason}")]
    NotTheAgent { address: String, reason: String },
}

/// Asks at the first of the addresses where something listens.
pub(in crate::commands) fn ask(listens: &[Listen]) -> Result<Value, NoStatus> {
    let mut reason = io::Error::from(io::ErrorKind::NotFound);
    for listen in listens {
        match connect(listen) {
            Ok(stream) => {
                let wrong = |reason| NoStatus::NotTheAgent { address: listen.to_string(), reason };
                return answer(stream).map_err(wrong);
            }
            Err(error) => reason = error,
        }
    }
    let addresses = listens.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(NoStatus::NoAgent { addresses, reason })
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

fn connect(listen: &Listen) -> io::Result<Box<dyn Stream>> {
    match listen {
        Listen::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            Ok(Box::new(stream))
        }
        Listen::Tcp(address) => tcp(reachable(*address)),
        Listen::Localhost(port) => {
            let other = |_| tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, *port)));
            let first = tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, *port)));
            // Of two failures the first is more useful: many machines have no IPv6.
            first.or_else(|error| other(()).map_err(|_| error))
        }
    }
}

/// Returns where an address is reached from this machine: one that stands for all is no target.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn tcp(address: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(Box::new(stream))
}

fn answer(mut stream: Box<dyn Stream>) -> Result<Value, String> {
    let said = |error: &dyn Display| error.to_string();
    stream
        .write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .map_err(|error| said(&error))?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut bytes).map_err(|error| said(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| said(&error))?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("it speaks no HTTP")?;
    let line = head.lines().next().unwrap_or_default();
    if line.split(' ').nth(1) != Some("200") {
        return Err(format!("it says {line:?}"));
    }
    let status: Value = serde_json::from_str(body).map_err(|error| said(&error))?;
    match status["schema"].as_u64() {
        Some(1) => Ok(status),
        Some(schema) => {
            Err(format!("its status has schema {schema}, and this command knows 1: use its own"))
        }
        None => Err("its answer is no status".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_stands_for_all_is_reached_over_loopback() {
        for (listen, target) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), target.parse().unwrap());
        }
    }
}
