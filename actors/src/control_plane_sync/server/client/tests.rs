//! The real client against the stand-in edge API, in real time.

use std::io::Write as _;
use std::thread::JoinHandle;

use futures_util::FutureExt;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustls::crypto::ring;
use rustls::version::TLS13;
use rustls::{ServerConfig, ServerConnection};
use tempfile::TempDir;

use super::*;
use crate::control_plane_sync::{AgentStatus, IdentityFiles};
use crate::testing::edge_api::authority::Authority;
use crate::testing::edge_api::{EdgeApi, Fault};

const LIMIT: Duration = Duration::from_secs(10);

/// A device with its files, and the server that it talks to.
struct Harness {
    edge: EdgeApi,
    files: IdentityFiles,
    client: HttpsClient,
    folder: TempDir,
}

impl Harness {
    async fn new() -> Self {
        let edge = EdgeApi::start();
        let folder = TempDir::new().unwrap();
        let (certificate, key) = edge.registration_pair();
        std::fs::write(folder.path().join("cert.pem"), certificate).unwrap();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), edge.ca_pem()).unwrap();
        let files = IdentityFiles::new(
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
            folder.path(),
            DeviceId::from("cam-01"),
        );
        let client = HttpsClient::new(settings(&edge.url(), &folder), Clock::system()).unwrap();
        client.present(files.load().registration.unwrap()).await.unwrap();
        Self { edge, files, client, folder }
    }

    /// Enrols and registers the device.
    async fn registered() -> Self {
        let harness = Self::new().await;
        while harness.client.enrol().await.unwrap() == EnrolmentAnswer::Pending {}
        harness.register().await.unwrap();
        harness
    }

    async fn register(&self) -> Result<(), ControlPlaneError> {
        let request = self.files.request(crate::control_plane_sync::KeyFamily::P256);
        let pem = self.client.register(request.unwrap()).await?;
        self.client.present(self.files.adopt(&pem).unwrap()).await.unwrap();
        self.files.confirm().unwrap();
        Ok(())
    }
}

fn settings(url: &str, folder: &TempDir) -> ServerSettings {
    ServerSettings {
        url: url.to_owned(),
        ca_root: folder.path().join("ca.pem"),
        device: DeviceId::from("cam-01"),
        namespace: "default".to_owned(),
    }
}

fn heartbeat() -> Heartbeat {
    Heartbeat {
        status: AgentStatus::Up,
        configuration_version: None,
        jobs: Arc::default(),
        events: Vec::new(),
        with_hardware: true,
    }
}

#[actix::test]
async fn a_device_enrols_registers_and_is_answered() {
    let harness = Harness::registered().await;
    let configuration = harness.client.configuration(&[]).await.unwrap();
    assert_eq!(configuration.heartbeat_period, Duration::from_secs(60));
    assert!(configuration.workloads.is_empty());
    harness.client.heartbeat(heartbeat()).await.unwrap();
    assert_eq!(harness.client.control().await.unwrap(), ControlAnswer::Nothing);
    let last = harness.edge.last_heartbeat().unwrap();
    assert_eq!(last["status"], "up");
    assert!(last["hardware"]["cpu"]["flags"].is_array());
}

#[actix::test]
async fn a_registration_certificate_opens_no_configuration() {
    let harness = Harness::new().await;
    let error = harness.client.configuration(&[]).await.unwrap_err();
    let call = Call::Configuration;
    assert_eq!(error, ControlPlaneError::Unauthorized { call });
}

#[actix::test]
async fn a_second_registration_with_the_registration_certificate_fails() {
    let harness = Harness::registered().await;
    let identities = harness.files.load();
    harness.client.present(identities.registration.unwrap()).await.unwrap();
    let error = harness.register().await.unwrap_err();
    assert!(matches!(error, ControlPlaneError::ServerFailed { status: 500, .. }), "{error}");
}

#[actix::test]
async fn the_device_certificate_renews_itself() {
    let harness = Harness::registered().await;
    harness.register().await.unwrap();
    harness.client.configuration(&[]).await.unwrap();
}

#[actix::test]
async fn an_expired_certificate_reads_nothing_but_renews_itself() {
    let harness = Harness::new().await;
    harness.edge.set_certificate_lifetime(Duration::ZERO);
    while harness.client.enrol().await.unwrap() == EnrolmentAnswer::Pending {}
    harness.register().await.unwrap();
    // A certificate holds through its last second.
    let expired = tokio::time::timeout(LIMIT, async {
        loop {
            match harness.client.configuration(&[]).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return error,
            }
        }
    });
    let call = Call::Configuration;
    assert_eq!(expired.await.unwrap(), ControlPlaneError::Unauthorized { call });
    harness.client.heartbeat(heartbeat()).await.unwrap();
    harness.edge.set_certificate_lifetime(Duration::from_secs(600));
    harness.register().await.unwrap();
    harness.client.configuration(&[]).await.unwrap();
}

