//! The identity's files, damaged in every way that a power cut or an administrator can.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::error_chain::error_chain;
use crate::testing::edge_api::authority::Authority;
use std::time::Duration;

const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

struct Harness {
    authority: Authority,
    folder: TempDir,
    files: IdentityFiles,
}

impl Harness {
    fn new() -> Self {
        let authority = Authority::new();
        let folder = TempDir::new().unwrap();
        let (certificate, key) = authority.registration_pair();
        let path = folder.path();
        fs::write(path.join("cert.pem"), certificate).unwrap();
        fs::write(path.join("key.pem"), key).unwrap();
        fs::set_permissions(path.join("key.pem"), Permissions::from_mode(0o600)).unwrap();
        let (certificate, key) = (path.join("cert.pem"), path.join("key.pem"));
        let files = IdentityFiles::new(certificate, key, path, DeviceId::from("cam-01"));
        Self { authority, folder, files }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Answers a request as the control plane does.
    fn certificate(&self, lifetime: Duration) -> String {
        let request = self.files.request(KeyFamily::P256).unwrap();
        self.authority.sign(&request, "cam-01", "default", lifetime).unwrap()
    }

    fn register(&self, lifetime: Duration) {
        let certificate = self.certificate(lifetime);
        self.files.adopt(&certificate).unwrap();
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    /// What is wrong with the registration pair.
    fn complaint(&self) -> String {
        let error = self.files.load().registration.unwrap_err();
        error_chain(&error).replace(&self.folder.path().display().to_string(), "")
    }
}

#[test]
fn a_registration_pair_with_a_sec1_key_is_read_and_not_the_device_s_own() {
    let identities = Harness::new().files.load();
    assert_eq!(identities.registration.unwrap().family(), KeyFamily::P256);
    assert!(identities.device.is_none());
    assert_eq!(identities.findings, Vec::<String>::new());
}

#[test]
fn keys_in_pkcs8_and_of_p384_are_read() {
    let harness = Harness::new();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    fs::write(harness.path("cert.pem"), certificate.pem()).unwrap();
    fs::write(harness.path("key.pem"), key.serialize_pem()).unwrap();
    let registration = harness.files.load().registration.unwrap();
    assert_eq!(registration.family(), KeyFamily::P384);
    let request = harness.files.request(KeyFamily::P384).unwrap();
    assert!(request.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
}

#[test]
fn a_key_that_others_can_read_is_a_finding() {
    let harness = Harness::new();
    fs::set_permissions(harness.path("key.pem"), Permissions::from_mode(0o640)).unwrap();
    let findings = harness.files.load().findings;
    assert!(findings.first().unwrap().contains("chmod 600"));
}

#[test]
fn what_is_wrong_with_the_registration_pair_names_the_file() {
    let missing = Harness::new();
    fs::remove_file(missing.path("key.pem")).unwrap();
    let complaint = missing.complaint();
    assert_eq!(complaint, "failed to read /key.pem: No such file or directory (os error 2)");

    let empty = Harness::new();
    fs::write(empty.path("cert.pem"), "no PEM").unwrap();
    let complaint = empty.complaint();
    assert_eq!(complaint, "failed to use /cert.pem: no certificate in PEM form is in it");

    let swapped = Harness::new();
    fs::copy(swapped.path("cert.pem"), swapped.path("key.pem")).unwrap();
    assert!(swapped.complaint().starts_with("failed to use /key.pem: no private key"));

    let foreign = Harness::new();
    fs::write(foreign.path("key.pem"), Authority::new().registration_pair().1).unwrap();
    assert_eq!(foreign.complaint(), "key /key.pem does not belong to certificate /cert.pem");
}

#[test]
fn an_adopted_identity_is_found_again_before_and_after_its_confirmation() {
    let harness = Harness::new();
    harness.register(MONTH);
    assert!(harness.files.load().device.is_some());
    harness.files.confirm().unwrap();
    assert!(harness.files.load().device.is_some());
    assert!(!harness.path("identity/next.key").exists());
    assert_eq!(harness.mode("identity"), 0o700);
    assert_eq!(harness.mode("identity/device.key"), 0o600);
    assert_eq!(harness.mode("identity/device.crt"), 0o600);
}

#[test]
fn the_key_is_on_the_disk_before_the_request_and_the_same_until_it_is_answered() {
    let harness = Harness::new();
    harness.files.request(KeyFamily::P256).unwrap();
    assert!(harness.files.has_pending_request());
    let key = fs::read(harness.path("identity/next.key")).unwrap();
    harness.register(MONTH);
    assert_eq!(fs::read(harness.path("identity/next.key")).unwrap(), key);
    assert!(!harness.files.has_pending_request());
}

#[test]
fn the_old_pair_stays_until_the_new_one_is_confirmed() {
    let harness = Harness::new();
    harness.register(MONTH);
    harness.files.confirm().unwrap();
    let old = fs::read(harness.path("identity/device.crt")).unwrap();
    harness.register(2 * MONTH);
    assert_eq!(fs::read(harness.path("identity/device.crt")).unwrap(), old);
    harness.files.confirm().unwrap();
    assert_ne!(fs::read(harness.path("identity/device.crt")).unwrap(), old);
}

#[test]
fn a_power_cut_between_the_two_renames_loses_nothing() {
    let harness = Harness::new();
    harness.register(MONTH);
    harness.files.confirm().unwrap();
    harness.register(2 * MONTH);
    let new = fs::read(harness.path("identity/next.crt")).unwrap();
    fs::rename(harness.path("identity/next.key"), harness.path("identity/device.key")).unwrap();
    assert!(harness.files.load().device.is_some());
    harness.files.confirm().unwrap();
    assert_eq!(fs::read(harness.path("identity/device.crt")).unwrap(), new);
    assert!(harness.files.load().device.is_some());
}

#[test]
fn a_damaged_new_certificate_leaves_the_old_identity_in_use() {
    let harness = Harness::new();
    harness.register(MONTH);
    harness.files.confirm().unwrap();
    harness.register(2 * MONTH);
    fs::write(harness.path("identity/next.crt"), "").unwrap();
    let identities = harness.files.load();
    assert!(identities.device.is_some());
    assert_eq!(identities.findings.len(), 1);
}

/// What a power cut or a dying flash leaves of a file.
const DAMAGES: [&str; 5] = ["gone", "empty", "cut", "zeroed", "another's"];

fn damage(path: &Path, how: &str) {
    let whole = fs::read(path).unwrap();
    match how {
        "gone" => return fs::remove_file(path).unwrap(),
        "empty" => fs::write(path, ""),
        "cut" => fs::write(path, &whole[..whole.len() / 2]),
        "zeroed" => fs::write(path, vec![0; whole.len()]),
        _ if path.extension().unwrap() == "key" => {
            fs::write(path, KeyPair::generate().unwrap().serialize_pem())
        }
        _ => fs::write(path, Harness::new().certificate(MONTH)),
    }
    .unwrap();
}

/// Brings the files to a step of their life; a renewal follows a registration.
fn at_step(harness: &Harness, step: &str) {
    let renews = step.starts_with("renewal");
    if renews {
        harness.register(MONTH);
        harness.files.confirm().unwrap();
    }
    let lifetime = if renews { 2 * MONTH } else { MONTH };
    let certificate = harness.certificate(lifetime);
    if step.ends_with("requested") {
        return;
    }
    harness.files.adopt(&certificate).unwrap();
    if step.ends_with("half confirmed") {
        fs::rename(harness.path("identity/next.key"), harness.path("identity/device.key")).unwrap();
    } else if step.ends_with(" confirmed") {
        harness.files.confirm().unwrap();
    }
}

const STEPS: [&str; 8] = [
    "first requested",
    "first adopted",
    "first half confirmed",
    "first confirmed",
    "renewal requested",
    "renewal adopted",
    "renewal half confirmed",
    "renewal confirmed",
];

/// Whether the certificate and key of one pair are there under any names.
fn has_whole_pair(harness: &Harness) -> bool {
    let names = ["next", "device"].map(|name| harness.path("identity").join(name));
    names.iter().any(|certificate| {
        names.iter().any(|key| {
            let chain = read_chain(&certificate.with_extension("crt"), Kept::ByAgent).ok();
            let key = own_key(&key.with_extension("key")).ok();
            chain.zip(key).is_some_and(|(chain, key)| ClientIdentity::pair(chain, key).is_some())
        })
    })
}

#[test]
fn whatever_file_is_damaged_at_whatever_step_a_whole_pair_stays_in_use_and_a_new_one_can_come() {
    let mut cases = 0;
    for step in STEPS {
        for name in ["next.key", "next.crt", "device.key", "device.crt"] {
            for how in DAMAGES {
                let harness = Harness::new();
                at_step(&harness, step);
                let path = harness.path("identity").join(name);
                if !path.exists() {
                    continue;
                }
                cases += 1;
                damage(&path, how);
                let case = format!("{step}: {name} is {how}");
                let is_member = has_whole_pair(&harness);
                assert_eq!(harness.files.load().device.is_some(), is_member, "{case}");
                // The control plane accepts what is shown; then the agent starts again.
                if is_member {
                    harness.files.confirm().unwrap();
                }
                assert_eq!(harness.files.load().device.is_some(), is_member, "{case}, accepted");
                // The key of the next request takes nothing away either.
                let certificate = harness.certificate(3 * MONTH);
                assert_eq!(harness.files.load().device.is_some(), is_member, "{case}, renewing");
                let adopted = harness.files.adopt(&certificate).unwrap();
                harness.files.confirm().unwrap();
                let device = harness.files.load().device.unwrap();
                assert_eq!(device.validity(), adopted.validity(), "{case}, renewed");
            }
        }
    }
    assert_eq!(cases, 5 * (1 + 2 + 2 + 2 + 3 + 4 + 3 + 2), "every file at every step");
}

#[test]
fn a_power_cut_that_lets_only_one_rename_of_the_two_reach_the_disk_loses_nothing() {
    for name in ["next.key", "next.crt"] {
        let harness = Harness::new();
        at_step(&harness, "renewal adopted");
        let new = fs::read(harness.path("identity/next.crt")).unwrap();
        let from = harness.path("identity").join(name);
        fs::rename(&from, harness.path("identity").join(name.replace("next", "device"))).unwrap();
        assert!(harness.files.load().device.is_some(), "{name}");
        harness.files.confirm().unwrap();
        assert_eq!(fs::read(harness.path("identity/device.crt")).unwrap(), new, "{name}");
        assert!(harness.files.load().device.is_some(), "{name}");
    }
}

#[test]
fn a_damaged_answer_is_asked_for_again_with_the_same_key() {
    let harness = Harness::new();
    at_step(&harness, "first adopted");
    let key = fs::read(harness.path("identity/next.key")).unwrap();
    damage(&harness.path("identity/next.crt"), "empty");
    assert!(harness.files.has_pending_request());
    harness.register(MONTH);
    assert_eq!(fs::read(harness.path("identity/next.key")).unwrap(), key);
    assert!(harness.files.load().device.is_some());
}

#[test]
fn a_damaged_pending_key_is_replaced() {
    let harness = Harness::new();
    harness.files.request(KeyFamily::P256).unwrap();
    fs::write(harness.path("identity/next.key"), "torn").unwrap();
    harness.register(MONTH);
    assert!(harness.files.load().device.is_some());
}

#[test]
fn an_answer_for_another_key_or_device_is_refused() {
    let harness = Harness::new();
    let foreign = Harness::new().certificate(MONTH);
    harness.files.request(KeyFamily::P256).unwrap();
    let refused = harness.files.adopt(&foreign).unwrap_err().to_string();
    assert!(refused.ends_with("it is for another key than the request's"), "{refused}");
    let request = harness.files.request(KeyFamily::P256).unwrap();
    let other = harness.authority.sign(&request, "cam-02", "default", MONTH);
    let refused = harness.files.adopt(&other.unwrap()).unwrap_err().to_string();
    assert!(refused.ends_with("it is for another device"), "{refused}");
    assert!(harness.files.load().device.is_none());
}

#[test]
fn an_rsa_key_is_asked_for_with_the_way_out() {
    let error = Harness::new().files.request(KeyFamily::Rsa).unwrap_err();
    assert!(error.to_string().contains("openssl genpkey -algorithm RSA"));
}

#[test]
fn a_cert_that_is_the_device_s_own_is_used_as_it_is() {
    let harness = Harness::new();
    harness.register(MONTH);
    fs::copy(harness.path("identity/next.crt"), harness.path("cert.pem")).unwrap();
    fs::copy(harness.path("identity/next.key"), harness.path("key.pem")).unwrap();
    harness.files.forget().unwrap();
    assert!(harness.files.load().device.is_some());
}

#[test]
fn a_forgotten_identity_is_gone_and_the_registration_pair_is_not() {
    let harness = Harness::new();
    harness.register(MONTH);
    harness.files.confirm().unwrap();
    harness.files.forget().unwrap();
    let identities = harness.files.load();
    assert!(identities.device.is_none());
    assert!(identities.registration.is_ok());
    assert!(!harness.files.has_pending_request());
}

#[test]
fn the_device_s_own_key_is_refused_when_others_can_read_it() {
    for mode in [0o604, 0o640, 0o644, 0o660] {
        let harness = Harness::new();
        harness.register(MONTH);
        harness.files.confirm().unwrap();
        assert!(harness.files.load().device.is_some());
        let key = harness.path("identity/device.key");
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let identities = harness.files.load();
        assert!(identities.device.is_none(), "{mode:o}");
        assert!(identities.registration.is_ok(), "{mode:o}");
        let findings = identities.findings.join("\n");
        assert!(
            findings.contains("device.key: users other than its owner can read it"),
            "{findings}"
        );
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        assert!(harness.files.load().device.is_some());
    }
}

#[test]
fn the_key_of_a_request_is_not_used_again_when_others_could_read_it() {
    let harness = Harness::new();
    harness.files.request(KeyFamily::P256).unwrap();
    let path = harness.path("identity/next.key");
    let key = fs::read(&path).unwrap();
    harness.files.request(KeyFamily::P256).unwrap();
    assert_eq!(fs::read(&path).unwrap(), key);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    harness.files.request(KeyFamily::P256).unwrap();
    assert_ne!(fs::read(&path).unwrap(), key);
    assert_eq!(harness.mode("identity/next.key"), 0o600);
}

#[test]
fn no_private_key_is_shown_by_debug_or_by_an_error() {
    let harness = Harness::new();
    harness.register(MONTH);
    let pem = fs::read_to_string(harness.path("identity/next.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    let bytes = fs::read(harness.path("key.pem")).unwrap();
    let registration = String::from_utf8(bytes).unwrap();
    let registration = registration.lines().nth(1).unwrap();
    fs::write(harness.path("identity/device.key"), format!("{pem}{pem}").replace("BEGIN", "BEGUN"))
        .unwrap();
    let identities = harness.files.load();
    let findings = identities.findings.join("\n");
    let shown = format!("{identities:?} {:?} {findings}", harness.files);
    assert!(findings.contains("device.key"), "{findings}");
    assert!(!shown.contains(secret) && !shown.contains(registration), "{shown}");
}
