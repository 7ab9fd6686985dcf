//! A control plane without nodes, and whoever else acts on it.

use std::cell::RefCell;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, ServiceAccount};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::{Client, Config, ResourceExt as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// The namespace of the manifest.
pub(crate) const NAMESPACE: &str = "edge";
/// The node to which pods are bound. There is one only where its logs are read.
const NODE: &str = "node";
const ACCOUNT: &str = "device-worker-ng";
const RBAC: &str = include_str!("../../packaging/kubernetes/rbac.yaml");
/// Set in the surroundings of a test that runs as if in a pod.
const IN_A_POD: &str = "DEVICE_WORKER_TEST_IN_A_POD";
/// Gives its first argument, a folder, the place of the pod's account, and runs the others.
const AS_IN_A_POD: &str = r#"
    mount -t tmpfs tmpfs /var/run
    mkdir -p /var/run/secrets/kubernetes.io
    cp -r "$1" /var/run/secrets/kubernetes.io/serviceaccount
    shift
    exec "$@"
"#;
/// Time for the cluster to come up, or to do one thing. Longer than any watch of the agent.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// Time between two looks.
const POLL: Duration = Duration::from_millis(200);

/// Runs on free ports of loopback; ended when dropped.
pub(crate) struct Cluster {
    assets: PathBuf,
    folder: tempfile::TempDir,
    etcd: u16,
    api: u16,
    /// Further flags of its API server.
    flags: &'static [&'static str],
    /// In order of start.
    programs: Vec<(&'static str, Child)>,
    /// The administrator's.
    client: Client,
    /// Signs certificates of users.
    authority: CertifiedIssuer<'static, KeyPair>,
    /// The agent's.
    token: String,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for (_, program) in self.programs.iter_mut().rev() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Cluster {
    /// Starts etcd, the API server and its controllers, and gives the agent its rights.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one whose API server gets `flags`, too.
    pub(crate) async fn start_with(flags: &'static [&'static str]) -> Self {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").expect("KUBEBUILDER_ASSETS is not set");
        let folder = tempfile::tempdir().unwrap();
        let [etcd, peer, api] = free_ports();
        let admin = folder.path().join("admin");
        std::fs::write(&admin, kubeconfig(api, &json!({"token": "secret"}))).unwrap();
        let client = client(&admin).await;
        let programs = Vec::new();
        let (authority, token) = (authority(), String::new());
        let assets = assets.into();
        let mut cluster =
            Self { assets, folder, etcd, api, flags, programs, client, authority, token };
        cluster.write_files();
        cluster.run(
            "etcd",
            &[
                format!("--data-dir={}", cluster.at("etcd")),
                format!("--listen-client-urls=http://127.0.0.1:{etcd}"),
                format!("--advertise-client-urls=http://127.0.0.1:{etcd}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
            ],
        );
        cluster.start_api_server().await;
        let mut controllers = vec![
            format!("--kubeconfig={}", cluster.at("admin")),
            "--leader-elect=false".to_owned(),
            "--controllers=deployment,replicaset,garbagecollector".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        if cluster.knows_flag("kube-controller-manager", "--port") {
            // Up to Kubernetes 1.23 it has a port without TLS as well.
            controllers.push("--port=0".to_owned());
        }
        cluster.run("kube-controller-manager", &controllers);
        cluster.apply_all(RBAC).await;
        cluster.write_agents_kubeconfig().await;
        cluster
    }

    /// Returns whether a program of this version of Kubernetes knows a flag.
    fn knows_flag(&self, program: &str, flag: &str) -> bool {
        let help = Command::new(self.assets.join(program)).arg("--help").output().unwrap();
        is_flag_in(&String::from_utf8_lossy(&help.stdout), flag)
    }

    /// Returns the path of a kubeconfig that allows everything.
    pub(crate) fn administrators_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin")
    }

    /// Returns the path of the kubeconfig that the agent has.
    pub(crate) fn agents_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// Writes a kubeconfig of the agent's account that goes through another port.
    pub(crate) fn write_kubeconfig_through(&self, port: u16) -> PathBuf {
        let path = self.folder.path().join("by-another-port");
        std::fs::write(&path, kubeconfig(port, &json!({"token": self.token}))).unwrap();
        path
    }

    /// Returns a kubeconfig with a token.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        kubeconfig(self.api, &json!({"token": token}))
    }

    /// Writes a kubeconfig that runs `program` for the token of the agent's account.
    pub(crate) fn write_kubeconfig_with_program(&self, program: &str) -> PathBuf {
        let credential = json!({
            "apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",
            "status": {"token": self.token},
        });
        std::fs::write(self.at("credential"), credential.to_string()).unwrap();
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1beta1", "interactiveMode": "Never",
            "command": program, "args": [self.at("credential")],
        });
        self.write_kubeconfig("by-program", &json!({"exec": exec}))
    }

    /// Writes a kubeconfig with a certificate for the agent's account.
    pub(crate) fn write_kubeconfig_with_certificate(&self) -> PathBuf {
        let mut parameters = CertificateParams::default();
        let name = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.authority).unwrap();
        std::fs::write(self.at("client.pem"), certificate.pem()).unwrap();
        std::fs::write(self.at("client.key"), key.serialize_pem()).unwrap();
        self.write_kubeconfig(
            "by-certificate",
            &json!({
                "client-certificate": self.at("client.pem"), "client-key": self.at("client.key"),
            }),
        )
    }

    fn write_kubeconfig(&self, name: &str, user: &Value) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, kubeconfig(self.api, user)).unwrap();
        path
    }

    /// Returns the port of the API server.
    pub(crate) const fn port(&self) -> u16 {
        self.api
    }

    pub(crate) async fn start_api_server(&mut self) {
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--secure-port={}", self.api),
            format!("--cert-dir={}", self.at("certificates")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--client-ca-file={}", self.at("authority")),
            format!("--token-auth-file={}", self.at("tokens")),
            "--service-account-issuer=https://localhost".to_owned(),
            format!("--service-account-key-file={}", self.at("sa.pub")),
            format!("--service-account-signing-key-file={}", self.at("sa.key")),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        ];
        arguments.extend(self.flags.iter().map(ToString::to_string));
        self.run("kube-apiserver", &arguments);
        eventually("the API server", async || {
            self.deployments().list(&ListParams::default()).await.ok()
        })
        .await;
    }

    /// Makes the cluster forget all that happened until now: no watch can go on from before.
    pub(crate) async fn forget_history(&self) {
        let etcd = format!("http://127.0.0.1:{}", self.etcd).parse().unwrap();
        let etcd = Client::try_from(Config::new(etcd)).unwrap();
        let ask = async |path: &str, body: Value| -> Value {
            let request = Request::post(path).body(body.to_string().into_bytes()).unwrap();
            etcd.request(request).await.unwrap()
        };
        // The last revision is kept, so it may not be the next that a watch asks for.
        let key = json!({"key": "AA=="});
        ask("/v3/kv/put", key.clone()).await;
        let revision = ask("/v3/kv/put", key).await["header"]["revision"].clone();
        ask("/v3/kv/compaction", json!({"revision": revision})).await;
    }

    pub(crate) fn kill_api_server(&mut self) {
        let mut programs = self.programs.iter_mut();
        let (_, server) = programs.find(|(name, _)| *name == "kube-apiserver").unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        self.programs.retain(|(name, _)| *name != "kube-apiserver");
    }

    /// Takes one verb on one resource from the agent's Role, or gives all of the manifest again.
    pub(crate) async fn change_rights(&self, taken: Option<(&str, &str)>) {
        for document in serde_yaml::Deserializer::from_str(RBAC) {
            let mut object = Value::deserialize(document).unwrap();
            if object["kind"] != "Role" {
                continue;
            }
            if let Some((verb, resource)) = taken {
                let rules = object["rules"].as_array_mut().unwrap();
                let mut left = Vec::new();
                for rule in rules.iter() {
                    for one in rule["resources"].as_array().unwrap() {
                        let mut rule = rule.clone();
                        rule["resources"] = json!([one]);
                        let verbs = rule["verbs"].as_array_mut().unwrap();
                        verbs.retain(|it| one != resource || it != verb);
                        // A rule without a verb is none.
                        left.extend((!verbs.is_empty()).then_some(rule));
                    }
                }
                *rules = left;
            }
            self.apply(&object).await;
        }
        // The API server learns of it by a watch.
        if let Some((verb, resource)) = taken {
            let client = client(&self.agents_kubeconfig()).await;
            let reviews = Api::<SelfSubjectAccessReview>::all(client);
            let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
            let question: SelfSubjectAccessReview = serde_json::from_value(json!({"spec": {
                "resourceAttributes": {
                    "namespace": NAMESPACE, "verb": verb, "resource": resource, "subresource": part,
                },
            }}))
            .unwrap();
            eventually("the refusal", async || {
                let answer = reviews.create(&PostParams::default(), &question).await.ok()?;
                (!answer.status?.allowed).then_some(())
            })
            .await;
        }
    }

    /// Waits for a namespace that the API server makes by itself, a moment after it came up.
    pub(crate) async fn has_namespace(&self, name: &str) {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        eventually("the namespace", async || namespaces.get_opt(name).await.ok()?).await;
    }

    /// Applies a manifest as an administrator does.
    pub(crate) async fn apply_all(&self, manifest: &str) {
        for document in serde_yaml::Deserializer::from_str(manifest) {
            self.apply(&Value::deserialize(document).unwrap()).await;
        }
    }

    /// Applies an object as an administrator does.
    async fn apply(&self, object: &Value) {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let TypeMeta { api_version, kind } = object.types.clone().unwrap();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), &namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let params = PatchParams::apply("kubectl").force();
        api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.unwrap();
    }

    pub(crate) fn deployments(&self) -> Api<Deployment> {
        self.deployments_in(NAMESPACE)
    }

    pub(crate) fn deployments_in(&self, namespace: &str) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Waits for a Deployment in a namespace.
    pub(crate) async fn deployment_in(&self, namespace: &str) -> Deployment {
        let deployments = self.deployments_in(namespace);
        eventually("the Deployment", async || {
            deployments.list(&ListParams::default()).await.ok()?.items.pop()
        })
        .await
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Returns the one pod of a workload of a device, when there is exactly one.
    pub(crate) async fn pod(&self, device: &str, id: &str) -> Pod {
        let labels = format!("device-worker-ng/device={device},device-worker-ng/id={id}");
        let params = ListParams::default().labels(&labels);
        let look = async || {
            let pods = self.pods().list(&params).await.ok()?;
            <[Pod; 1]>::try_from(pods.items).ok()
        };
        let [pod] = eventually("the one pod", look).await;
        pod
    }

    /// Says that the kubelet of the node to which pods are bound is at this port of loopback.
    pub(crate) async fn has_kubelet(&self, port: u16) {
        let nodes = Api::<Node>::all(self.client.clone());
        let node = serde_json::from_value(json!({"metadata": {"name": NODE}})).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        let written = Patch::Merge(&status);
        nodes.patch_status(NODE, &PatchParams::default(), &written).await.unwrap();
    }

    /// Gives a pod a node, as a scheduler does. From then on only its kubelet ends it.
    pub(crate) async fn bind(&self, pod: &Pod) {
        let name = pod.name_any();
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
        });
        let params = PostParams::default();
        let bound = self.pods().create_subresource("binding", &name, &params, &binding).await;
        let _: Value = bound.unwrap();
    }

    /// Says of a pod what a kubelet would: its only container is in `state`.
    pub(crate) async fn play_kubelet(&self, pod: &Pod, state: &Value, last_state: &Value) {
        self.try_to_play_kubelet(pod, state, last_state).await.unwrap();
    }

    async fn try_to_play_kubelet(
        &self,
        pod: &Pod,
        state: &Value,
        last_state: &Value,
    ) -> kube::Result<()> {
        let is_up = state.get("running").is_some();
        let container = json!({
            "name": "c", "image": "nginx", "imageID": "", "restartCount": 1,
            "ready": is_up, "state": state, "lastState": last_state,
        });
        let status = json!({"status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": if is_up { "True" } else { "False" }}],
            "containerStatuses": [container],
        }});
        let patch = Patch::Merge(&status);
        self.pods().patch_status(&pod.name_any(), &PatchParams::default(), &patch).await.map(drop)
    }

    /// Says of a pod that it runs and is ready.
    pub(crate) async fn runs(&self, pod: &Pod) {
        self.play_kubelet(pod, &up(), &json!({})).await;
    }

    /// Says of every pod that it runs and is ready, and returns them. One may just go.
    pub(crate) async fn all_run(&self) -> Vec<Pod> {
        let pods = self.pods().list(&ListParams::default()).await.map(|pods| pods.items);
        let pods = pods.unwrap_or_default();
        for pod in &pods {
            let _ = self.try_to_play_kubelet(pod, &up(), &json!({})).await;
        }
        pods
    }

    /// Runs a test of this program once more as if it were in a pod of the cluster, with the agent's
    /// account: the files of the account are where each pod has them, in a mount namespace of its own.
    pub(crate) fn start_test_in_a_pod(&mut self, test: &str) -> &'static str {
        let account = self.folder.path().join("account");
        std::fs::create_dir(&account).unwrap();
        std::fs::copy(self.at("certificates/apiserver.crt"), account.join("ca.crt")).unwrap();
        std::fs::write(account.join("token"), &self.token).unwrap();
        std::fs::write(account.join("namespace"), NAMESPACE).unwrap();
        let started = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-e", "-c", AS_IN_A_POD, "sh"])
            .arg(account)
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            .env("KUBERNETES_SERVICE_PORT", self.api.to_string())
            .env(IN_A_POD, "yes")
            .spawn();
        let name = "agent in a pod";
        self.programs.push((name, started.unwrap()));
        name
    }

    /// Waits until a program has ended.
    pub(crate) async fn end_of(&mut self, name: &str) -> ExitStatus {
        let mut programs = self.programs.iter_mut();
        let (_, program) = programs.find(|(it, _)| *it == name).unwrap();
        let program = RefCell::new(program);
        eventually(name, async || program.borrow_mut().try_wait().unwrap()).await
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write_files(&self) {
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(self.at("sa.key"), key.serialize_pem()).unwrap();
        std::fs::write(self.at("sa.pub"), key.public_key_pem()).unwrap();
        std::fs::write(self.at("authority"), self.authority.pem()).unwrap();
        let tokens = "secret,admin,admin,\"system:masters\"\n";
        std::fs::write(self.at("tokens"), tokens).unwrap();
    }

    /// Writes a kubeconfig with a token of the manifest's service account.
    async fn write_agents_kubeconfig(&mut self) {
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), NAMESPACE);
        let wanted = TokenRequest::default();
        let params = PostParams::default();
        let token = accounts.create_token_request(ACCOUNT, &params, &wanted).await.unwrap();
        self.token = token.status.unwrap().token;
        std::fs::write(self.agents_kubeconfig(), self.kubeconfig(&self.token)).unwrap();
    }

    fn run(&mut self, program: &'static str, arguments: &[String]) {
        let log = self.folder.path().join(format!("{program}.log"));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let started = Command::new(self.assets.join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.programs.push((program, started.unwrap()));
    }
}

