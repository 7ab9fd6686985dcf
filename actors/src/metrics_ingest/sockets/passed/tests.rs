//! Sockets of a service manager.

use super::*;

fn tcp() -> (PassedSocket, net::SocketAddr) {
    let socket = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (PassedSocket::Tcp(socket), address)
}

#[test]
fn a_socket_is_found_by_each_way_to_write_its_address() {
    let (socket, address) = tcp();
    let mut passed = PassedSockets::default();
    passed.add(socket).unwrap();
    for listen in [Listen::Localhost(address.port()), Listen::Tcp(address)] {
        assert_eq!(passed.keep_only(&[listen]), []);
    }
    assert!(passed.get(&Bound::Tcp(address)).unwrap().is_some());
    assert!(passed.get(&Bound::Unix("/run/a".into())).unwrap().is_none());
}

#[test]
fn a_socket_that_no_setting_names_is_closed() {
    let (socket, address) = tcp();
    let mut passed = PassedSockets::default();
    passed.add(socket).unwrap();
    let elsewhere = [Listen::Localhost(address.port() ^ 1), Listen::Unix("/run/a".into())];
    assert_eq!(passed.keep_only(&elsewhere), [Bound::Tcp(address)]);
    assert!(net::TcpStream::connect(address).is_err());
}

#[test]
fn a_connection_is_no_place_to_listen_at() {
    let (socket, address) = tcp();
    let stream = net::TcpStream::connect(address).unwrap();
    let connection = net::TcpListener::from(std::os::fd::OwnedFd::from(stream));
    let error = PassedSockets::default().add(PassedSocket::Tcp(connection)).unwrap_err();
    assert!(error.to_string().contains("Accept=no"), "{error}");
    drop(socket);
}

#[test]
fn a_socket_without_a_path_is_refused() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("passed-{}", std::process::id());
    let address = unix::SocketAddr::from_abstract_name(name).unwrap();
    let socket = unix::UnixListener::bind_addr(&address).unwrap();
    let error = PassedSockets::default().add(PassedSocket::Unix(socket)).unwrap_err();
    assert!(error.to_string().contains("path"), "{error}");
}
