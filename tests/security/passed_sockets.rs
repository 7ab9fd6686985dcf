//! Another program of the device that wants the agent's address, while a socket unit holds it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::agent::PATIENCE;
use crate::device::Device;

/// What a service manager does: it opens the sockets, and passes them to each agent that it starts.
struct SocketUnit {
    tcp: TcpListener,
    unix: UnixListener,
    path: PathBuf,
}

impl SocketUnit {
    fn open(device: &Device) -> Self {
        let path = device.path("metrics.sock");
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { tcp, unix: UnixListener::bind(&path).unwrap(), path }
    }

    fn address(&self) -> SocketAddr {
        self.tcp.local_addr().unwrap()
    }

    /// Lets agents of `device` start as the service of this unit.
    fn starts(&self, device: &mut Device) {
        for socket in [self.tcp.as_fd(), self.unix.as_fd()] {
            fcntl_setfd(socket, FdFlags::empty()).unwrap();
        }
        // Numbers above the agent's, lest one overwrites the other.
        let (tcp, unix) = (self.tcp.as_raw_fd(), self.unix.as_raw_fd());
        let pass = format!(
            "exec 8<&{tcp} 9<&{unix}; exec 3<&8 4<&9 8<&- 9<&-; \
             LISTEN_FDS=2 LISTEN_PID=$$ exec \"$@\""
        );
        device.settings.through(&["bash", "-c", &pass, "agent"]);
    }
}

/// A post that was sent, and waits for its answer.
struct Post<S>(S);

impl<S: Read + Write> Post<S> {
    fn send(mut stream: S) -> Self {
        let body = "{\"name\":\"cpu\",\"value\":20}";
        write!(
            stream,
            "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        Self(stream)
    }

    fn answer(mut self) -> String {
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap_or_default().to_owned()
    }
}

fn tcp(address: SocketAddr) -> Post<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Post::send(stream)
}

fn unix(path: &Path) -> Post<UnixStream> {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Post::send(stream)
}

#[test]
fn nobody_else_gets_the_address_before_the_agent_or_between_two_agents() {
    let mut device = Device::with_manifests();
    let unit = SocketUnit::open(&device);
    let address = unit.address();
    let listen = format!("{address},unix:{}", unit.path.display());
    device.settings.listen_at(address).set("METRICS_LISTEN", listen);
    unit.starts(&mut device);

    for _ in 0..2 {
        let taken = TcpListener::bind(address).unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        // What is posted while there is no agent waits for it.
        let posts = (tcp(address), unix(&unit.path));
        let agent = device.settings.start();
        assert_eq!(posts.0.answer(), "HTTP/1.1 204 No Content");
        assert_eq!(posts.1.answer(), "HTTP/1.1 204 No Content");
        agent.post("cpu", 30.0);
        drop(agent);
        assert!(fs::exists(&unit.path).unwrap());
    }
}

#[test]
fn an_address_that_only_the_unit_names_is_reported() {
    let mut device = Device::with_manifests();
    let unit = SocketUnit::open(&device);
    unit.starts(&mut device);
    let agent = device.settings.start();
    for place in [unit.address().to_string(), unit.path.display().to_string()] {
        agent.wait_for_log(&["passed socket is not at a configured address", &place]);
    }
    // It serves what is configured.
    agent.post("cpu", 30.0);
}

#[test]
fn a_descriptor_that_is_no_socket_is_reported() {
    let mut device = Device::with_manifests();
    let pass = "exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"";
    device.settings.through(&["bash", "-c", pass, "agent"]);
    let agent = device.settings.start();
    agent.wait_for_log(&["passed socket cannot be used", "descriptor 3"]);
    agent.post("cpu", 30.0);
}

/// Variables that are meant for another process are none of ours.
#[test]
fn sockets_of_another_process_are_left_alone() {
    let mut device = Device::with_manifests();
    let pass = "exec 3</dev/null; LISTEN_FDS=1 LISTEN_PID=1 exec \"$@\"";
    device.settings.through(&["bash", "-c", pass, "agent"]);
    let agent = device.settings.start();
    agent.post("cpu", 30.0);
    agent.wait_for_log(&["listener opened"]);
    let log = agent.log().join("\n");
    assert!(!log.contains("passed socket"), "{log}");
}
