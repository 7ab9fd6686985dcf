//! Connections that are accepted, each for itself.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::metrics_ingest::listen::{Bound, Listen};
use crate::metrics_ingest::sockets::{PassedSockets, open};

/// Serves a byte for each byte, and panics at a zero.
async fn echo(mut stream: Stream, _connection: Rc<Connection>) {
    while let Ok(byte) = stream.read_u8().await {
        assert_ne!(byte, 0);
        stream.write_u8(byte).await.unwrap();
    }
}

async fn answers(stream: &mut TcpStream) -> bool {
    stream.write_u8(7).await.unwrap();
    stream.read_u8().await.is_ok()
}

#[actix::test]
async fn a_connection_whose_handler_panics_ends_no_other() {
    let place = Listen::Tcp("127.0.0.1:0".parse().unwrap());
    let socket = open(&place, &PassedSockets::default()).await.opened.remove(0);
    let Some(Bound::Tcp(address)) = socket.bound() else { panic!("it is a TCP socket") };
    let connections = Connections::new(Clock::system());
    let clients = async {
        let mut other = TcpStream::connect(address).await.unwrap();
        assert!(answers(&mut other).await);
        let mut broken = TcpStream::connect(address).await.unwrap();
        broken.write_u8(0).await.unwrap();
        assert!(broken.read_u8().await.is_err());
        assert!(answers(&mut other).await);
        assert!(answers(&mut TcpStream::connect(address).await.unwrap()).await);
    };
    tokio::select! {
        () = accept(&socket, &connections, echo) => unreachable!("it accepts for ever"),
        () = clients => {}
    }
}
