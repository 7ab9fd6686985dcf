//! The stand-in edge API answers each recorded request as the operator did.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail the test")]

use std::path::Path;
use std::sync::Arc;

use actors::testing::edge_api::EdgeApi;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

/// One recorded exchange.
struct Exchange(Value);

impl Exchange {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/control-plane");
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// Sends the request; returns the status and the body of the answer.
    async fn replay(&self, edge: &EdgeApi, client: &awc::Client) -> (u64, Value) {
        let request = &self.0["request"];
        let url = format!("{}{}", edge.url(), request["path"].as_str().unwrap());
        let method = request["method"].as_str().unwrap().parse().unwrap();
        let mut message = client.request(method, url);
        for (name, value) in request["headers"].as_object().unwrap() {
            message = message.insert_header((name.as_str(), value.as_str().unwrap()));
        }
        let body = &request["body"];
        let body = match body.as_str() {
            Some(text) => text.to_owned(),
            None if body.is_null() => String::new(),
            None => body.to_string(),
        };
        let mut response = message.send_body(body).await.unwrap();
        let body = response.body().await.unwrap();
        let json = if body.is_empty() { json!("") } else { serde_json::from_slice(&body).unwrap() };
        (u64::from(response.status().as_u16()), json)
    }

    fn status(&self) -> u64 {
        self.0["response"]["status"].as_u64().unwrap()
    }
}

/// A plain client that shows this pair.
fn client(edge: &EdgeApi, certificate: &str, key: &str) -> awc::Client {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(edge.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let connector = awc::Connector::new().rustls_0_23(Arc::new(config));
    awc::Client::builder().connector(connector).finish()
}

/// Returns the names of all fields, so that answers can be compared but for their values.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        Value::Bool(_) | Value::Null => value.clone(),
    }
}

#[actix::test]
async fn the_recorded_life_of_a_device_is_answered_as_recorded() {
    let edge = EdgeApi::start();
    let (certificate, key) = edge.registration_pair();
    let registration = client(&edge, &certificate, &key);
    // The key of the recorded requests is not known, so the device's own comes from a request of
    // our own; the recorded ones are replayed beside it.
    let key = rcgen::KeyPair::generate().unwrap();
    let request = rcgen::CertificateParams::default();
    let request = request.serialize_request(&key).unwrap().pem().unwrap();
    let mut own: Option<awc::Client> = None;
    edge.set_configuration(
        Exchange::read("06-config-no-workloads").0["response"]["body"]["content"].clone(),
    );

    let life = [
        "01-register-before-enrol",
        "02-enrol-first",
        "03-enrol-again",
        "04-config-with-registration-cert",
        "05-register",
        "06-config-no-workloads",
        "07-config-with-workloads",
        "08-heartbeat",
        "09-heartbeat-empty-upgrade-is-an-error",
        "10-heartbeat-for-another-device",
        "11-heartbeat-with-registration-cert",
        "12-control",
        "13-bad-json",
        "14-wrong-content-type",
        "15-unknown-directive",
        "16-wrong-path",
        "17-register-twice-with-registration-cert",
        "18-renew-with-device-cert",
        "19-control-after-delete-disconnect",
        "20-config-after-delete",
        "21-heartbeat-after-delete",
    ];
    for name in life {
        let exchange = Exchange::read(name);
        match name {
            "07-config-with-workloads" => {
                edge.set_configuration(exchange.0["response"]["body"]["content"].clone());
            }
            "19-control-after-delete-disconnect" => edge.delete_device("cam-01"),
            _ => {}
        }
        let shows_registration = matches!(
            name,
            "01-register-before-enrol"
                | "02-enrol-first"
                | "03-enrol-again"
                | "04-config-with-registration-cert"
                | "05-register"
                | "11-heartbeat-with-registration-cert"
                | "17-register-twice-with-registration-cert"
        );
        let client_of_exchange =
            if shows_registration { &registration } else { own.as_ref().unwrap() };
        let (status, body) = exchange.replay(&edge, client_of_exchange).await;
        assert_eq!(status, exchange.status(), "{name}");
        let recorded = &exchange.0["response"]["body"];
        assert_eq!(shape(&body), shape(recorded), "{name}");
        if name == "05-register" {
            let certificate = edge.issue(&request, "cam-01").unwrap();
            own = Some(client(&edge, &certificate, &key.serialize_pem()));
        }
    }
}

#[actix::test]
async fn a_client_without_a_certificate_is_refused_in_the_handshake() {
    let edge = EdgeApi::start();
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(edge.ca_pem().as_bytes()).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = awc::Connector::new().rustls_0_23(Arc::new(config));
    let client = awc::Client::builder().connector(connector).finish();
    let error = client.get(edge.url()).send().await.unwrap_err().to_string();
    assert!(error.contains("CertificateRequired"), "{error}");
}
