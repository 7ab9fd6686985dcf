//! Follows the containers that run, and knows their health.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::debug;

use super::attempt::{Means, Tried};
use super::healthcheck::liveness_of;
use super::network::ProbeNetwork;
use super::tracker::{Outcome, Tracker};
use super::volume_watch::VolumeWatch;
use crate::clock::{Clock, Moment, Monotonic};
use crate::pod_manifest::probes::{Endpoint, PodProbes, Probe, ProbeKind};
use crate::podman_executor::libpod::api::PodmanApi as _;
use crate::podman_executor::libpod::pacing::paced::Paced;
use crate::podman_executor::libpod::types::{ContainerRow, container_name};
use crate::podman_executor::pod_state::{Phase, phase};
use crate::workload::{ContainerHealth, PodHealth, WorkloadId};

/// A container that has run for longer than this was found running: the agent is younger.
const FOUND_AFTER: Duration = Duration::from_secs(5);

/// Commands of probes at one time.
const MAX_COMMANDS: usize = 8;
/// Time between two looks at what volumes hold.
const VOLUME_PERIOD: Duration = Duration::from_secs(10);
/// The looks take no more than this part of the time, however many files there are.
const MEASURING_SHARE: u32 = 100;
/// Time to the next question to an image, when podman did not answer the last.
const IMAGE_PERIOD: Duration = Duration::from_secs(10);

/// One run of a container: its id, and when it started.
pub(in crate::podman_executor) type RunKey = (String, i64);

/// The health of the containers of one podman.
pub(in crate::podman_executor) struct HealthMonitor {
    means: Rc<Means>,
    clock: Clock,
    /// The probes of pods, as far as their specifications are known.
    probes: BTreeMap<WorkloadId, Rc<PodProbes>>,
    runs: BTreeMap<RunKey, Watched>,
    /// The liveness probe that an image brings, by the image's id.
    healthchecks: Rc<RefCell<BTreeMap<String, Option<Probe>>>>,
    changed: Rc<Notify>,
    volumes: VolumeWatch,
}

/// A container that is watched.
struct Watched {
    pod: WorkloadId,
    container: String,
    tracker: Rc<RefCell<Tracker>>,
    /// Since when it is frozen, so that nothing is tried: it could not answer.
    frozen_since: Option<Monotonic>,
    /// How long it was frozen before that.
    frozen_for: Duration,
}

/// What is to be done so that each container that runs is watched, and no other.
#[derive(Default)]
pub(in crate::podman_executor) struct Followed {
    /// To be run until the container ends or is frozen.
    pub(in crate::podman_executor) begun: Vec<(RunKey, LocalBoxFuture<'static, ()>)>,
    /// No longer to be run.
    pub(in crate::podman_executor) ended: Vec<RunKey>,
}

impl HealthMonitor {
    /// Returns a monitor that watches nothing yet.
    pub(in crate::podman_executor) fn new(
        podman: Rc<Paced>,
        network: Rc<dyn ProbeNetwork>,
        volumes: VolumeWatch,
        clock: Clock,
    ) -> Self {
        Self {
            means: Rc::new(Means::new(podman, network, MAX_COMMANDS)),
            clock,
            probes: BTreeMap::new(),
            runs: BTreeMap::new(),
            healthchecks: Rc::default(),
            changed: Rc::default(),
            volumes,
        }
    }

    /// Notes the probes of a pod; returns whether that is news.
    pub(in crate::podman_executor) fn know(&mut self, pod: &WorkloadId, probes: PodProbes) -> bool {
        let is_news = self.probes.get(pod).is_none_or(|known| **known != probes);
        if is_news {
            self.probes.insert(pod.clone(), Rc::new(probes));
        }
        is_news
    }

    /// Forgets the probes of pods that are neither configured nor watched.
    pub(in crate::podman_executor) fn keep_only(
        &mut self,
        configured: impl Fn(&WorkloadId) -> bool,
    ) {
        let runs = &self.runs;
        self.probes.retain(|pod, _| configured(pod) || runs.values().any(|it| it.pod == *pod));
    }

    /// Returns what ends when the health of a container has changed.
    pub(in crate::podman_executor) fn next_change(&self) -> impl Future<Output = ()> + 'static {
        let changed = Rc::clone(&self.changed);
        async move { changed.notified().await }
    }

