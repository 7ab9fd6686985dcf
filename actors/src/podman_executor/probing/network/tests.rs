//! Requests and connections against real servers on loopback.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers one connection with `answer`, and returns what was asked.
async fn serve(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("it is bound");
    let serving = async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let asked = head(&mut stream).await;
        let _ = stream.write_all(answer).await;
        asked
    };
    (address, tokio::task::spawn_local(serving))
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut asked = Vec::new();
    let mut piece = [0; 1024];
    while !asked.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(count) => asked.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    String::from_utf8_lossy(&asked).into_owned()
}

fn request(address: SocketAddr, is_tls: bool) -> ProbeRequest {
    ProbeRequest { address, is_tls, path: "/healthz?full=1".to_owned(), headers: Vec::new() }
}

#[actix::test]
async fn the_status_of_the_answer_is_returned() {
    for (answer, expected) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"[..], Some(200)),
        (b"HTTP/1.0 204 No Content\r\n\r\n", Some(204)),
        (b"HTTP/1.1 302 Found\r\nlocation: http://192.0.2.1/\r\n\r\n", Some(302)),
        (b"HTTP/1.1 503 Busy\r\n\r\n", Some(503)),
        // A body without an end holds nothing up.
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello", Some(200)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"", None),
    ] {
        let (address, served) = serve(answer).await;
        let found = timeout(Duration::from_secs(10), DeviceNetwork.get(request(address, false)));
        assert_eq!(found.await.unwrap().ok(), expected, "{}", String::from_utf8_lossy(answer));
        served.await.unwrap();
    }
}

#[actix::test]
async fn the_request_says_who_asks_and_what_the_author_wants() {
    let (address, served) = serve(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let headers = vec![("X-Token".to_owned(), "abc".to_owned())];
    let asked = ProbeRequest { headers, ..request(address, false) };
    assert_eq!(DeviceNetwork.get(asked).await.unwrap(), 200);
    let asked = served.await.unwrap();
    assert!(asked.starts_with("GET /healthz?full=1 HTTP/1.1\r\n"), "{asked}");
    for line in
        [format!("host: {address}"), "x-token: abc".to_owned(), format!("user-agent: {USER_AGENT}")]
    {
        assert!(asked.lines().any(|it| it.eq_ignore_ascii_case(&line)), "{line} in {asked}");
    }

    let (address, served) = serve(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let headers = vec![("Host".to_owned(), "web.example".to_owned())];
    DeviceNetwork.get(ProbeRequest { headers, ..request(address, false) }).await.unwrap();
    let asked = served.await.unwrap().to_lowercase();
    assert_eq!(asked.matches("host:").count(), 1, "{asked}");
    assert!(asked.contains("host: web.example"), "{asked}");
}

#[actix::test]
async fn over_tls_any_certificate_will_do() {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![key.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(stream).await.unwrap();
        let asked = head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.shutdown().await;
        asked
    };
    let served = tokio::task::spawn_local(serving);
    assert_eq!(DeviceNetwork.get(request(address, true)).await.unwrap(), 200);
    assert!(served.await.unwrap().starts_with("GET /healthz"));
}

#[actix::test]
async fn a_port_that_nobody_listens_on_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert!(DeviceNetwork.connect(address).await.is_ok());
    drop(listener);
    let refused = DeviceNetwork.connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(DeviceNetwork.get(request(address, false)).await.is_err());
}
