//! The one decision table: what a job does next, and when it is decided anew. Pure.
//!
//! | target   | what exists                          | step                                   |
//! |----------|--------------------------------------|----------------------------------------|
//! | any      | a command in flight                  | wait for it                            |
//! | Removed  | a pod                                | stop it                                |
//! | Removed  | a pull that runs on                  | wait for its end                       |
//! | Removed  | nothing                              | forget the job                         |
//! | Inactive | its pod, alive or forbidden to lie   | stop it                                |
//! | Inactive | the ended pod of the last cron run   | leave it, its logs may be wanted       |
//! | Inactive | its Deployment with a pod            | suspend it: the cluster keeps it       |
//! | Inactive | its Deployment without one           | leave it, it soon starts again         |
//! | Inactive | a pod of an older specification      | stop it                                |
//! | Inactive | one that works, its gate closed, its cron or its turn to come | leave it      |
//! | Running  | its runtime is not there             | wait for it                            |
//! | Running  | another pod, perhaps of a newer spec | wait for the configuration             |
//! | Awaiting | no verdicts on its profiles yet      | keep what runs, start nothing          |
//! | Yielding | its turn to be stopped is to come    | keep what runs, start nothing          |
//! | any but Removed | a pod that is not ended and is frozen | thaw it                        |
//! | Running  | its pod runs                         | stop older pods, apply limits, settled |
//! | Running  | its Deployment was changed by others | as limits: write it, once a minute     |
//! | Running  | a retry is not due yet, or finished  | wait                                   |
//! | Running  | its pod is degraded, the retry due   | stop it                                |
//! | Running  | its pod is failing by its probes     | stop it, the retry comes after that    |
//! | Running  | the images are not there yet         | pull                                   |
//! | Running  | the same, and they may not come yet  | wait for the gate; a restart does without |
//! | Running  | an older pod, and it may not go yet  | wait for the gate                      |
//! | Running  | a pull of them was given up, runs on | wait for it again                      |
//! | Running  | its first start waits for others     | wait for them                          |
//! | Running  | an older pod                         | stop it: both may want the same port   |
//! | Running  | the Deployment that may come back    | suspend it, until the new one is proved |
//! | Running  | an older pod, its runtime not there  | wait for the runtime                   |
//! | Running  | the other podman not listed at start | wait for it, a minute at most          |
//! | Running  | nothing in its way                   | start                                  |
//! | Running  | no place in the start budget         | wait for one before a pull or a start  |
//!
//! A job is decided about whenever something happens to it. Though nothing does, it is decided about
//! anew at the earliest of these:
//!
//! | when                                        | what is to be decided then                      |
//! |---------------------------------------------|-------------------------------------------------|
//! | the step says so: `WaitUntil`               | a retry, a write or a suspension is due         |
//! | a command in flight is given up             | whether it is sent again                        |
//! | a pull takes too long while no pod runs     | whether the previous specification comes back   |
//! | a rollback is over, no command in flight    | the new specification is tried again            |
//! | a new specification was ready for long enough | that it has proved itself                   |
//! | its pod was not ready for too long          | whether the previous specification comes back   |
//! | the next cron tick, or a minute later       | whether a run is due: the wall clock may jump   |
//! | the agent has run for two minutes           | missing verdicts are waited for no longer       |
//! | the deadline of a gate has come             | whether the new specification may come          |
//! | its turn to go or to come back has come     | whether its verdicts are still the same         |

mod older;

use std::time::Duration;

use self::older::{closed_gate, older_pods, older_that_works};
use super::decision::{Decision, Demand, GateWait, Inputs, Step, Target};
use super::eligibility::gates::Gate;
use super::eligibility::{ADOPTION_GRACE, Permission, limits_in_force};
use super::job::{Job, Rollback, RunState, given_up_at};
use super::observed::{PodKey, Runtimes};
use crate::clock::Monotonic;
use crate::messages::ActionKind;
use crate::workload::{CurrentState, ExecutorKind};

/// After start-up, how long to wait for the other podman's first listing: a workload that was moved
/// between the two may still run there.
const PODMAN_SYNC_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time between two looks at the wall clock of a workload with a cron: it may jump.
const CRON_CHECK_PERIOD: Duration = Duration::from_secs(60);

