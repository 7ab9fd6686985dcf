//! The jobs under everything that can happen to them, in random order, against what must hold.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::scheduler::job::Job;
use crate::scheduler::run::Run;
use crate::workload::{TargetState, WorkloadId};

const KINDS: [ExecutorKind; 3] = ExecutorKind::ALL;
const NAMES: [&str; 3] = ["a", "b", "c"];

/// One thing that happens.
#[derive(Clone, Debug)]
enum Happening {
    Configure(Vec<Spec>),
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
    /// Somebody scales a Deployment to nothing, or changes it.
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
    let names = (0..3_usize, 0..3_u8, kind());
    let manners = (any::<Option<bool>>(), 0..3_u8, 0..3_u8, prop::bool::weighted(0.2));
    (names, manners).prop_map(|((name, version, kind), (profile, policy, retry, cron))| Spec {
        name,
        version,
        kind,
        profile,
        policy,
        retry,
        cron,
    })
}

fn kind() -> impl Strategy<Value = ExecutorKind> {
    prop::sample::select(&KINDS[..])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Done),
        2 => Just(Outcome::Failed),
        1 => Just(Outcome::Unavailable),
        1 => Just(Outcome::DoneButAbandoned),
        1 => Just(Outcome::Never),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        2 => prop::collection::vec(spec(), 0..4).prop_map(Happening::Configure),
        2 => (any::<bool>(), 0..3_u8).prop_map(|(condition, truth)| Happening::Verdict { condition, truth }),
        10 => (0..4_usize, outcome()).prop_map(|(index, outcome)| Happening::Answer { index, outcome }),
        2 => (0..3_usize, 0..2_i32, any::<bool>())
            .prop_map(|(name, exit_code, degraded)| Happening::EndPod { name, exit_code, degraded }),
        1 => (0..3_usize).prop_map(|name| Happening::DeletePod { name }),
        1 => (0..3_usize, any::<bool>())
            .prop_map(|(name, scales)| Happening::Meddle { name, scales }),
        1 => kind().prop_map(Happening::LoseRuntime),
        1 => kind().prop_map(Happening::HearRuntime),
        1 => Just(Happening::RepeatEverything),
        4 => (1..400_u64).prop_map(Happening::Pass),
        1 => (-200_000..200_000_i64).prop_map(Happening::StepClock),
        1 => Just(Happening::ResetScheduler),
    ]
}

/// The world, and what the model remembers beside it.
struct Model {
    world: World,
    configured: BTreeMap<usize, Arc<Workload>>,
    verdicts: BTreeMap<bool, Verdict>,
    lost: BTreeMap<ExecutorKind, bool>,
    /// The last failure of each workload: of which pod, and before when it is not tried again.
    failed: BTreeMap<WorkloadName, (WorkloadId, Monotonic)>,
}

impl Model {
    fn new() -> Self {
        let lost = KINDS.map(|kind| (kind, false)).into();
        let verdicts = [(true, Verdict::Unknown), (false, Verdict::Unknown)].into();
        let (configured, failed) = (BTreeMap::new(), BTreeMap::new());
        Self { world: World::with_cluster(), configured, verdicts, lost, failed }
    }