#[actix::test]
async fn a_deleted_device_is_unknown_and_asked_to_disconnect() {
    let harness = Harness::registered().await;
    harness.edge.delete_device("cam-01");
    let call = Call::Configuration;
    let error = harness.client.configuration(&[]).await.unwrap_err();
    assert_eq!(error, ControlPlaneError::DeviceUnknown { call });
    assert_eq!(harness.client.control().await.unwrap(), ControlAnswer::Disconnect);
}

#[actix::test]
async fn each_fault_is_distinguished_from_the_others() {
    let harness = Harness::registered().await;
    let table = [
        (Fault::Status(503), "the control plane failed at configuration (503)"),
        (
            Fault::CutBody,
            "failed to reach the control plane for configuration: the answer was cut off",
        ),
        (Fault::Cut, "failed to reach the control plane for configuration: the answer was cut off"),
        (
            Fault::WrongJson,
            "failed to understand the answer to configuration: failed to read the answer as JSON",
        ),
        (
            Fault::ForeignDevice,
            "failed to understand the answer to configuration: failed to accept the configuration",
        ),
        (Fault::Huge, "the answer to configuration is larger than 16777216 bytes"),
        (
            Fault::Status(302),
            "the control plane answered configuration with an unexpected status 302",
        ),
    ];
    for (fault, expected) in table {
        harness.edge.fault(Call::Configuration, fault);
        let error = harness.client.configuration(&[]).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{fault:?}: {error}");
    }
    harness.edge.heal(Call::Configuration);
    harness.client.configuration(&[]).await.unwrap();
}

#[actix::test]
async fn null_lists_and_random_order_are_the_same_configuration() {
    let harness = Harness::registered().await;
    let workload = |name: &str| {
        serde_json::json!({"name": name, "kind": "pod", "namespace": "default", "profiles": [],
            "specification": "containers:\n- name: c\n  image: i\n"})
    };
    harness.edge.set_workloads(["a", "b", "c", "d"].map(workload).to_vec());
    let proper = harness.client.configuration(&[]).await.unwrap();
    assert_eq!(proper.workloads.len(), 4);
    harness.edge.fault(Call::Configuration, Fault::RandomOrder);
    for _ in 0..5 {
        let shuffled = harness.client.configuration(&[]).await.unwrap();
        assert_eq!(shuffled.workloads, proper.workloads);
    }
    harness.edge.fault(Call::Configuration, Fault::NullArrays);
    let nulls = harness.client.configuration(&[]).await.unwrap();
    assert_eq!(nulls.workloads, proper.workloads);
}

#[actix::test]
async fn a_slow_answer_is_waited_for() {
    let harness = Harness::registered().await;
    harness.edge.fault(Call::Configuration, Fault::Slow(Duration::from_millis(300)));
    harness.client.configuration(&[]).await.unwrap();
}

#[actix::test]
async fn an_answer_that_never_comes_ends_at_the_deadline() {
    let harness = Harness::registered().await;
    harness.edge.fault(Call::Heartbeat, Fault::NeverAnswer);
    let mut asked = harness.client.heartbeat(heartbeat()).boxed_local();
    let arrived = |edge: &EdgeApi| edge.received().iter().any(|received| received.status == 0);
    tokio::select! {
        answer = &mut asked => panic!("{answer:?}"),
        arrived = harness.edge.wait_until(LIMIT, arrived) => assert!(arrived),
    }
    // The request is with the server; from here the deadline is the only thing that can happen.
    tokio::time::pause();
    let after = ANSWER_TIMEOUT;
    let call = Call::Heartbeat;
    assert_eq!(asked.await, Err(ControlPlaneError::TimedOut { call, after }));
}

#[actix::test]
async fn a_lost_answer_to_the_registration_leaves_the_key_for_the_next_attempt() {
    let harness = Harness::new().await;
    while harness.client.enrol().await.unwrap() == EnrolmentAnswer::Pending {}
    harness.edge.fault(Call::Registration, Fault::CutBody);
    let family = crate::control_plane_sync::KeyFamily::P256;
    let first = harness.files.request(family).unwrap();
    let lost = harness.client.register(first).await.unwrap_err();
    assert!(lost.may_have_taken_effect(), "{lost}");
    assert!(harness.files.has_pending_request());
    let key = std::fs::read(harness.folder.path().join("identity/next.key")).unwrap();
    harness.files.request(family).unwrap();
    assert_eq!(std::fs::read(harness.folder.path().join("identity/next.key")).unwrap(), key);
}

#[actix::test]
async fn a_server_of_another_ca_is_not_trusted() {
    let harness = Harness::new().await;
    std::fs::write(harness.folder.path().join("ca.pem"), EdgeApi::start().ca_pem()).unwrap();
    harness.client.present(harness.files.load().registration.unwrap()).await.unwrap();
    let error = harness.client.enrol().await.unwrap_err().to_string();
    assert!(error.contains("CA_ROOT"), "{error}");
}