/// Decides about `job`, which [`Job::update`] has brought up to date.
pub(crate) fn plan(job: &Job, demand: &Demand, inputs: &Inputs<'_>) -> Decision {
    let now = inputs.now.monotonic;
    let target = decide_target(job, demand);
    let (limits, limits_are_known) =
        limits_in_force(job.spec.profiles(), inputs.verdicts, inputs.now);
    let limits = inputs.restraint.limits(limits);
    // Limits that are not known are not taken away, to be brought back soon: a container would get
    // more than it should, and a Deployment's pod would be restarted twice.
    let workload = job.spec.effective().filter(|_| limits_are_known);
    let next_write = workload.and_then(|workload| {
        job.run.drift.next_write(workload, limits, inputs.restraint.may_be_left)
    });
    let step = match next_step(job, &target, next_write, inputs) {
        Step::Act(ActionKind::Pull, pod) if job.run.images.given_up(&pod, now).is_some() => {
            Step::ResumePull(pod)
        }
        Step::Act(kind, pod) if !inputs.budget.has_place(&job.name, (pod.executor, kind)) => {
            Step::AwaitPlace(kind, pod)
        }
        step @ (Step::Act(..)
        | Step::AwaitPlace(..)
        | Step::AwaitGate(..)
        | Step::ResumePull(_)
        | Step::Forget
        | Step::WaitUntil(_)
        | Step::Settled) => step,
    };
    let turn = demand.permission.wait();
    let next_look = next_look(job, &target, &step, demand, inputs);
    Decision {
        target,
        limits,
        waits_for: inputs.waits_for.cloned(),
        next_tick: demand.next_tick,
        awaited_clock: demand.awaited_clock.clone(),
        was_ready: job.run.was_ready,
        is_alive: job.is_any_pod_alive(),
        awaits_turn_since: turn.map(|_| inputs.awaits_turn_since.unwrap_or(now)),
        turn_comes: turn.and_then(|wait| wait.until),
        // Known once the step is taken.
        is_going: false,
        step,
        next_look,
    }
}

fn decide_target(job: &Job, demand: &Demand) -> Target {
    if job.spec.desired.is_none() {
        return Target::Removed;
    }
    match &demand.permission {
        Permission::Denied { why } => Target::Inactive { why: why.clone() },
        Permission::Resting { wait } => Target::Inactive { why: wait.why.clone() },
        Permission::Granted | Permission::AwaitingVerdicts | Permission::Yielding { .. }
            if !job.is_requested() =>
        {
            let why =
                demand.awaited_clock.as_deref().unwrap_or_else(|| job.run.cron.why_it_waits());
            Target::Inactive { why: why.to_owned() }
        }
        Permission::Granted => Target::Running,
        Permission::AwaitingVerdicts => Target::AwaitingVerdicts,
        Permission::Yielding { why, .. } => Target::Yielding { why: why.clone() },
    }
}

fn next_step(
    job: &Job,
    target: &Target,
    next_write: Option<Monotonic>,
    inputs: &Inputs<'_>,
) -> Step {
    let now = inputs.now.monotonic;
    if let Some(flight) = &job.run.in_flight {
        return Step::WaitUntil(flight.until);
    }
    if job.run.backoff.until > now {
        return Step::WaitUntil(job.run.backoff.until);
    }
    match target {
        Target::Removed => remove(job, inputs.runtimes, now),
        Target::Inactive { .. } => deactivate(job, inputs),
        Target::AwaitingVerdicts | Target::Yielding { .. } => keep(job, next_write, inputs),
        Target::Running => run(job, next_write, inputs),
    }
}

fn remove(job: &Job, runtimes: &Runtimes, now: Monotonic) -> Step {
    if job.observed.keys().next().is_some() {
        return end_first(job, job.observed.keys(), runtimes, now);
    }
    // If it is configured anew, the same images must not be pulled a second time.
    Step::Forget.not_before(job.run.images.given_up_until().unwrap_or(now), now)
}

fn deactivate(job: &Job, inputs: &Inputs<'_>) -> Step {
    let wanted = job.spec.wanted();
    let keep_ended = job.run.cron.is_some();
    let is_kept = |key: &PodKey| Some(key) == wanted.as_ref() || job.may_come_back(key);
    // A run of an older specification whose successor waits for its next tick, or its turn.
    let protected = wanted.as_ref().and_then(|wanted| older_that_works(job, wanted));
    let is_closed = closed_gate(job, Gate::Replace, inputs).is_some();
    let is_gated = |key: &PodKey| is_closed && Some(key) == protected;
    let mut in_the_way = job.observed.iter().filter_map(|(key, pod)| {
        let rests = match pod.state {
            CurrentState::Exited { .. } => keep_ended,
            CurrentState::Suspended => true,
            CurrentState::Starting
            | CurrentState::Running
            | CurrentState::Frozen
            | CurrentState::Degraded { .. }
            | CurrentState::Incomplete { .. }
            | CurrentState::Crashing { .. }
            | CurrentState::Unknown => false,
        };
        // Another pod may be of a newer specification, which may want it.
        let may_rest = if is_kept(key) { rests } else { inputs.outdated || is_gated(key) };
        (!may_rest).then_some(key)
    });
    match in_the_way.find(|key| inputs.runtimes.is_available(key.executor)) {
        Some(key) => end(job, key, is_kept(key), inputs.now.monotonic),
        None => thaw(job, inputs).unwrap_or(Step::Settled),
    }
}

