//! A cluster that outlives the agent, and whose calls meet their fate.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use actors::k8s_executor::{
    ClusterApi, ClusterError, ClusterEvent, Connect, Objects, Refusal, Written,
};
use actors::testing::fake_cluster::{FakeCluster, Mood};
use actors::workload::{ExecutorKind, WorkloadId};
use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
use futures_util::stream::LocalBoxStream;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::faults::Fate;
use crate::world::World;

const LIMIT: Duration = Duration::from_secs(10);

/// One cluster. Clones share it.
#[derive(Clone)]
pub(crate) struct Cluster {
    world: Rc<World>,
    inner: FakeCluster,
    api: Rc<RefCell<Option<Rc<dyn ClusterApi>>>>,
    /// Those that have a replica.
    running: Rc<RefCell<BTreeSet<WorkloadId>>>,
    changed: Rc<RefCell<BTreeSet<WorkloadId>>>,
}

/// The type of an answer.
type Answer<T> = LocalBoxFuture<'static, Result<T, ClusterError>>;

impl Cluster {
    pub(crate) fn new(world: &Rc<World>) -> Self {
        let (world, inner) = (Rc::clone(world), FakeCluster::default());
        Self { world, inner, api: Rc::default(), running: Rc::default(), changed: Rc::default() }
    }

    pub(crate) async fn prepare(&self) {
        *self.api.borrow_mut() = (self.inner.connect())().await.ok();
    }

    pub(crate) fn connect(&self) -> Connect {
        let this = self.clone();
        Rc::new(move || {
            let api: Rc<dyn ClusterApi> = Rc::new(this.clone());
            this.call("connect", "", move |_| async { Ok(api) }.boxed_local())
        })
    }

    /// Breaks every watch.
    pub(crate) fn hang_up(&self) {
        self.inner.become_(Mood::Unreachable);
        self.inner.become_(Mood::Well);
    }

    /// Scales a Deployment to zero, or changes its pods, as another client would.
    pub(crate) fn meddle(&self, rng: &mut fastrand::Rng) {
        let running: Vec<_> = self.running().into_iter().collect();
        let Some(id) = running.get(rng.usize(..running.len().max(1))) else { return };
        if rng.bool() {
            self.running.borrow_mut().remove(id);
            self.inner.change_by_hand(id, |spec| spec.replicas = Some(0));
        } else {
            self.changed.borrow_mut().insert(id.clone());
            self.inner.change_by_hand(id, |spec| spec.template.spec = None);
        }
    }

    /// Returns those that run and are not as the agent wrote them.
    pub(crate) fn changed(&self) -> BTreeSet<WorkloadId> {
        &*self.changed.borrow() & &*self.running.borrow()
    }

    /// Returns the specifications whose Deployment has a replica.
    pub(crate) fn running(&self) -> BTreeSet<WorkloadId> {
        self.running.borrow().clone()
    }

    fn api(&self) -> Rc<dyn ClusterApi> {
        self.api.borrow().clone().expect("prepared")
    }

    fn call<T: 'static>(
        &self,
        method: &'static str,
        argument: &str,
        work: impl FnOnce(&Self) -> Answer<T> + 'static,
    ) -> Answer<T> {
        let (this, key) = (self.clone(), format!("k8s {method} {argument}"));
        let error = move || ClusterError::Unreachable {
            call: method.to_owned(),
            source: "connection reset".into(),
        };
        let timed_out = move || ClusterError::TimedOut { call: method.to_owned(), after: LIMIT };
        async move {
            let world = Rc::clone(&this.world);
            world.called(&format!("k8s {method}"));
            let mut rng = world.chooser.rng(&key);
            let fate = world.chooser.fate(&mut rng);
            let before = world.chooser.delay(&mut rng, LIMIT);
            let after = world.chooser.delay(&mut rng, LIMIT);
            world.note(|| format!("{key} {fate:?}"));
            sleep(before).await;
            if world.is_down(ExecutorKind::K8s) {
                return Err(error());
            }
            match fate {
                Fate::Fine | Fate::Lost | Fate::KillAfter => {
                    let done = work(&this).await;
                    sleep(after).await;
                    match fate {
                        Fate::Fine => done,
                        Fate::KillAfter => {
                            world.kill.notify_one();
                            std::future::pending().await
                        }
                        Fate::Refused
                        | Fate::Silent
                        | Fate::Lost
                        | Fate::Late
                        | Fate::Panic
                        | Fate::KillBefore => Err(error()),
                    }
                }
                Fate::Late => {
                    let late = LIMIT + LIMIT.mul_f64(rng.f64());
                    spawn_local(async move {
                        sleep(late).await;
                        drop(work(&this).await);
                    });
                    sleep(LIMIT).await;
                    Err(timed_out())
                }
                Fate::Silent => {
                    sleep(LIMIT).await;
                    Err(timed_out())
                }
                Fate::Refused => Err(ClusterError::Refused {
                    call: method.to_owned(),
                    refusal: Refusal::TooManyRequests("the simulation refuses".to_owned()),
                    retry_after: Some(Duration::from_secs(rng.u64(1..120))),
                }),
                Fate::Panic => panic!("ordered by the simulation"),
                Fate::KillBefore => {
                    world.kill.notify_one();
                    std::future::pending().await
                }
            }
        }
        .boxed_local()
    }
}

impl ClusterApi for Cluster {
    fn apply(&self, objects: Objects) -> Answer<Written> {
        let id = objects.id.clone();
        self.call("apply", id.clone().as_str(), move |this| {
            this.running.borrow_mut().insert(id.clone());
            this.changed.borrow_mut().remove(&id);
            let inner = this.inner.clone();
            spawn_local(async move {
                sleep(Duration::from_secs(3)).await;
                inner.set_available(&id, 1);
            });
            this.api().apply(objects)
        })
    }

    fn suspend(&self, id: WorkloadId) -> Answer<()> {
        self.call("suspend", id.clone().as_str(), move |this| {
            this.running.borrow_mut().remove(&id);
            this.api().suspend(id)
        })
    }

    fn delete(&self, id: WorkloadId) -> Answer<()> {
        self.call("delete", id.clone().as_str(), move |this| {
            this.running.borrow_mut().remove(&id);
            this.api().delete(id)
        })
    }

    fn exists(&self, id: WorkloadId) -> Answer<bool> {
        self.call("exists", id.clone().as_str(), move |this| this.api().exists(id))
    }

    fn watch(&self) -> LocalBoxStream<'static, Result<ClusterEvent, ClusterError>> {
        self.world.called("k8s watch");
        self.api().watch()
    }

    /// Now and then the kubeconfig is replaced.
    fn is_current(&self) -> LocalBoxFuture<'static, bool> {
        let is_current = self.world.chooser.rng("k8s is_current").u8(..8) > 0;
        ready(is_current).boxed_local()
    }
}