#[actix::test]
async fn a_pipe_in_the_place_of_ca_root_is_refused_and_not_waited_for() {
    let harness = Harness::new().await;
    let path = harness.folder.path().join("ca.pem");
    std::fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let error =
        harness.client.present(harness.files.load().registration.unwrap()).await.unwrap_err();
    let expected = format!("CA_ROOT {} cannot be read: it is not a regular file", path.display());
    assert!(error.to_string().contains(&expected), "{error}");
}

#[actix::test]
async fn a_host_name_that_is_not_in_the_certificate_is_not_trusted() {
    let harness = Harness::new().await;
    let url = harness.edge.url().replace("127.0.0.1", "localhost");
    let client = HttpsClient::new(settings(&url, &harness.folder), Clock::system()).unwrap();
    client.present(harness.files.load().registration.unwrap()).await.unwrap();
    let error = client.enrol().await.unwrap_err().to_string();
    assert!(error.contains("SERVER uses a host name"), "{error}");
}

#[actix::test]
async fn a_client_certificate_of_another_ca_is_unauthorized() {
    let harness = Harness::new().await;
    let other = EdgeApi::start().registration_pair();
    std::fs::write(harness.folder.path().join("cert.pem"), other.0).unwrap();
    std::fs::write(harness.folder.path().join("key.pem"), other.1).unwrap();
    harness.client.present(harness.files.load().registration.unwrap()).await.unwrap();
    let error = harness.client.enrol().await.unwrap_err();
    let call = Call::Enrolment;
    assert_eq!(error, ControlPlaneError::Unauthorized { call });
}

#[actix::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let harness = Harness::new().await;
    let Harness { edge, client, .. } = harness;
    drop(edge);
    let error = client.enrol().await.unwrap_err();
    assert!(matches!(error, ControlPlaneError::Unreachable { .. }), "{error}");
}

/// Takes one connection, on which it offers the protocols `alpn`, and answers it with the first frame of
/// HTTP/2. Returns its port, and how the handshake ended.
fn speak_http_2(authority: &Authority, alpn: &[&str]) -> (u16, JoinHandle<std::io::Result<()>>) {
    let (certificate, key) = authority.server_pair();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut tls = ServerConnection::new(Arc::new(config)).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        tls.writer().write_all(&SETTINGS)?;
        tls.write_tls(&mut stream)?;
        // Until the client goes.
        while tls.read_tls(&mut stream)? > 0 && tls.process_new_packets().is_ok() {}
        Ok(())
    });
    (port, thread)
}

/// Why an advisory on HTTP/2 concerns the client as little as `.deny.toml` says.
#[actix::test]
async fn http_2_is_never_spoken_whatever_the_server_offers() {
    let harness = Harness::new().await;
    let authority = Authority::new();
    std::fs::write(harness.folder.path().join("ca.pem"), authority.ca_pem()).unwrap();
    let no_agreement = "it does not speak HTTP/1.1";
    for (alpn, refused, message) in [(&["h2"][..], true, no_agreement), (&[], false, "")] {
        let (port, server) = speak_http_2(&authority, alpn);
        let url = format!("https://127.0.0.1:{port}");
        let client = HttpsClient::new(settings(&url, &harness.folder), Clock::system()).unwrap();
        client.present(harness.files.load().registration.unwrap()).await.unwrap();
        let error = client.enrol().await.unwrap_err().to_string();
        assert!(error.contains(message), "{alpn:?}: {error}");
        drop(client);
        let handshake = server.join().unwrap();
        assert_eq!(handshake.is_err(), refused, "{alpn:?}: {handshake:?}");
    }
}

#[actix::test]
async fn a_host_that_does_not_exist_is_named() {
    let harness = Harness::new().await;
    let client = HttpsClient::new(
        settings("https://nowhere.invalid:8043", &harness.folder),
        Clock::system(),
    );
    let client = client.unwrap();
    client.present(harness.files.load().registration.unwrap()).await.unwrap();
    let error = client.enrol().await.unwrap_err().to_string();
    assert!(error.starts_with("failed to find host nowhere.invalid"), "{error}");
}

#[actix::test]
async fn a_clock_that_was_never_set_trusts_by_the_certificate_s_own_dates() {
    let harness = Harness::new().await;
    let clock = Clock::simulated(chrono::DateTime::UNIX_EPOCH);
    let client = HttpsClient::new(settings(&harness.edge.url(), &harness.folder), clock).unwrap();
    client.present(harness.files.load().registration.unwrap()).await.unwrap();
    client.enrol().await.unwrap();
}

#[test]
fn message_ids_are_random_uuids() {
    let id = message_id();
    let lengths: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert_ne!(id, message_id());
}
