//! The Kubernetes executor on a real API server with real controllers. Only the kubelet is played:
//! there is no node.
//!
//! Run by `make test-kubernetes`, because it needs `KUBEBUILDER_ASSETS`, a folder with etcd, kube-apiserver
//! and kube-controller-manager; `tests/kubernetes/build-apiserver.sh` makes one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the whole file is a test"
)]

use std::cell::RefCell;
use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::{Actor, Context, Handler, Recipient};
use actors::clock::Clock;
use actors::k8s_executor::{K8sDeps, K8sExecutor, kubernetes};
use actors::messages::{
    Action, ActorHealthChanged, CommandFinished, CommandId, EventRecorded, ExecutorCommand,
    WorkloadsObserved, tell,
};
use actors::supervisor::Slot;
use actors::workload::{CurrentState, ExecutorKind, Limits, ObservedPod, Workload};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

/// Time for the cluster to come up, or to do one thing.
const LIMIT: Duration = Duration::from_secs(60);
/// Time between two looks.
const POLL: Duration = Duration::from_millis(200);
const NAMESPACE: &str = "device-worker-test";

/// A control plane without nodes, on free ports of loopback; ended when dropped.
struct Cluster {
    assets: PathBuf,
    folder: tempfile::TempDir,
    programs: Vec<Child>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

impl Cluster {
    /// Starts etcd and the API server, and then its controllers, which wait for nobody.
    async fn start() -> Self {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").expect("KUBEBUILDER_ASSETS is not set");
        let mut cluster = Self {
            assets: assets.into(),
            folder: tempfile::tempdir().unwrap(),
            programs: Vec::new(),
        };
        let [client, peer, api] = free_ports();
        cluster.write_files(api);
        cluster.run(
            "etcd",
            &[
                format!("--data-dir={}", cluster.at("etcd")),
                format!("--listen-client-urls=http://127.0.0.1:{client}"),
                format!("--advertise-client-urls=http://127.0.0.1:{client}"),
                format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
                format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
            ],
        );
        cluster.run(
            "kube-apiserver",
            &[
                format!("--etcd-servers=http://127.0.0.1:{client}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={api}"),
                format!("--cert-dir={}", cluster.at("certificates")),
                format!("--token-auth-file={}", cluster.at("tokens")),
                "--service-account-issuer=https://localhost".to_owned(),
                format!("--service-account-key-file={}", cluster.at("sa.pub")),
                format!("--service-account-signing-key-file={}", cluster.at("sa.key")),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            ],
        );
        let client = cluster.client().await;
        eventually("the API server", async || client.apiserver_version().await.ok()).await;
        cluster.run(
            "kube-controller-manager",
            &[
                format!("--kubeconfig={}", cluster.at("kubeconfig")),
                "--leader-elect=false".to_owned(),
                "--controllers=deployment,replicaset,garbagecollector".to_owned(),
                "--port=0".to_owned(),
                "--secure-port=0".to_owned(),
            ],
        );
        cluster
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write_files(&self, port: u16) {
        let key = rcgen::KeyPair::generate().unwrap();
        std::fs::write(self.at("sa.key"), key.serialize_pem()).unwrap();
        std::fs::write(self.at("sa.pub"), key.public_key_pem()).unwrap();
        let tokens = "secret,admin,admin,\"system:masters\"\n";
        std::fs::write(self.at("tokens"), tokens).unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {
                "server": format!("https://127.0.0.1:{port}"), "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        });
        std::fs::write(self.at("kubeconfig"), kubeconfig.to_string()).unwrap();
    }

    fn run(&mut self, program: &str, arguments: &[String]) {
        let log = File::create(self.at(&format!("{program}.log"))).unwrap();
        let started = Command::new(self.assets.join(program))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.programs.push(started.unwrap());
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(self.at("kubeconfig")).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }
}

fn free_ports() -> [u16; 3] {
    let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// Waits until `look` sees something.
async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
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

/// Every peer of the executor: remembers the last of what it heard.
#[derive(Clone, Default)]
struct Peer {
    /// None until the first list.
    pods: Rc<RefCell<Option<Vec<ObservedPod>>>>,
    finished: Rc<RefCell<Vec<CommandFinished>>>,
}

impl Actor for Peer {
    type Context = Context<Self>;
}

impl Handler<WorkloadsObserved> for Peer {
    type Result = ();

    fn handle(&mut self, message: WorkloadsObserved, _: &mut Self::Context) {
        if let Ok(pods) = message.pods {
            self.pods.replace(Some(pods));
        }
    }
}

impl Handler<CommandFinished> for Peer {
    type Result = ();

    fn handle(&mut self, message: CommandFinished, _: &mut Self::Context) {
        self.finished.borrow_mut().push(message);
    }
}

impl Handler<EventRecorded> for Peer {
    type Result = ();

    fn handle(&mut self, _: EventRecorded, _: &mut Self::Context) {}
}

impl Handler<ActorHealthChanged> for Peer {
    type Result = ();

    fn handle(&mut self, message: ActorHealthChanged, _: &mut Self::Context) {
        panic!("{message:?}");
    }
}

impl Peer {
    async fn sees(&self, what: &str, wanted: impl Fn(&CurrentState) -> bool) {
        eventually(what, async || {
            let pods = self.pods.borrow();
            let first = pods.as_ref()?.first();
            first.filter(|pod| wanted(&pod.state)).map(drop)
        })
        .await;
    }

    async fn hears_of(&self, id: u64) {
        let finished = eventually("the answer", async || {
            let finished = self.finished.borrow();
            finished.iter().find(|it| it.id == CommandId(id)).cloned()
        })
        .await;
        assert_eq!(finished.result, Ok(()));
    }
}

fn workload() -> Workload {
    serde_json::from_value(json!({
        "id": "web-0123456789ab", "name": "web", "namespace": NAMESPACE,
        "executor": ExecutorKind::K8s,
        "pod": {
            "containers": [{"name": "c", "image": "nginx", "ports": [{"containerPort": 80}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "key"}}],
        },
        "secrets": [{"name": "key", "data": {"k": [1, 2, 3]}}],
    }))
    .unwrap()
}

fn send(commands: &Recipient<ExecutorCommand>, clock: &Clock, id: u64, action: Action) {
    let deadline = clock.now().monotonic + LIMIT;
    let id = CommandId(id);
    tell(commands, ExecutorCommand { id, deadline, action });
}

/// Says what a kubelet would say of the only pod.
async fn play_kubelet(pods: &Api<Pod>, container: Value, ready: &str) {
    let pod = eventually("a pod", async || {
        let pods = pods.list(&ListParams::default()).await.ok()?;
        pods.items.into_iter().next()
    })
    .await;
    let status = json!({"status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": ready}],
        "containerStatuses": [container],
    }});
    let params = PatchParams::default();
    let patch = Patch::Merge(&status);
    pods.patch_status(&pod.name_any(), &params, &patch).await.unwrap();
}

fn container(state: &Value, ready: bool) -> Value {
    json!({
        "name": "c", "image": "nginx", "imageID": "", "restartCount": 1,
        "ready": ready, "state": state,
    })
}

#[actix::test]
async fn a_workload_starts_runs_crashes_and_goes_on_a_real_cluster() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    let clock = Clock::system();
    let peer = Peer::default();
    let address = peer.clone().start();
    let slot = Slot::<K8sExecutor>::new("k8s", clock.clone());
    let commands = slot.recipient();
    let executor = K8sExecutor::new(K8sDeps {
        device_id: "toto".into(),
        scheduler_commands: address.clone().recipient(),
        observations: address.clone().recipient(),
        events: address.clone().recipient(),
        clock: clock.clone(),
        vitals: slot.vitals(),
        connect: kubernetes(Some(cluster.at("kubeconfig").into()), "toto".into()),
    });
    let start = |id| {
        let workload = Arc::new(workload());
        let limits = Limits::default();
        send(&commands, &clock, id, Action::Start { workload, limits });
    };
    #[allow(clippy::disallowed_methods, reason = "stands for the agent's main task")]
    let running = actix::spawn(slot.supervise(executor, address.recipient()));
    eventually("the first list", async || peer.pods.borrow().clone()).await;