/// Thaws a pod that nothing wants frozen, be it by hand, by an agent that died, or as its objective holds again.
fn thaw(job: &Job, inputs: &Inputs<'_>) -> Option<Step> {
    let wanted = job.spec.wanted();
    // What does not thaw is in the way of no other.
    let can = |key: &PodKey| Some(key) == wanted.as_ref() || !job.run.backoff.has_failed_to_thaw();
    let is_reached = |key: &PodKey| inputs.runtimes.is_available(key.executor) && can(key);
    let frozen = job.observed.first_frozen(is_reached).filter(|_| !inputs.restraint.frozen)?;
    Some(Step::Act(ActionKind::Thaw, frozen.clone()))
}

/// Keeps what runs, and starts nothing.
fn keep(job: &Job, next_write: Option<Monotonic>, inputs: &Inputs<'_>) -> Step {
    if let Some(step) = thaw(job, inputs) {
        return step;
    }
    let runs = job.is_alive() && !matches!(job.run.state, RunState::Waiting { .. });
    match own_pod(job, inputs) {
        Some(pod) if runs => keep_up(job, pod, next_write, inputs),
        Some(_) | None => Step::Settled,
    }
}

fn run(job: &Job, next_write: Option<Monotonic>, inputs: &Inputs<'_>) -> Step {
    let now = inputs.now.monotonic;
    if let Some(step) = thaw(job, inputs) {
        return step;
    }
    let Some(wanted) = own_pod(job, inputs) else {
        return Step::Settled;
    };
    let older = || older_pods(job, &wanted);
    let end_older = || end_first(job, older(), inputs.runtimes, now);
    // Its run has ended by the word of its probes: the pod goes now, the next one comes when its time has come.
    if job.failing().is_some()
        && !matches!(job.run.state, RunState::Idle | RunState::Started { .. })
    {
        return Step::Act(ActionKind::Stop, wanted);
    }
    match job.run.state {
        RunState::Waiting { until } if until > now => return Step::WaitUntil(until),
        RunState::Waiting { .. } if job.is_alive() => return Step::Act(ActionKind::Stop, wanted),
        RunState::Finished => return end_older(),
        RunState::Idle | RunState::Started { .. } if job.is_alive() => {
            return if older().next().is_some() {
                end_older()
            } else {
                keep_up(job, wanted, next_write, inputs)
            };
        }
        RunState::Idle | RunState::Started { .. } | RunState::Waiting { .. } => {}
    }
    if !job.run.images.are_present(&wanted) {
        match closed_gate(job, Gate::Pull, inputs) {
            // A restart takes the images that are here, and does not wait.
            Some(_) if job.may_start_without_pull() => {}
            Some(closed) => {
                let runs = older_that_works(job, &wanted).cloned();
                return Step::AwaitGate(GateWait {
                    gate: Gate::Pull,
                    closed: closed.clone(),
                    runs,
                });
            }
            None => return Step::Act(ActionKind::Pull, wanted),
        }
    }
    if inputs.waits_for.is_some() && !job.run.ever_ran {
        return Step::Settled;
    }
    let is_syncing =
        now.since_start() < PODMAN_SYNC_TIMEOUT && inputs.runtimes.has_unknown_podman();
    if is_syncing && wanted.executor != ExecutorKind::K8s {
        return Step::WaitUntil(Monotonic::from_start(PODMAN_SYNC_TIMEOUT));
    }
    if older().next().is_none() {
        return Step::Act(ActionKind::Start, wanted);
    }
    if let Some(closed) = closed_gate(job, Gate::Replace, inputs)
        && let Some(runs) = older_that_works(job, &wanted)
    {
        let (closed, runs) = (closed.clone(), Some(runs.clone()));
        return Step::AwaitGate(GateWait { gate: Gate::Replace, closed, runs });
    }
    // An older pod whose runtime does not answer may still run: two of one workload never do.
    end_older()
}

/// Ends the first of `pods` whose runtime is there, and keeps the Deployment that may come back.
fn end_first<'a>(
    job: &Job,
    mut pods: impl Iterator<Item = &'a PodKey>,
    runtimes: &Runtimes,
    now: Monotonic,
) -> Step {
    let first = pods.find(|key| runtimes.is_available(key.executor));
    first.map_or(Step::Settled, |key| end(job, key, job.may_come_back(key), now))
}