/// Returns whether this test runs as if in a pod.
pub(crate) fn is_in_a_pod() -> bool {
    std::env::var_os(IN_A_POD).is_some()
}

fn up() -> Value {
    json!({"running": {"startedAt": "2024-05-01T10:00:00Z"}})
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn kubeconfig(port: u16, user: &Value) -> String {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true,
        }}],
        "users": [{"name": "u", "user": user}],
    });
    kubeconfig.to_string()
}

async fn client(kubeconfig: &std::path::Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn free_ports() -> [u16; 3] {
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// Waits until `look` sees something.
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let seen = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            sleep(POLL).await;
        }
    };
    let seen = timeout(LIMIT, seen).await;
    seen.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Returns whether the text of `--help` lists a flag.
fn is_flag_in(help: &str, flag: &str) -> bool {
    let mut words = help.lines().filter_map(|line| line.split_whitespace().next());
    words.any(|word| word == flag)
}

#[test]
fn a_flag_is_known_only_where_the_program_lists_it() {
    let old = "Insecure serving flags:\n\n      --address ip   DEPRECATED\n      --port int   DEPRECATED\n";
    let new =
        "Secure serving flags:\n\n      --bind-address ip\n      --secure-port int   The port\n";
    assert!(is_flag_in(old, "--port"));
    assert!(!is_flag_in(new, "--port"));
    assert!(is_flag_in(new, "--secure-port"));
}
