//! The jobs under everything that can happen to them, in random order, against what must hold.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::scheduler::job::RunState;
use crate::workload::{ConditionRef, Limits, Profile, ProfileCondition, TargetState};

const KINDS: [ExecutorKind; 3] = ExecutorKind::ALL;
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Fewer than there are workloads, so that some wait.
const BUDGET: usize = 2;
/// Of the conditions that bring a limit.
const CPU: u64 = 20_000;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    /// A configuration; the evaluator comes to its profiles later. It may have taken a post before
    /// that, and sends verdicts on those that it knows.
    Configure {
        specs: Vec<Spec>,
        redefines: bool,
        truths: (u8, u8),
        is_overtaken: bool,
    },
    Verdict {
        condition: bool,
        truth: u8,
    },
    Answer {
        index: usize,
        outcome: Outcome,
    },
    EndPod {
        name: usize,
        exit_code: i32,
        degraded: bool,
    },
    DeletePod {
        name: usize,
    },
    /// An administrator pauses it.
    FreezePod {
        name: usize,
    },
    /// A Deployment is scaled to zero or modified outside the agent.
    Meddle {
        name: usize,
        scales: bool,
    },
    LoseRuntime(ExecutorKind),
    HearRuntime(ExecutorKind),
    RepeatEverything,
    Pass(u64),
    StepClock(i64),
    ResetScheduler,
    /// Commands in flight die with it.
    RestartAgent,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Done,
    Failed,
    Unavailable,
    /// The executor did it, died before it could say so, and its supervisor answered.
    DoneButAbandoned,
    Never,
}

#[derive(Clone, Debug)]
struct Spec {
    name: usize,
    version: u8,
    kind: ExecutorKind,
    profile: Option<bool>,
    policy: u8,
    retry: u8,
    cron: bool,
    limited: bool,
    after: Option<usize>,
}

impl Spec {
    fn workload(&self) -> Arc<Workload> {
        let policies = [RestartPolicy::Always, RestartPolicy::OnFailure, RestartPolicy::Never];
        let mut builder = workload(NAMES[self.name])
            .image(&format!("localhost/app:{}", self.version))
            .on(self.kind)
            .restarts(policies[usize::from(self.policy) % 3]);
        if let Some(condition) = self.profile {
            builder = builder.profile("p", &[condition_name(condition)]);
            if self.limited {
                // Allows it, too, and slows it down.
                let (name, cpu) = (condition_name(!condition).into(), Some(CPU));
                builder = builder.with(|workload| {
                    workload.profiles[0].conditions.push(ConditionRef { name, cpu, memory: None });
                });
            }
        }
        let initial = Duration::from_secs(2);
        match self.retry {
            0 => {}
            1 => builder = builder.retries(RetryPolicy::Constant { period: 3 * SECOND }),
            _ => {
                let (multiplier, randomization) = (2.0, 0.5);
                let retry = RetryPolicy::Exponential { initial, multiplier, randomization };
                builder = builder.retries(retry);
            }
        }
        if self.cron {
            builder = builder.cron("*/5 * * * *");
        }
        // Only those before it, so that there is no circle.
        if let Some(other) = self.after.filter(|other| *other < self.name) {
            builder = builder.with(|workload| workload.after = vec![NAMES[other].into()]);
        }
        builder.build()
    }
}

fn condition_name(condition: bool) -> &'static str {
    if condition { "x" } else { "y" }
}

