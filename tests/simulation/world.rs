//! Everything that outlives the agent: the time, the runtimes, the control plane, the disk; and the
//! record of what happened to them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use actors::clock::{Clock, Monotonic};
use actors::workload::{Configuration, ExecutorKind, Updates, WorkloadId};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

use crate::faults::{Chooser, digest, digest_text};
use crate::model::Model;
use crate::workloads::Behaviour;

/// A start of a pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Monotonic,
    pub(crate) wall: DateTime<Utc>,
    /// podman did it of its own, long after the agent had given it up.
    pub(crate) ghost: bool,
}

/// The world of one seed. Shared by everything in it.
pub(crate) struct World {
    pub(crate) clock: Clock,
    /// The agent's own clock, which starts with it.
    pub(crate) agent_clock: RefCell<Option<Clock>>,
    pub(crate) chooser: Chooser,
    /// Asked to kill the agent.
    pub(crate) kill: Notify,
    pub(crate) model: RefCell<Model>,
    /// What the control plane wants.
    pub(crate) configuration: RefCell<Configuration>,
    pub(crate) behaviours: RefCell<HashMap<WorkloadId, Behaviour>>,
    /// The specifications of which a volume held more than it may.
    pub(crate) overfull: RefCell<BTreeSet<WorkloadId>>,
    /// The specifications that have volumes.
    pub(crate) with_volumes: RefCell<BTreeSet<WorkloadId>>,
    /// Pods that were given little CPU time while they ran.
    pub(crate) throttled: RefCell<BTreeSet<String>>,
    pub(crate) starts: RefCell<BTreeMap<WorkloadId, Vec<Start>>>,
    /// The specifications whose last run the agent ended before it ended itself.
    pub(crate) stopped: RefCell<BTreeSet<WorkloadId>>,
    /// Since when the disk says of a specification that it failed its proof.
    pub(crate) failed: RefCell<BTreeMap<WorkloadId, Monotonic>>,
    /// Calls by what was called.
    pub(crate) calls: RefCell<BTreeMap<String, u64>>,
    /// Calls that get no answer and are waited for: what waits for their turn has not come yet.
    pub(crate) hanging: Cell<usize>,
    pub(crate) down: RefCell<BTreeMap<ExecutorKind, bool>>,
    pub(crate) control_plane_down: Cell<bool>,
    pub(crate) boot: Cell<u32>,
    /// How many times slower than usual every podman is; 1 as a rule.
    pub(crate) slowness: Cell<u32>,
    /// Lives of the agent so far.
    pub(crate) life: Cell<u32>,
    /// When the device was booted, and whether a time service has set its clock since.
    pub(crate) booted: Cell<Monotonic>,
    pub(crate) is_synchronized: Cell<bool>,
    /// This life of the agent has seen what lets it follow the wall clock.
    pub(crate) may_follow_clock: Cell<bool>,
    violations: RefCell<Vec<String>>,
    trace: Cell<u64>,
    pub(crate) verbose: bool,
}

impl World {
    pub(crate) fn new(seed: u64, wall: DateTime<Utc>, verbose: bool) -> Rc<Self> {
        let configuration = Configuration {
            version: None,
            heartbeat_period: Duration::from_secs(60),
            hardware_in_heartbeat: false,
            objectives: Vec::new(),
            profiles: Vec::new(),
            workloads: Vec::new(),
            rejected: Vec::new(),
            updates: Updates::default(),
        };
        Rc::new(Self {
            clock: Clock::simulated(wall),
            agent_clock: RefCell::default(),
            chooser: Chooser::new(seed),
            kill: Notify::new(),
            model: RefCell::default(),
            configuration: RefCell::new(configuration),
            behaviours: RefCell::default(),
            overfull: RefCell::default(),
            with_volumes: RefCell::default(),
            throttled: RefCell::default(),
            starts: RefCell::default(),
            stopped: RefCell::default(),
            failed: RefCell::default(),
            calls: RefCell::default(),
            hanging: Cell::new(0),
            down: RefCell::default(),
            control_plane_down: Cell::new(false),
            boot: Cell::new(1),
            slowness: Cell::new(1),
            life: Cell::new(0),
            booted: Cell::default(),
            is_synchronized: Cell::new(true),
            may_follow_clock: Cell::new(false),
            violations: RefCell::default(),
            trace: Cell::new(0),
            verbose,
        })
    }

    pub(crate) fn now(&self) -> Monotonic {
        self.clock.now().monotonic
    }

    /// Notes what happened, for the comparison of two runs and for the reader of one.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        let (what, now) = (what(), self.clock.now());
        // A sum: what happens in one instant has no order.
        let at = u64::try_from(now.monotonic.since_start().as_millis()).unwrap_or(0);
        let line = digest(&[at, digest_text(&what)]);
        self.trace.set(self.trace.get().wrapping_add(line));
        if self.verbose {
            println!("{:>12.3} {} {what}", now.monotonic.since_start().as_secs_f64(), now.wall);
        }
    }

    pub(crate) fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// Notes that something is so that must never be.
    pub(crate) fn violated(&self, what: String) {
        self.note(|| format!("VIOLATED {what}"));
        let at = self.now().since_start();
        self.violations.borrow_mut().push(format!("at {at:?}: {what}"));
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.violations.borrow().clone()
    }

    pub(crate) fn called(&self, what: &str) {
        let mut calls = self.calls.borrow_mut();
        match calls.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(calls.insert(what.to_owned(), 1)),
        }
    }

    pub(crate) fn total_calls(&self) -> u64 {
        self.calls.borrow().values().sum()
    }

    /// Moves the wall clock of the world and of the agent.
    pub(crate) fn step(&self, step: TimeDelta) {
        self.clock.step(step);
        if let Some(clock) = &*self.agent_clock.borrow() {
            clock.step(step);
        }
    }

    /// Waits as one waits for an answer that does not come.
    pub(crate) async fn hang(self: Rc<Self>, limit: Duration) {
        struct Hanging(Rc<World>);
        impl Drop for Hanging {
            fn drop(&mut self) {
                self.0.hanging.update(|count| count - 1);
            }
        }
        self.hanging.update(|count| count + 1);
        let _hanging = Hanging(self);
        tokio::time::sleep(limit).await;
    }

    pub(crate) fn is_down(&self, kind: ExecutorKind) -> bool {
        self.down.borrow().get(&kind).copied().unwrap_or(false)
    }

    pub(crate) fn started(&self, id: &WorkloadId, ghost: bool) {
        let now = self.clock.now();
        let start = Start { at: now.monotonic, wall: now.wall, ghost };
        self.starts.borrow_mut().entry(id.clone()).or_default().push(start);
        self.stopped.borrow_mut().remove(id);
    }

    /// The disk has the updates from now on.
    pub(crate) fn kept(&self, updates: &Updates) {
        let (mut failed, now) = (self.failed.borrow_mut(), self.now());
        let kept = updates.0.values().filter(|update| update.failure.is_some());
        let since = |id: &WorkloadId| failed.get(id).copied().unwrap_or(now);
        *failed = kept.map(|it| (it.successor.clone(), since(&it.successor))).collect();
    }

    pub(crate) fn starts_of(&self, id: &WorkloadId) -> Vec<Start> {
        self.starts.borrow().get(id).cloned().unwrap_or_default()
    }
}