/// Stops a pod; a Deployment that `is_kept` is suspended.
fn end(job: &Job, key: &PodKey, is_kept: bool, now: Monotonic) -> Step {
    if !(is_kept && key.executor.is_cluster()) {
        return Step::Act(ActionKind::Stop, key.clone());
    }
    let suspend = Step::Act(ActionKind::Suspend, key.clone());
    suspend.not_before(job.run.drift.next_suspension(), now)
}

/// Returns the pod that should run, unless its runtime does not answer, or another pod may be of a
/// newer specification than is known.
fn own_pod(job: &Job, inputs: &Inputs<'_>) -> Option<PodKey> {
    let wanted = job.spec.wanted()?;
    let may_be_older = inputs.outdated && job.observed.keys().any(|key| *key != wanted);
    (inputs.runtimes.is_available(wanted.executor) && !may_be_older).then_some(wanted)
}

/// Freezes a pod that runs, if it is to be frozen; else brings to it what differs, when that is due.
fn keep_up(job: &Job, pod: PodKey, next_write: Option<Monotonic>, inputs: &Inputs<'_>) -> Step {
    let now = inputs.now.monotonic;
    let state = job.observed.get(&pod).map(|it| &it.state).filter(|_| inputs.restraint.frozen);
    match state {
        // Limits come to it once it is thawed.
        Some(CurrentState::Frozen) => return Step::Settled,
        Some(CurrentState::Running | CurrentState::Degraded { .. }) => {
            return Step::Act(ActionKind::Freeze, pod);
        }
        Some(
            CurrentState::Starting
            | CurrentState::Exited { .. }
            | CurrentState::Incomplete { .. }
            | CurrentState::Suspended
            | CurrentState::Crashing { .. }
            | CurrentState::Unknown,
        )
        | None => {}
    }
    next_write.map_or(Step::Settled, |at| Step::Act(ActionKind::Limit, pod).not_before(at, now))
}

/// Returns when to decide anew though nothing happens, once `step` is taken.
fn next_look(
    job: &Job,
    target: &Target,
    step: &Step,
    demand: &Demand,
    inputs: &Inputs<'_>,
) -> Option<Monotonic> {
    let now = inputs.now;
    let clock_check = job.run.cron.has_ticks().then(|| {
        let next = demand.next_tick.and_then(|next| (next - now.wall).to_std().ok());
        now.monotonic + next.map_or(CRON_CHECK_PERIOD, |wait| wait.min(CRON_CHECK_PERIOD))
    });
    let in_grace = now.monotonic.since_start() < ADOPTION_GRACE;
    let grace_over = (in_grace && !job.spec.profiles().is_empty())
        .then(|| Monotonic::from_start(ADOPTION_GRACE));
    let rollback = &job.spec.rollback;
    let [first, second] = match in_flight(job, step, now.monotonic) {
        // A rollback does not end during a command, and begins only during a pull.
        Some((kind, sent_at, until)) => {
            let may_begin = kind == ActionKind::Pull
                && *target == Target::Running
                && rollback.may_begin(&job.observed, job.run.state);
            let patience_ends = may_begin.then(|| Rollback::patience_ends(sent_at));
            [Some(until), patience_ends.filter(|at| *at > now.monotonic)]
        }
        None => {
            let at_step = match step {
                Step::WaitUntil(at) => Some(*at),
                Step::AwaitGate(gate) => gate.closed.until,
                Step::Act(..)
                | Step::AwaitPlace(..)
                | Step::ResumePull(_)
                | Step::Forget
                | Step::Settled => None,
            };
            [at_step, rollback.over_at(job.run.state, job.run.cron.is_some())]
        }
    };
    // Once it is over, something else is waited for.
    let trial_over = job.trial_ends().filter(|at| *at > now.monotonic);
    let turn = demand.permission.wait();
    let turn = turn.map(|wait| wait.look_again(inputs.settling, now.monotonic));
    [first, second, clock_check, grace_over, trial_over, turn].into_iter().flatten().min()
}

/// Returns the command in flight once `step` is taken: its kind, and when it was sent and is given
/// up.
fn in_flight(job: &Job, step: &Step, now: Monotonic) -> Option<(ActionKind, Monotonic, Monotonic)> {
    let known = match step {
        Step::Act(kind, pod) => {
            return Some((*kind, now, given_up_at(now + job.spec.time_for(*kind, pod))));
        }
        Step::ResumePull(pod) => job.run.images.given_up(pod, now),
        Step::AwaitPlace(..)
        | Step::AwaitGate(..)
        | Step::Forget
        | Step::WaitUntil(_)
        | Step::Settled => job.run.in_flight.as_ref(),
    };
    known.map(|flight| (flight.kind, flight.sent_at, flight.until))
}