/// Returns the shortest wait that a policy gives: the default where there is none.
fn shortest_delay(retry: Option<RetryPolicy>) -> Duration {
    match retry {
        None => RETRY,
        Some(RetryPolicy::Constant { period }) => period,
        Some(RetryPolicy::Exponential { initial, randomization, .. }) => {
            initial.mul_f64(1.0 - randomization)
        }
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let names = (0..NAMES.len(), 0..3_u8, kind());
    let manners = (any::<Option<bool>>(), 0..3_u8, 0..3_u8, prop::bool::weighted(0.2));
    let ties = (any::<bool>(), prop::option::weighted(0.2, 0..NAMES.len()));
    (names, manners, ties).prop_map(
        |((name, version, kind), (profile, policy, retry, cron), (limited, after))| Spec {
            name,
            version,
            kind,
            profile,
            policy,
            retry,
            cron,
            limited,
            after,
        },
    )
}

/// Device profile `p` in one of its definitions.
fn definition(version: u32) -> Arc<[Profile]> {
    let condition = |name: bool| ProfileCondition {
        name: condition_name(name).into(),
        expression: format!("load < {version}"),
    };
    let conditions = [true, false].map(condition).into();
    [Profile { name: "p".into(), conditions }].into()
}

fn verdict(truth: u8) -> Verdict {
    match truth {
        0 => Verdict::True,
        1 => Verdict::False,
        _ => Verdict::Unknown,
    }
}

fn kind() -> impl Strategy<Value = ExecutorKind> {
    prop::sample::select(&KINDS[..])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Done),
        2 => Just(Outcome::Failed),
        1 => Just(Outcome::Unavailable),
        2 => Just(Outcome::DoneButAbandoned),
        1 => Just(Outcome::Never),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => (prop::collection::vec(spec(), 0..8), any::<bool>(), (0..3_u8, 0..3_u8), any::<bool>())
            .prop_map(|(specs, redefines, truths, is_overtaken)| Happening::Configure {
                specs, redefines, truths, is_overtaken
            }),
        6 => (any::<bool>(), 0..3_u8).prop_map(|(condition, truth)| Happening::Verdict { condition, truth }),
        10 => (0..4_usize, outcome()).prop_map(|(index, outcome)| Happening::Answer { index, outcome }),
        2 => (0..NAMES.len(), 0..2_i32, any::<bool>())
            .prop_map(|(name, exit_code, degraded)| Happening::EndPod { name, exit_code, degraded }),
        1 => (0..NAMES.len()).prop_map(|name| Happening::DeletePod { name }),
        1 => (0..NAMES.len()).prop_map(|name| Happening::FreezePod { name }),
        1 => (0..NAMES.len(), any::<bool>())
            .prop_map(|(name, scales)| Happening::Meddle { name, scales }),
        1 => kind().prop_map(Happening::LoseRuntime),
        1 => kind().prop_map(Happening::HearRuntime),
        1 => Just(Happening::RepeatEverything),
        4 => (1..400_u64).prop_map(Happening::Pass),
        1 => (-200_000..200_000_i64).prop_map(Happening::StepClock),
        1 => Just(Happening::ResetScheduler),
        1 => Just(Happening::RestartAgent),
    ]
}

/// The world, and what the model remembers beside it.
struct Model {
    world: World,
    configured: BTreeMap<usize, Arc<Workload>>,
    /// What was told last, and what its updates are: as the disk keeps them.
    told: (Vec<Arc<Workload>>, Updates),
    /// The definition of the profile in the configuration, and the one that the evaluator knows.
    definitions: (u32, u32),
    /// By the definition in the configuration.
    verdicts: BTreeMap<bool, Verdict>,
    /// The agent does not know what an earlier life of it brought to a pod.
    was_restarted: bool,
    /// The wall clock passes times again, and no tick runs twice.
    was_set_back: bool,
    /// Workloads that a start was carried out for.
    ever_started: BTreeSet<WorkloadName>,
    lost: BTreeMap<ExecutorKind, bool>,
    /// The last failure of each workload: of which pod, and before when it is not tried again.
    failed: BTreeMap<WorkloadName, (WorkloadId, Monotonic)>,
}

impl Model {
    fn new() -> Self {
        let lost = KINDS.map(|kind| (kind, false)).into();
        let verdicts = [(true, Verdict::Unknown), (false, Verdict::Unknown)].into();
        let (configured, failed) = (BTreeMap::new(), BTreeMap::new());
        let (definitions, ever_started, was_set_back) = ((0, 0), BTreeSet::new(), false);
        let mut world = World::with_cluster();
        world.now.monotonic = Monotonic::from_start(SECOND);
        let mut model = Self {
            world,
            configured,
            told: Default::default(),
            definitions,
            verdicts,
            was_restarted: false,
            was_set_back,
            ever_started,
            lost,
            failed,
        };
        model.restart_agent();
        model
    }