    fn happen(&mut self, happening: &Happening) {
        match happening {
            Happening::Configure(specs) => {
                let old = std::mem::take(&mut self.configured);
                self.configured = specs.iter().map(|spec| (spec.name, spec.workload())).collect();
                for (index, name) in NAMES.iter().enumerate() {
                    if old.get(&index) != self.configured.get(&index) {
                        self.failed.remove(&WorkloadName::from(*name));
                    }
                }
                self.tell_configuration();
            }
            Happening::Verdict { condition, truth } => {
                let verdict = match truth {
                    0 => Verdict::True,
                    1 => Verdict::False,
                    _ => Verdict::Unknown,
                };
                self.verdicts.insert(*condition, verdict);
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
        }
        self.plan();
    }

    fn tell_configuration(&mut self) {
        let workloads = self.configured.values().cloned().collect();
        let configured = WorkloadsConfigured { workloads, ..WorkloadsConfigured::default() };
        self.world.jobs.configure(&configured, self.world.now);
    }

    fn tell_verdicts(&mut self) {
        let named = |(condition, verdict): (&bool, &Verdict)| {
            (condition_name(*condition).into(), verdict.clone())
        };
        let profile = Arc::new(self.verdicts.iter().map(named).collect());
        self.world.jobs.evaluate(Verdicts::from([("p".into(), profile)]), Arc::default());
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
            Action::Stop { .. } | Action::Suspend { .. } => {
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
            Outcome::Failed => (false, Err(failed)),
        };
        if carried_out {
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
        let Some(job) = self.world.jobs.jobs.get(name) else { return };
        let waited_for = job.in_flight.as_ref().is_some_and(|it| it.command == command.id);
        let Some(workload) = job.desired.as_ref().filter(|it| waited_for && it.cron.is_none())
        else {
            return;
        };
        let again = self.world.now.monotonic + shortest_delay(workload.retry);
        self.failed.insert(name.clone(), (command.action.workload_id().clone(), again));
    }

    /// The pod that runs is about to end: if it is one that always runs, its delay begins.
    fn expect_a_wait(&mut self, name: &str) {
        let name = WorkloadName::from(name);
        let Some(job) = self.world.jobs.jobs.get(&name) else { return };
        let (Some(workload), Some(wanted)) = (&job.desired, job.wanted()) else { return };
        let runs = job.in_flight.is_none()
            && !wanted.executor.is_cluster()
            && job.target == TargetState::Running
            && matches!(job.run, Run::Started { .. })
            && job.current() == Some(&CurrentState::Running)
            && self.world.pods.get(&wanted).is_some_and(|pod| pod.state == CurrentState::Running);
        let repeats = job.effective().is_some_and(|it| it.restart_policy == RestartPolicy::Always);
        if runs && repeats && workload.cron.is_none() && !self.lost[&wanted.executor] {
            let again = self.world.now.monotonic + shortest_delay(workload.retry);
            self.failed.insert(name, (wanted.id, again));
        }
    }

    /// Time passes from alarm to alarm; nobody answers commands meanwhile.
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
                Action::Limit { .. } => {}
            }
        }
        self.check_waits();
        self.check_one_command_each();
        self.check_one_pod_each();
    }

    fn check_start(&self, workload: &Workload) {
        let wanted = self.configured.values().any(|configured| configured.id == workload.id);
        assert!(wanted, "started {} that nobody wants", workload.id);
        for profile in &workload.profiles {
            for condition in &profile.conditions {
                let verdict = &self.verdicts[&(condition.name.as_str() == "x")];
                assert!(verdict.is_true(), "started {} while inactive", workload.id);
            }
        }
    }

    /// A Deployment that is still configured is kept.
    fn check_stop(&self, executor: ExecutorKind, id: &WorkloadId, workload: &WorkloadName) {
        let wanted = self.world.jobs.jobs.get(workload).and_then(Job::wanted);
        let is_own = wanted.is_some_and(|key| key.id == *id && key.executor == executor);
        assert!(!(executor.is_cluster() && is_own), "stopped {id} instead of suspending it");
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
        for job in self.world.jobs.jobs.values() {
            if let Run::Waiting { until } = job.run {
                let wait = until.saturating_since(self.world.now.monotonic);
                assert!(wait <= 5 * MINUTE, "{} waits for {wait:?}", job.name);
            }
        }
    }

    /// Pulls change no pod and may be given up; of the rest each workload has one at most. Those
    /// whose executor never answers stay open here for ever, so only young ones count.
    fn check_one_command_each(&self) {
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, command) in &self.world.open {
            let young = command.deadline > self.world.now.monotonic;
            if young && !matches!(command.action, Action::Pull { .. }) {
                *open.entry(command.action.workload_name().as_str()).or_default() += 1;
            }
        }
        assert!(open.values().all(|count| *count <= 1), "commands in flight: {open:?}");
    }

    fn check_one_pod_each(&self) {
        let mut pods: BTreeMap<&str, usize> = BTreeMap::new();
        for pod in self.world.pods.values() {
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
        self.world.pass(20 * MINUTE);
        for (index, workload) in &self.configured {
            let allowed = workload.profiles.iter().all(|profile| {
                let is_true = |name: &str| self.verdicts[&(name == "x")].is_true();
                profile.conditions.iter().any(|condition| is_true(condition.name.as_str()))
            });
            let pods: Vec<_> = self
                .world
                .pods
                .values()
                .filter(|pod| pod.workload.as_str() == NAMES[*index])
                .collect();
            assert!(pods.iter().all(|pod| pod.id == workload.id), "an older pod is left: {pods:?}");
            let runs = pods.iter().any(|pod| pod.state == CurrentState::Running);
            if !allowed {
                assert!(!runs, "{} runs though inactive", workload.id);
            } else if workload.executor.is_cluster() {
                assert!(runs, "{} does not run", workload.id);
                let changed = pods.iter().any(|pod| pod.is_changed);
                assert!(!changed, "{} is not put right", workload.id);
            } else if workload.restart_policy == RestartPolicy::Always && workload.cron.is_none() {
                assert!(runs, "{} does not run", workload.id);
            }
        }
        let stray = self.world.pods.values().find(|pod| {
            let configured = |(index, _): (&usize, _)| NAMES[*index] == pod.workload.as_str();
            !self.configured.iter().any(configured)
        });
        assert!(stray.is_none(), "nobody wants {stray:?}");
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
