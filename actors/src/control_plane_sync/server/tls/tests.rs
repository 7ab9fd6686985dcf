//! Servers that are not the operator's: they learn nothing, not even which device connects.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS12;
use rustls::{
    HandshakeKind, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
};
use tempfile::TempDir;

use super::*;
use crate::control_plane_sync::server::api::ControlPlaneApi as _;
use crate::control_plane_sync::{HttpsClient, IdentityFiles, ServerSettings};
use crate::testing::edge_api::authority::Authority;
use crate::workload::DeviceId;

const LIMIT: Duration = Duration::from_secs(20);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What a server learnt on one connection.
#[derive(Debug, PartialEq)]
struct Heard {
    request: bool,
    certificate: bool,
    handshake: Option<HandshakeKind>,
    early: bool,
}

type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// Serves on loopback with a certificate and key; returns its address and what it hears.
fn serve(
    pair: Pair,
    clients: &Authority,
    version: &'static SupportedProtocolVersion,
) -> (String, mpsc::Receiver<Heard>) {
    let provider = Arc::new(ring::default_provider());
    let roots = trusted_roots(clients.ca_pem().as_bytes()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![pair.0], pair.1)
        .unwrap();
    config.max_early_data_size = 16_384;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let read = stream.read(&mut [0; 4096]).unwrap_or_default();
            if read > 0 {
                let _ = stream.write_all(ANSWER).and_then(|()| stream.flush());
            }
            let connection = &mut stream.conn;
            let heard = Heard {
                request: read > 0,
                certificate: connection.peer_certificates().is_some(),
                handshake: connection.handshake_kind(),
                early: connection.early_data().is_some(),
            };
            if sender.send(heard).is_err() {
                return;
            }
        }
    });
    (url, heard)
}

/// A device of `authority` that asks `url`.
async fn device(authority: &Authority, url: String) -> (HttpsClient, TempDir) {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (certificate, key) = authority.registration_pair();
    for (name, text) in
        [("cert.pem", certificate), ("key.pem", key), ("ca.pem", authority.ca_pem())]
    {
        std::fs::write(path(name), text).unwrap();
    }
    let id = DeviceId::from("cam-01");
    let files = IdentityFiles::new(path("cert.pem"), path("key.pem"), folder.path(), id.clone());
    let namespace = "default".to_owned();
    let settings = ServerSettings { url, ca_root: path("ca.pem"), device: id, namespace };
    let client = HttpsClient::new(settings, Clock::system()).unwrap();
    client.present(files.load().registration.unwrap()).await.unwrap();
    (client, folder)
}

/// Neither a request nor the device's certificate.
fn assert_sent_nothing(heard: &mpsc::Receiver<Heard>) {
    let heard = heard.recv_timeout(LIMIT).unwrap();
    assert!(!heard.request && !heard.certificate && !heard.early, "{heard:?}");
}

/// Posts to a server and returns the error, and what the server heard.
async fn refused(pair: Pair, authority: &Authority) -> String {
    let (url, heard) = serve(pair, authority, &TLS13);
    let (client, _folder) = device(authority, url).await;
    let error = client.enrol().await.unwrap_err();
    assert!(matches!(error, ControlPlaneError::ServerNotTrusted { .. }), "{error:?}");
    assert_sent_nothing(&heard);
    error.to_string()
}

fn at(offset: chrono::Duration) -> Clock {
    Clock::simulated(Clock::system().now().wall + offset)
}

#[actix::test]
async fn a_server_that_does_not_speak_tls_1_3_is_sent_nothing() {
    let authority = Authority::new();
    let (url, heard) = serve(authority.server_pair(), &authority, &TLS12);
    let (client, _folder) = device(&authority, url).await;
    let error = client.enrol().await.unwrap_err().to_string();
    assert!(error.contains("it does not speak TLS 1.3"), "{error}");
    assert_sent_nothing(&heard);
}

#[actix::test]
async fn a_server_of_any_other_root_is_sent_nothing() {
    let error = refused(Authority::new().server_pair(), &Authority::new()).await;
    assert!(error.contains("not signed by the CA in CA_ROOT"), "{error}");
}

#[actix::test]
async fn an_expired_and_a_future_server_certificate_are_sent_nothing() {
    let authority = Authority::new();
    let years = |count| chrono::Duration::from_std(YEAR).unwrap() * count;
    let expired = authority.server_pair_for(&["127.0.0.1"], &at(-years(2)));
    let error = refused(expired, &authority).await;
    assert!(error.contains("it has expired, or the device's clock is wrong"), "{error}");
    let future = authority.server_pair_for(&["127.0.0.1"], &at(years(1)));
    let error = refused(future, &authority).await;
    assert!(error.contains("it is not valid yet, or the device's clock is wrong"), "{error}");
}

#[actix::test]
async fn a_server_of_another_name_is_sent_nothing() {
    let authority = Authority::new();
    for names in [&["other.example"][..], &["127.0.0.2"], &["localhost", "::1"], &[]] {
        let pair = authority.server_pair_for(names, &Clock::system());
        let error = refused(pair, &authority).await;
        assert!(error.contains("SERVER uses a host name that is not in it"), "{names:?}: {error}");
    }
}

#[actix::test]
async fn each_connection_proves_the_server_anew_and_no_request_is_sent_early() {
    let authority = Authority::new();
    let (url, heard) = serve(authority.server_pair(), &authority, &TLS13);
    let (client, _folder) = device(&authority, url).await;
    for _ in 0..2 {
        client.enrol().await.unwrap();
        let full = Some(HandshakeKind::Full);
        let expected = Heard { request: true, certificate: true, handshake: full, early: false };
        assert_eq!(heard.recv_timeout(LIMIT).unwrap(), expected);
    }
}