    fn restart_agent(&mut self) {
        let settings =
            SchedulerSettings { start_budget: BUDGET, unconfigured: BTreeMap::new(), ..settings() };
        self.world.jobs = JobTable::new(settings, 1);
        self.world.open.clear();
        self.failed.clear();
        self.hear_all();
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Configure { specs, redefines, truths, is_overtaken } => {
                if *redefines {
                    self.definitions.0 += 1;
                    self.verdicts = [(true, verdict(truths.0)), (false, verdict(truths.1))].into();
                }
                let old = std::mem::take(&mut self.configured);
                self.configured = specs.iter().map(|spec| (spec.name, spec.workload())).collect();
                for (index, name) in NAMES.iter().enumerate() {
                    if old.get(&index) != self.configured.get(&index) {
                        self.failed.remove(&WorkloadName::from(*name));
                    }
                }
                self.tell_configuration();
                self.plan();
                if *is_overtaken {
                    self.tell_old_verdicts(truths.0);
                }
            }
            Happening::Verdict { condition, truth } => {
                self.verdicts.insert(*condition, verdict(*truth));
                self.tell_verdicts();
            }
            Happening::Answer { index, outcome } => self.answer(*index, *outcome),
            Happening::EndPod { name, exit_code, degraded } => {
                self.expect_a_wait(NAMES[*name]);
                let ended = vec![ended(*exit_code)];
                let state = if *degraded {
                    CurrentState::Degraded { ended }
                } else {
                    CurrentState::Exited { ended }
                };
                for (key, pod) in &mut self.world.pods {
                    let alive =
                        matches!(pod.state, CurrentState::Running | CurrentState::Degraded { .. });
                    // The cluster would restart it.
                    if alive && !key.executor.is_cluster() && pod.workload.as_str() == NAMES[*name]
                    {
                        pod.state = state.clone();
                    }
                }
                self.hear_all();
            }
            Happening::DeletePod { name } => {
                self.world.pods.retain(|_, pod| pod.workload.as_str() != NAMES[*name]);
                self.hear_all();
            }
            Happening::FreezePod { name } => {
                for (key, pod) in &mut self.world.pods {
                    let runs = pod.state == CurrentState::Running && !key.executor.is_cluster();
                    if runs && pod.workload.as_str() == NAMES[*name] {
                        pod.state = CurrentState::Frozen;
                    }
                }
                self.hear_all();
            }
            Happening::Meddle { name, scales } => {
                let pods = self.world.pods.iter_mut().filter(|(key, pod)| {
                    key.executor.is_cluster() && pod.workload.as_str() == NAMES[*name]
                });
                for (_, pod) in pods {
                    pod.is_changed = true;
                    if *scales {
                        pod.state = CurrentState::Suspended;
                    }
                }
                self.hear_all();
            }
            Happening::LoseRuntime(kind) => {
                self.lost.insert(*kind, true);
                self.world.lose(*kind);
            }
            Happening::HearRuntime(kind) => {
                self.lost.insert(*kind, false);
                self.hear_all();
            }
            Happening::RepeatEverything => {
                self.tell_configuration();
                self.tell_verdicts();
                self.hear_all();
            }
            Happening::Pass(seconds) => self.pass(Duration::from_secs(*seconds)),
            Happening::StepClock(seconds) => {
                self.world.now.wall += TimeDelta::seconds(*seconds);
                self.was_set_back |= *seconds < 0;
            }
            Happening::ResetScheduler => {
                self.failed.clear();
                self.world.jobs.reset();
                self.hear_all();
                self.plan();
                self.tell_configuration();
                self.plan();
                self.tell_verdicts();
            }
            Happening::RestartAgent => {
                // A pod on a runtime that is silent from the start belongs to no job until the runtime answers.
                self.lost.values_mut().for_each(|lost| *lost = false);
                self.restart_agent();
                self.was_restarted = true;
                self.tell_configuration();
                self.plan();
                self.tell_verdicts();
            }
        }
        self.plan();
    }

    fn tell_configuration(&mut self) {
        let workloads: Vec<_> = self.configured.values().cloned().collect();
        let (told, updates) = &mut self.told;
        *updates = updates.after(told, &workloads);
        told.clone_from(&workloads);
        let updates = updates.clone();
        let profiles = definition(self.definitions.0);
        let configured =
            WorkloadsConfigured { workloads, profiles, updates, ..WorkloadsConfigured::default() };
        self.world.jobs.configure(&configured, self.world.now);
    }

    /// The evaluator sends all verdicts, though it has not received the newest profiles yet.
    fn tell_old_verdicts(&mut self, truth: u8) {
        if self.definitions.0 != self.definitions.1 {
            let verdicts = [true, false].map(|name| (condition_name(name).into(), verdict(truth)));
            let verdicts = Verdicts::from([("p".into(), Arc::new(verdicts.into()))]);
            self.world.jobs.evaluate(verdicts, definition(self.definitions.1));
        }
    }

    fn tell_verdicts(&mut self) {
        self.definitions.1 = self.definitions.0;
        let named = |(condition, verdict): (&bool, &Verdict)| {
            (condition_name(*condition).into(), verdict.clone())
        };
        let profile = Arc::new(self.verdicts.iter().map(named).collect());
        let verdicts = Verdicts::from([("p".into(), profile)]);
        self.world.jobs.evaluate(verdicts, definition(self.definitions.1));
    }

    fn hear_all(&mut self) {
        for (kind, lost) in &self.lost {
            if *lost {
                self.world.lose(*kind);
            } else {
                self.world.observe(*kind);
            }
        }
    }

    fn answer(&mut self, index: usize, outcome: Outcome) {
        if self.world.open.is_empty() {
            return;
        }
        let index = index % self.world.open.len();
        let Some((executor, command)) = self.world.open.remove(index) else { return };
        let lost = self.lost[&executor];
        let failed = match &command.action {
            Action::Pull { .. } => {
                CommandError::Pull { image: "i".to_owned(), message: "no".to_owned() }
            }
            Action::Start { .. } | Action::Limit { .. } => {
                CommandError::Start { message: "no".to_owned() }
            }
            Action::Freeze { .. } | Action::Thaw { .. } => {
                CommandError::Freeze { message: "no".to_owned() }
            }
            Action::Stop { .. } | Action::Suspend { .. } | Action::Halt { .. } => {
                CommandError::Stop { message: "no".to_owned() }
            }
        };
        let unavailable = CommandError::Unavailable { message: "gone".to_owned() };
        let expired = command.deadline <= self.world.now.monotonic;
        let (carried_out, result) = match outcome {
            Outcome::Never => return,
            _ if expired => (false, Err(CommandError::Expired)),
            Outcome::DoneButAbandoned => (true, Err(CommandError::Abandoned)),
            Outcome::Unavailable => (false, Err(unavailable)),
            Outcome::Done | Outcome::Failed if lost => (false, Err(unavailable)),
            Outcome::Done => (true, Ok(())),
            // It would leave the pod without its limit for good, and the goal unreached.
            Outcome::Failed if matches!(command.action, Action::Limit { .. }) => {
                (false, Err(unavailable))
            }
            Outcome::Failed => (false, Err(failed)),
        };
        if carried_out {
            if let Action::Start { workload, .. } = &command.action {
                self.ever_started.insert(workload.name.clone());
            }
            self.world.carry_out(executor, &command.action);
        }
        // An abandoned command is answered by the supervisor, without a look at the runtime.
        if !lost && !matches!(outcome, Outcome::DoneButAbandoned) {
            self.world.observe(executor);
        }
        if matches!(outcome, Outcome::Failed) && matches!(&result, Err(it) if !it.is_transient()) {
            self.note_failure(&command);
        }
        self.world.finish(executor, &command, result);
    }

    /// A pull or a start that the job still waits for has failed.
    fn note_failure(&mut self, command: &ExecutorCommand) {
        if !matches!(command.action, Action::Pull { .. } | Action::Start { .. }) {
            return;
        }
        let name = command.action.workload_name();
        let Some(Entry { job, .. }) = self.world.entry(name) else { return };
        let waited_for = job.run.in_flight.as_ref().is_some_and(|it| it.command == command.id);
        let Some(workload) = job.spec.desired.as_ref().filter(|it| waited_for && it.cron.is_none())
        else {
            return;
        };
        let again = self.world.now.monotonic + shortest_delay(workload.retry);
        self.failed.insert(name.clone(), (command.action.workload_id().clone(), again));
    }

    /// The pod that runs is about to end: if it is one that always runs, its delay begins.
    fn expect_a_wait(&mut self, name: &str) {
        let name = WorkloadName::from(name);
        let Some(Entry { job, decision }) = self.world.entry(&name) else { return };
        let (Some(workload), Some(wanted)) = (&job.spec.desired, job.spec.wanted()) else { return };
        let runs = job.run.in_flight.is_none()
            && !wanted.executor.is_cluster()
            && decision.target.state() == TargetState::Running
            && job.run.state.is_started()
            && job.current() == Some(&CurrentState::Running)
            && self.world.pods.get(&wanted).is_some_and(|pod| pod.state == CurrentState::Running);
        let repeats =
            job.spec.effective().is_some_and(|it| it.restart_policy == RestartPolicy::Always);
        if runs && repeats && workload.cron.is_none() && !self.lost[&wanted.executor] {
            let again = self.world.now.monotonic + shortest_delay(workload.retry);
            self.failed.insert(name, (wanted.id, again));
        }
    }

    /// Time passes from alarm to alarm; no command is answered meanwhile.
    fn pass(&mut self, span: Duration) {
        let end = self.world.now.after(span);
        while let Some(at) = self.world.jobs.next_alarm().filter(|at| *at <= end.monotonic) {
            let wait = at.saturating_since(self.world.now.monotonic);
            self.world.now = self.world.now.after(wait);
            self.plan();
        }
        self.world.now = end;
    }

    fn plan(&mut self) {
        let known = self.world.open.len();
        self.world.plan();
        for (executor, command) in self.world.open.iter().skip(known) {
            match &command.action {
                Action::Start { workload, .. } => {
                    self.check_start(workload);
                    self.check_delay(workload);
                }
                Action::Pull { workload } => self.check_delay(workload),
                Action::Stop { id, workload, .. } => self.check_stop(*executor, id, workload),
                Action::Suspend { .. } => assert!(executor.is_cluster(), "podman keeps nothing"),
                Action::Limit { .. } | Action::Thaw { .. } => {}
                Action::Freeze { .. } => panic!("nothing wants a pod frozen"),
                Action::Halt { .. } => panic!("nothing goes down here"),
            }
        }
        self.told.1.note(&self.world.jobs.outcomes());
        let (alarm, now) = (self.world.jobs.next_alarm(), self.world.now.monotonic);
        assert!(alarm.is_none_or(|at| at > now), "a job asks to be decided about without end");
        self.check_waits();
        self.check_one_command_each();
        self.check_one_pod_each();
    }

    fn check_start(&self, workload: &Workload) {
        let (id, name) = (&workload.id, &workload.name);
        let configured = self.configured.values().find(|configured| configured.name == *name);
        let Some(configured) = configured else { panic!("started {id}, which is not configured") };
        let is_rolled_back = self.world.jobs.jobs[name].job.spec.rollback.is_in_force();
        assert!(configured.id == *id || is_rolled_back, "started {id}, which is not configured");
        assert!(self.allows(configured), "started {id} while inactive");
        let others_ran = configured.after.iter().all(|other| {
            let is_configured = self.configured.values().any(|it| it.name == *other);
            !is_configured || self.ever_started.contains(other)
        });
        assert!(others_ran || self.ever_started.contains(name), "started {id} before others");
    }

    /// Returns whether the profiles, as they are defined and judged by now, let `workload` run.
    fn allows(&self, workload: &Workload) -> bool {
        workload.profiles.iter().all(|profile| profile.conditions.iter().any(|it| self.holds(it)))
    }

    fn holds(&self, condition: &ConditionRef) -> bool {
        self.verdicts[&(condition.name.as_str() == "x")].is_true()
    }

    /// A Deployment that is still configured is kept, and a pod that may run makes place for its
    /// successor only once the images of that are there.
    fn check_stop(&self, executor: ExecutorKind, id: &WorkloadId, workload: &WorkloadName) {
        let Some(Entry { job, .. }) = self.world.entry(workload) else { return };
        let key = PodKey { executor, id: id.clone() };
        let is_own = job.spec.wanted().is_some_and(|wanted| wanted == key);
        assert!(!(executor.is_cluster() && is_own), "stopped {id} instead of suspending it");
        let Some(desired) = job.spec.desired.as_ref().filter(|it| it.cron.is_none()) else {
            return;
        };
        let runs = job.observed.get(&key).is_some_and(|it| it.state == CurrentState::Running);
        if !is_own && runs && self.allows(desired) && !job.spec.rollback.is_in_force() {
            assert!(
                job.run.images.are_present(&PodKey::of(desired)),
                "stopped {id} before its successor came"
            );
        }
    }

    /// No failed specification is tried again before its delay is over.
    fn check_delay(&self, workload: &Workload) {
        if let Some((failed, again)) = self.failed.get(&workload.name)
            && *failed == workload.id
        {
            assert!(self.world.now.monotonic >= *again, "{failed} is tried too early");
        }
    }

    /// No job waits longer than any delay of its policy.
    fn check_waits(&self) {
        for Entry { job, .. } in self.world.jobs.jobs.values().map(Box::as_ref) {
            if let RunState::Waiting { until } = job.run.state {
                let wait = until.saturating_since(self.world.now.monotonic);
                assert!(wait <= 5 * MINUTE, "{} waits for {wait:?}", job.name);
            }
        }
    }

    /// Each workload has one command in flight at most. Pulls change no pod and may be given up, so
    /// there may be more, but never two of the same images. Those whose executor never answers stay
    /// open here for ever, so only young ones count.
    fn check_one_command_each(&self) {
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        let mut taking_places: BTreeMap<(ExecutorKind, &str), usize> = BTreeMap::new();
        for (executor, command) in &self.world.open {
            if command.deadline <= self.world.now.monotonic {
                continue;
            }
            let action = &command.action;
            let what = if let Action::Pull { workload } = action {
                format!("pull {executor} {}", workload.id)
            } else {
                action.workload_name().to_string()
            };
            *open.entry(what).or_default() += 1;
            if matches!(action, Action::Pull { .. } | Action::Start { .. }) {
                *taking_places.entry((*executor, action.as_str())).or_default() += 1;
            }
        }
        assert!(open.values().all(|count| *count <= 1), "commands in flight: {open:?}");
        let is_in_budget = taking_places.values().all(|count| *count <= BUDGET);
        assert!(is_in_budget, "places taken: {taking_places:?}");
    }

    fn check_one_pod_each(&self) {
        let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
        // What may come back on a cluster has no pod meanwhile.
        let has_pod = |(_, pod): &(&PodKey, &ObservedPod)| pod.state != CurrentState::Suspended;
        for (_, pod) in self.world.pods.iter().filter(has_pod) {
            *pods.entry(pod.workload.as_str()).or_default() += 1;
        }
        assert!(pods.values().all(|count| *count <= 1), "pods: {pods:?}");
    }

    /// All faults end; within 20 minutes what shall run runs, and nothing else.
    fn heal_and_check(&mut self) {
        self.lost.values_mut().for_each(|lost| *lost = false);
        self.tell_configuration();
        self.tell_verdicts();
        self.hear_all();
        self.world.run();
        self.world.log();
        self.world.pass(20 * MINUTE);
        let log = self.world.log();
        for workload in self.configured.values() {
            self.check_goal(workload, &log);
        }
        let stray = self.world.pods.values().find(|pod| {
            let configured = |(index, _): (&usize, _)| NAMES[*index] == pod.workload.as_str();
            !self.configured.iter().any(configured)
        });
        assert!(stray.is_none(), "{stray:?} is not configured");
    }
}