    /// Returns the health of each pod that has any, its containers in order of name.
    pub(in crate::podman_executor) fn by_pod(&self) -> BTreeMap<WorkloadId, PodHealth> {
        let mut pods = BTreeMap::<_, PodHealth>::new();
        for run in self.runs.values() {
            let tracker = run.tracker.borrow();
            if tracker.is_any() {
                let (container, health) = (run.container.clone(), tracker.health());
                let pod = pods.entry(run.pod.clone()).or_default();
                pod.0.push(ContainerHealth { container, health });
            }
        }
        for pod in pods.values_mut() {
            pod.0.sort_by(|a, b| a.container.cmp(&b.container));
        }
        pods
    }

    /// Follows the containers that run: `live` are all of them, those that are frozen among them.
    pub(in crate::podman_executor) fn follow<'a>(
        &mut self,
        live: impl Iterator<Item = &'a ContainerRow>,
        now: Moment,
    ) -> Followed {
        let mut followed = Followed::default();
        let live: BTreeMap<(&str, i64), &ContainerRow> =
            live.map(|row| ((row.id.as_str(), row.started_at), row)).collect();
        self.runs.retain(|(id, started_at), _| {
            let lives = live.contains_key(&(id.as_str(), *started_at));
            if !lives {
                followed.ended.push((id.clone(), *started_at));
            }
            lives
        });
        let images: BTreeSet<&str> = live.values().map(|row| row.image_id.as_str()).collect();
        self.healthchecks.borrow_mut().retain(|image, _| images.contains(image.as_str()));
        for row in live.into_values() {
            let pod = WorkloadId::from(row.pod_name.as_str());
            let container = container_name(row);
            let probes = self.probes.get(&pod);
            let probes = probes
                .and_then(|pod| pod.containers.iter().find(|probes| probes.container == container));
            // Podman's own container of the pod has none.
            let Some(probes) = probes else { continue };
            let key = (row.id.clone(), row.started_at);
            let is_new = !self.runs.contains_key(&key);
            let run = self.runs.entry(key.clone()).or_insert_with(|| Watched {
                pod,
                container: container.to_owned(),
                tracker: Rc::new(RefCell::new(Tracker::new(probes.clone()))),
                frozen_since: None,
                frozen_for: Duration::ZERO,
            });
            match (run.frozen_since, phase(row) == Phase::Paused) {
                (None, true) => {
                    run.frozen_since = Some(now.monotonic);
                    followed.ended.push(key);
                    continue;
                }
                (Some(since), false) => {
                    run.frozen_since = None;
                    run.frozen_for += now.monotonic.saturating_since(since);
                    run.tracker.borrow_mut().thawed();
                }
                (None, false) if is_new => {}
                (None, false) | (Some(_), true) => continue,
            }
            let watch = Watch {
                means: Rc::clone(&self.means),
                clock: self.clock.clone(),
                tracker: Rc::clone(&run.tracker),
                healthchecks: Rc::clone(&self.healthchecks),
                changed: Rc::clone(&self.changed),
                volumes: self.volumes.clone(),
                pod: run.pod.clone(),
                name: run.container.clone(),
                image: row.image_id.clone(),
                container: row.id.clone(),
                address: Cell::default(),
                seen_at: now.monotonic,
                age: age(row, now).saturating_sub(run.frozen_for),
            };
            followed.begun.push((key, Box::pin(watch.run())));
        }
        followed
    }
}

