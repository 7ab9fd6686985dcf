//! The ways to a cluster, and how they fail.

use std::io::Write as _;

use super::*;

#[actix::test]
async fn a_kubeconfig_that_is_missing_or_broken_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    for content in [None, Some("["), Some("{}")] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let connected = kubernetes(ClusterAccess::Kubeconfig(path.clone()), "toto".into())().await;
        let Err(error) = connected else {
            panic!("connected by {content:?}");
        };
        let text = error.in_full();
        assert!(text.contains("failed to read the kubeconfig"), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
}

#[actix::test]
async fn a_kubeconfig_that_hangs_is_read_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    // A FIFO without a writer: a read hangs.
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let connect = kubernetes(ClusterAccess::Kubeconfig(path.clone()), "toto".into());
    assert!(connect().now_or_never().is_none());
    let refused = connect().await.err().unwrap();
    assert!(refused.is_outage() && refused.in_full().contains("hangs"), "{refused:?}");

    let writer = std::fs::File::options().write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(writer);
    let read_again = async {
        while !matches!(connect().await, Err(ClusterError::Kubeconfig { .. })) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, read_again).await.unwrap();
}

#[actix::test]
async fn a_kubeconfig_counts_as_replaced_when_it_or_a_file_that_it_names_is_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, content: &str| {
        // As a careful program does.
        std::fs::write(at("new"), content).unwrap();
        std::fs::rename(at("new"), at(name)).unwrap();
    };
    let authority = rcgen::generate_simple_self_signed(["cluster".to_owned()]).unwrap();
    let user = rcgen::generate_simple_self_signed(["u".to_owned()]).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {
            "server": "https://127.0.0.1:1", "certificate-authority": "authority",
        }}],
        "users": [{"name": "u", "user": {
            "client-certificate": "certificate", "client-key": "key",
        }}],
    });
    let files = [
        ("kubeconfig", kubeconfig.to_string()),
        ("authority", authority.cert.pem()),
        ("certificate", user.cert.pem()),
        ("key", user.signing_key.serialize_pem()),
    ];
    for (name, content) in &files {
        write(name, content);
    }
    let connect = kubernetes(ClusterAccess::Kubeconfig(at("kubeconfig")), "toto".into());
    for (name, content) in &files {
        let api = connect().await.unwrap();
        assert!(api.is_current().await);
        std::fs::remove_file(at(name)).unwrap();
        assert!(api.is_current().await, "{name} may be on its way");
        write(name, content);
        assert!(!api.is_current().await, "{name}");
    }
}

#[actix::test]
async fn an_agent_that_runs_in_no_cluster_says_so() {
    let error = kubernetes(ClusterAccess::InCluster, "toto".into())().await.err().unwrap();
    let text = error.in_full();
    assert!(text.contains("failed to find the cluster that the agent runs in"), "{text}");
    assert!(error.is_outage());
}

/// Returns a kubeconfig that gets its token from a program.
fn with_plugin(server: &str, program: &str, argument: &str) -> String {
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never",
        "command": program, "args": [argument],
    });
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"exec": exec}}],
    });
    kubeconfig.to_string()
}

#[actix::test]
async fn a_program_that_gives_the_token_may_fail_or_hang_and_then_give_it() {
    let server = ApiServer::start(|_| list("PartialObjectMetadata", &[]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let connect = kubernetes(ClusterAccess::Kubeconfig(path.clone()), "toto".into());
    let configure = |program: &str, argument: &str| {
        std::fs::write(&path, with_plugin(&server.url, program, argument)).unwrap();
    };

    configure("/nonexistent/plugin", "");
    let error = connect().await.err().unwrap().in_full();
    assert!(error.contains("unable to run auth exec: No such file"), "{error}");

    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    configure("cat", pipe.to_str().unwrap());
    // Without a writer the program hangs, and one is enough.
    let mut waiting = connect();
    assert!((&mut waiting).now_or_never().is_none());
    let refused = connect().await.err();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": "from-the-program"},
    });
    // The client runs it once more when it is made: then there is a file.
    let mut writer = std::fs::File::options().write(true).open(&pipe).unwrap();
    let file = folder.path().join("credential");
    std::fs::write(&file, credential.to_string()).unwrap();
    std::fs::rename(&file, &pipe).unwrap();
    writer.write_all(credential.to_string().as_bytes()).unwrap();
    drop(writer);
    let error = refused.unwrap();
    assert!(error.is_outage() && error.in_full().contains("a program it names"), "{error:?}");
    let api = timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert!(!api.exists("web-1".into()).await.unwrap());
    assert_eq!(server.asked()[0].authorization, "Bearer from-the-program");
}