impl Model {
    /// After 20 minutes without a fault, `workload` is what it shall be.
    fn check_goal(&self, workload: &Workload, log: &[String]) {
        // One that failed its proof gives way to the one before it, for longer than this.
        let previous = self.world.jobs.jobs.get(&workload.name);
        let previous = previous.and_then(|it| it.job.spec.rollback.in_force());
        let profiles = workload.profiles.clone();
        let workload = &previous.map_or_else(
            || workload.clone(),
            |previous| Workload { profiles, ..Workload::clone(previous) },
        );
        let (id, name) = (&workload.id, &workload.name);
        let pods: Vec<_> =
            self.world.pods.iter().filter(|(_, pod)| pod.workload == *name).collect();
        let running = pods.iter().find(|(_, pod)| pod.state == CurrentState::Running);
        if !self.allows(workload) {
            assert!(running.is_none(), "{id} runs though inactive");
            return;
        }
        if !self.may_start(workload) {
            return;
        }
        assert!(pods.iter().all(|(_, pod)| pod.id == *id), "an older pod is left: {pods:?}");
        if let Some((key, _)) = running.filter(|(key, _)| !key.executor.is_cluster()) {
            let conditions = workload.profiles.iter().flat_map(|it| &it.conditions);
            let mut limiting = conditions.filter(|it| it.cpu.is_some()).peekable();
            // A limit that the configuration dropped just before a restart stays.
            let may_be_left = self.was_restarted && limiting.peek().is_none();
            let is_limited = limiting.any(|it| self.holds(it));
            let expected = Limits { cpu: is_limited.then_some(CPU), ..Limits::default() };
            let found = self.world.limits.get(*key);
            assert!(may_be_left || found == Some(&expected), "limits of {id}: {found:?}");
        }
        if workload.executor.is_cluster() {
            assert!(running.is_some(), "{id} does not run");
            assert!(pods.iter().all(|(_, pod)| !pod.is_changed), "{id} is not restored");
        } else if workload.cron.is_some() {
            let started = log.iter().any(|line| line.ends_with(&format!("start {name}")));
            // Containers that run hold the next run up, though others of the pod have ended.
            let lasts = pods.iter().any(|(_, pod)| {
                matches!(pod.state, CurrentState::Running | CurrentState::Degraded { .. })
            });
            assert!(started || lasts || self.was_set_back, "{id} missed its ticks");
        } else {
            self.check_end(workload, running.is_some());
        }
    }