/// Returns how long the container has run.
fn age(row: &ContainerRow, now: Moment) -> Duration {
    let seconds = now.wall.timestamp().saturating_sub(row.started_at);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// The watch over one run of a container.
struct Watch {
    means: Rc<Means>,
    clock: Clock,
    tracker: Rc<RefCell<Tracker>>,
    healthchecks: Rc<RefCell<BTreeMap<String, Option<Probe>>>>,
    changed: Rc<Notify>,
    volumes: VolumeWatch,
    pod: WorkloadId,
    /// The container's name in the pod specification.
    name: String,
    image: String,
    /// The container's id.
    container: String,
    /// The address of its pod, once podman has told it.
    address: Cell<Option<IpAddr>>,
    /// When it was first seen to run, or to go on, and how long it had run then.
    seen_at: Monotonic,
    age: Duration,
}

impl Watch {
    /// Makes the attempts, for as long as there are any to make.
    async fn run(self) {
        futures_util::join!(self.probes(), self.look_at_volumes());
    }

    /// Holds the volumes of the container to their limits, until one of them holds too much.
    async fn look_at_volumes(&self) {
        let limits = self.tracker.borrow().volumes().to_vec();
        if limits.is_empty() {
            return;
        }
        sleep(spread(&self.container, VOLUME_PERIOD)).await;
        while !self.tracker.borrow().is_failing() {
            let began = self.clock.now().monotonic;
            if let Some(fault) = self.volumes.fault(&self.pod, &limits).await {
                self.tracker.borrow_mut().give_up(fault);
                return self.changed.notify_one();
            }
            let took = self.clock.now().monotonic.saturating_since(began);
            sleep(VOLUME_PERIOD.max(took.saturating_mul(MEASURING_SHARE))).await;
        }
    }

    async fn probes(&self) {
        while !self.has_asked_the_image().await {
            sleep(IMAGE_PERIOD).await;
        }
        self.attempts(ProbeKind::Startup).await;
        futures_util::join!(
            self.attempts(ProbeKind::Liveness),
            self.attempts(ProbeKind::Readiness)
        );
    }

    /// Takes the `HEALTHCHECK` of the image for the liveness probe of a container that has none; returns
    /// whether that is settled.
    async fn has_asked_the_image(&self) -> bool {
        if self.tracker.borrow().probe(ProbeKind::Liveness).is_some() || self.image.is_empty() {
            return true;
        }
        let known = self.healthchecks.borrow().get(&self.image).cloned();
        let probe = match known {
            Some(probe) => probe,
            None => match self.means.podman.healthcheck(&self.image).await {
                Ok(check) => {
                    let probe = check.as_ref().and_then(liveness_of);
                    self.healthchecks.borrow_mut().insert(self.image.clone(), probe.clone());
                    probe
                }
                Err(error) => {
                    debug!(error = error.chain(), "health check of an image was not read");
                    // An image that is gone has nothing to say.
                    return error.is_refusal();
                }
            },
        };
        if let Some(probe) = probe {
            self.tracker.borrow_mut().set_liveness(probe);
            self.changed.notify_one();
        }
        true
    }

    /// Returns the address of the pod, which it keeps while it runs.
    async fn address(&self) -> Option<IpAddr> {
        if let Some(known) = self.address.get() {
            return Some(known);
        }
        match self.means.podman.inspect(&self.container).await {
            Ok(detail) => self.address.set(detail.address()),
            Err(error) => debug!(error = error.chain(), "container's address was not found"),
        }
        self.address.get()
    }

    async fn attempts(&self, kind: ProbeKind) {
        let probe = self.tracker.borrow().probe(kind).cloned();
        let Some(probe) = probe else { return };
        sleep(self.first_wait(&probe)).await;
        while self.tracker.borrow().wants(kind) {
            let began = self.clock.now().monotonic;
            let address = if needs_address(&probe) { self.address().await } else { None };
            let tried = Tried { container: self.container.clone(), address };
            let outcome = self.means.attempt(&probe, &tried).await;
            if let Outcome::Failure(reason) | Outcome::Unknown(reason) = &outcome {
                let (job_id, container, probe) = (self.pod.as_str(), &self.name, kind.as_str());
                debug!(job_id, container, probe, error = reason, "probe failed");
            }
            if self.tracker.borrow_mut().note(kind, &outcome) {
                self.changed.notify_one();
            }
            if !self.tracker.borrow().wants(kind) {
                return;
            }
            let took = self.clock.now().monotonic.saturating_since(began);
            sleep(probe.period.saturating_sub(took)).await;
        }
    }

    /// Returns the time to the first attempt. Containers that were found running are not all tried in the
    /// same instant.
    fn first_wait(&self, probe: &Probe) -> Duration {
        let ran = self.age + self.clock.now().monotonic.saturating_since(self.seen_at);
        let wait = probe.initial_delay.saturating_sub(ran);
        let was_found = self.age > FOUND_AFTER;
        if was_found && wait.is_zero() { spread(&self.container, probe.period) } else { wait }
    }
}

/// Returns a part of `period` that differs from container to container.
fn spread(container: &str, period: Duration) -> Duration {
    let sum = container
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    period.mul_f64(f64::from(sum % 1000) / 1000.0)
}

fn needs_address(probe: &Probe) -> bool {
    matches!(probe.check.endpoint(), Some(Endpoint::Pod(_)))
}