    start(1);
    peer.hears_of(1).await;
    peer.sees("starting", |state| *state == CurrentState::Starting).await;

    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE);
    let up = json!({"running": {"startedAt": "2024-05-01T10:00:00Z"}});
    play_kubelet(&pods, container(&up, true), "True").await;
    peer.sees("running", |state| *state == CurrentState::Running).await;

    // Once more changes nothing: the pod is the same.
    let before = pods.list(&ListParams::default()).await.unwrap().items[0].uid();
    start(2);
    peer.hears_of(2).await;
    let after = pods.list(&ListParams::default()).await.unwrap().items[0].uid();
    assert_eq!(before, after);

    let down = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
    play_kubelet(&pods, container(&down, false), "False").await;
    let is_crash = |state: &CurrentState| matches!(state, CurrentState::Crashing { .. });
    peer.sees("crashing", is_crash).await;

    let stop =
        Action::Stop { id: workload().id, workload: "web".into(), grace: Duration::from_secs(10) };
    send(&commands, &clock, 3, stop);
    peer.hears_of(3).await;
    assert_eq!(*peer.pods.borrow(), Some(Vec::new()));
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
    // What the Deployment owned is collected after it.
    let secrets = Api::<Secret>::namespaced(client, NAMESPACE);
    eventually("the end of the secret", async || {
        let left = secrets.list(&ListParams::default()).await.ok()?;
        left.items.is_empty().then_some(())
    })
    .await;
    running.abort();
}