    /// A pod that does not run has ended in a way that its restart policy accepts.
    fn check_end(&self, workload: &Workload, runs: bool) {
        let is_over = self.world.jobs.jobs[&workload.name].job.run.state == RunState::Finished;
        let failed = self.world.pods.values().any(|pod| {
            let CurrentState::Exited { ended } = &pod.state else { return false };
            pod.workload == workload.name && ended.iter().any(ContainerEnd::is_failure)
        });
        let is_degraded = self.world.pods.values().any(|pod| {
            pod.workload == workload.name && matches!(pod.state, CurrentState::Degraded { .. })
        });
        let reached = match workload.restart_policy {
            RestartPolicy::Always => runs,
            RestartPolicy::OnFailure => runs || is_degraded || is_over && !failed,
            RestartPolicy::Never => runs || is_degraded || is_over,
        };
        assert!(reached, "{} does not run", workload.id);
    }

    /// Returns whether those that `workload` waits for have run or can run.
    fn may_start(&self, workload: &Workload) -> bool {
        self.configured
            .values()
            .filter(|other| workload.after.contains(&other.name))
            .all(|other| self.allows(other) && other.cron.is_none() && self.may_start(other))
    }
}

/// Ten thousand stories, or as many as the environment asks for if these are more.
fn stories() -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(10_000), ..asked }
}

proptest! {
    #![proptest_config(stories())]

    #[test]
    fn whatever_happens_the_wanted_state_is_reached(
        happenings in prop::collection::vec(happening(), 1..60)
    ) {
        let mut model = Model::new();
        model.tell_configuration();
        for happening in &happenings {
            model.happen(happening);
        }
        model.heal_and_check();
    }

    #[test]
    fn restart_comes_after_the_retry_delay_and_not_before(early in 0..RETRY.as_millis() as u64) {
        let mut world = World::new();
        world.configure(&[workload("a").build()]);
        world.log();
        world.end("a", 1);
        world.pass(Duration::from_millis(early));
        prop_assert!(world.log().is_empty());
        world.pass(RETRY);
        prop_assert_eq!(world.running(), ["a"]);
    }
}
