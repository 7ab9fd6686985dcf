//! The scheduler actor: passes what happens to the job table, sends the commands that it decides on.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::{
    Actor, ActorFutureExt as _, AsyncContext, Context, Handler, MessageResult, Recipient,
    SpawnHandle, Supervised, WrapFuture as _,
};
use chrono::Local;
use tracing::{debug, info, warn};

use super::cron::clock_trust::{ClockTrust, ClockWitness, CronClock, judge};
use super::report::stats::Stats;
use super::table::{JobTable, SchedulerSettings};
use crate::clock::{Clock, Monotonic};
use crate::messages::{
    ClockTrusted, CommandFinished, Drain, EventRecorded, ExecutorCommand, GetJobs, HaltPods,
    JobsReported, ProfilesEvaluated, UsageObserved, UsageWanted, WorkloadsConfigured,
    WorkloadsObserved, tell,
};
use crate::workload::{Event, EventKind, ExecutorKind};

/// Reports are sent again at this interval even if nothing changed, for a receiver that was restarted.
const REPORT_PERIOD: Duration = Duration::from_secs(60);
/// Time between two looks at a clock that is not trusted yet.
const CLOCK_PERIOD: Duration = Duration::from_secs(30);
/// Changes within this span make one report.
const REPORT_DELAY: Duration = Duration::from_millis(100);

/// What the scheduler needs of the rest of the agent.
#[derive(Clone)]
pub struct SchedulerDeps {
    /// The executors that exist.
    pub executors: BTreeMap<ExecutorKind, Recipient<ExecutorCommand>>,
    /// The executors that can say what their pods use.
    pub usage: Vec<Recipient<UsageWanted>>,
    /// Receives the reports.
    pub reports: Recipient<JobsReported>,
    /// Receives events.
    pub events: Recipient<EventRecorded>,
    /// Hears when the wall clock may be followed.
    pub evaluator: Recipient<ClockTrusted>,
    /// The wall clock and the monotonic one.
    pub clock: Clock,
    /// Says how far the wall clock may be trusted.
    pub clock_witness: Rc<dyn ClockWitness>,
    /// Settings.
    pub settings: SchedulerSettings,
}

/// Decides which workloads run, and has the executors run them.
pub struct Scheduler {
    deps: SchedulerDeps,
    jobs: JobTable,
    /// Commands that jobs count as in flight and that no executor has yet. After a panic the restarted
    /// actor sends what is left here: else its jobs would wait for their deadlines.
    outbox: VecDeque<(ExecutorKind, ExecutorCommand)>,
    /// The one timer, and what it is set to.
    alarm: Option<(Monotonic, SpawnHandle)>,
    report_pending: bool,
    last_report: JobsReported,
    stats: Stats,
    clock: ClockTrust,
}

impl Scheduler {
    /// Returns a scheduler without jobs.
    #[must_use]
    pub fn new(deps: SchedulerDeps) -> Self {
        let mut jobs = JobTable::new(deps.settings.clone(), fastrand::u64(..));
        let clock = match deps.settings.cron_clock {
            CronClock::Any => ClockTrust::Trusted,
            CronClock::Synchronized | CronClock::Plausible { .. } => ClockTrust::Unknown,
        };
        jobs.trust_clock(clock.clone());
        Self {
            deps,
            jobs,
            outbox: VecDeque::new(),
            alarm: None,
            report_pending: false,
            last_report: JobsReported::default(),
            stats: Stats::default(),
            clock,
        }
    }

    /// Sends the commands that are due, and sets the timer for the next decision. `posted_at` is when
    /// the post was taken that led here, if one did.
    fn act(&mut self, posted_at: Option<Monotonic>, ctx: &mut Context<Self>) {
        let now = self.deps.clock.now();
        self.outbox.extend(self.jobs.plan(now, &Local));
        self.send_all(posted_at);
        if self.jobs.wants_usage(now) {
            self.deps.usage.iter().for_each(|executor| tell(executor, UsageWanted));
        }
        for event in self.jobs.take_events() {
            log(&event);
            tell(&self.deps.events, EventRecorded { event });
        }
        self.set_alarm(ctx);
        self.report_soon(ctx);
    }

    fn send_all(&mut self, posted_at: Option<Monotonic>) {
        while let Some((executor, command)) = self.outbox.front() {
            let job_id = command.action.workload_id();
            let workload = command.action.workload_name();
            let step = command.action.as_str();
            let recipient = self.deps.executors.get(executor);
            match recipient {
                Some(_) => debug!(%job_id, %workload, %executor, step, "command sent"),
                // The plan sends nothing to a runtime that never reported, so this is a wiring fault.
                None => warn!(%job_id, %workload, %executor, step, "command had no executor"),
            }
            let sent_at = self.deps.clock.now().monotonic;
            let reaction = posted_at.map(|posted_at| sent_at.saturating_since(posted_at));
            self.stats.sent(*executor, step, reaction);
            // Nothing between these two can panic: what leaves the outbox is in a mailbox.
            let sent = self.outbox.pop_front();
            if let (Some(recipient), Some((_, command))) = (recipient, sent) {
                tell(recipient, command);
            }
        }
    }

    /// Checks whether cron may follow the wall clock, until it may. A clock that was trusted once stays
    /// trusted: what sets it from then on knows better.
    fn look_at_clock(&mut self, ctx: &mut Context<Self>) {
        if self.clock == ClockTrust::Trusted {
            return;
        }
        let looking = self.deps.clock_witness.look().into_actor(self);
        ctx.spawn(looking.map(|evidence, scheduler, ctx| {
            let wall = scheduler.deps.clock.now().wall;
            let clock = judge(scheduler.deps.settings.cron_clock, evidence.as_ref(), wall);
            if clock != scheduler.clock {
                log_clock(&clock, &scheduler.clock);
                scheduler.clock = clock;
                scheduler.jobs.trust_clock(scheduler.clock.clone());
                scheduler.pass_on_trust();
                scheduler.act(None, ctx);
            }
            ctx.run_later(CLOCK_PERIOD, Self::look_at_clock);
        }));
    }

    fn pass_on_trust(&self) {
        if self.clock == ClockTrust::Trusted {
            tell(&self.deps.evaluator, ClockTrusted);
        }
    }

    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.jobs.next_alarm();
        if self.alarm.map(|(at, _)| at) == wanted {
            return;
        }
        if let Some((_, handle)) = self.alarm.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = wanted {
            let wait = at.saturating_since(self.deps.clock.now().monotonic);
            let handle = ctx.run_later(wait, |scheduler, ctx| {
                scheduler.alarm = None;
                scheduler.act(None, ctx);
            });
            self.alarm = Some((at, handle));
        }
    }

    fn report_soon(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.report_pending, true) {
            ctx.run_later(REPORT_DELAY, |scheduler, _| scheduler.report_if_changed());
        }
    }

    fn report_if_changed(&mut self) {
        self.report_pending = false;
        if !self.jobs.configured {
            return;
        }
        let now = self.deps.clock.now();
        let reports = self.jobs.reports(now);
        self.stats.note(reports.iter(), now.wall);
        let report = JobsReported {
            jobs: reports.into(),
            silent_runtimes: self.jobs.silent_runtimes(),
            outcomes: self.jobs.outcomes(),
        };
        if report != self.last_report {
            self.last_report = report;
            self.report();
        }
    }

    fn report(&self) {
        tell(&self.deps.reports, self.last_report.clone());
    }

    fn report_period(&mut self, ctx: &mut Context<Self>) {
        self.report();
        self.pass_on_trust();
        ctx.run_later(REPORT_PERIOD, Self::report_period);
    }
}

/// Logs an event where it arises, so that a device that is offline has it too.
fn log(event: &Event) {
    let workload = event.workload.as_ref().map(tracing::field::display);
    let (reason, message) = (event.reason.as_str(), &event.message);
    match event.kind {
        EventKind::Normal => info!(workload, reason, detail = message, "workload changed"),
        EventKind::Warn => warn!(workload, reason, detail = message, "workload needs attention"),
    }
}

fn log_clock(clock: &ClockTrust, former: &ClockTrust) {
    match (clock, former) {
        (ClockTrust::Doubted(why), _) => warn!(detail = &**why, "clock was not trusted"),
        (ClockTrust::Trusted, ClockTrust::Doubted(_)) => info!("clock was trusted"),
        (ClockTrust::Trusted | ClockTrust::Unknown, _) => {}
    }
}

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // What a panic kept from being sent, if this is not the first start.
        self.send_all(None);
        ctx.run_later(REPORT_PERIOD, Self::report_period);
        self.pass_on_trust();
        self.look_at_clock(ctx);
    }
}

impl Supervised for Scheduler {
    /// Decisions are forgotten: configuration, verdicts and observations come again within a period.
    /// Commands in flight are kept: their answers are still to come.
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.jobs.reset();
        self.alarm = None;
        self.report_pending = false;
    }
}

impl Handler<WorkloadsConfigured> for Scheduler {
    type Result = ();

    fn handle(&mut self, configured: WorkloadsConfigured, ctx: &mut Context<Self>) {
        self.jobs.configure(&configured, self.deps.clock.now());
        self.act(None, ctx);
    }
}

impl Handler<ProfilesEvaluated> for Scheduler {
    type Result = ();

    fn handle(&mut self, evaluated: ProfilesEvaluated, ctx: &mut Context<Self>) {
        self.jobs.evaluate(evaluated.verdicts, evaluated.profiles);
        self.jobs.measure(evaluated.shortfalls);
        self.act(evaluated.posted_at, ctx);
    }
}

impl Handler<WorkloadsObserved> for Scheduler {
    type Result = ();

    fn handle(&mut self, observed: WorkloadsObserved, ctx: &mut Context<Self>) {
        self.jobs.observe(observed);
        self.act(None, ctx);
    }
}

impl Handler<UsageObserved> for Scheduler {
    type Result = ();

    fn handle(&mut self, observed: UsageObserved, ctx: &mut Context<Self>) {
        self.jobs.take_usage(observed);
        self.act(None, ctx);
    }
}

impl Handler<CommandFinished> for Scheduler {
    type Result = ();

    fn handle(&mut self, finished: CommandFinished, ctx: &mut Context<Self>) {
        if let Err(error) = &finished.result {
            self.stats.failed(finished.executor, error);
        }
        self.jobs.finish(finished, self.deps.clock.now());
        self.act(None, ctx);
    }
}

impl Handler<Drain> for Scheduler {
    type Result = MessageResult<Drain>;

    fn handle(&mut self, _: Drain, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.jobs.drain())
    }
}

impl Handler<HaltPods> for Scheduler {
    type Result = MessageResult<HaltPods>;

    fn handle(&mut self, _: HaltPods, _: &mut Context<Self>) -> Self::Result {
        let (left, commands) = self.jobs.halt(self.deps.clock.now());
        self.outbox.extend(commands);
        self.send_all(None);
        MessageResult(left)
    }
}

impl Handler<GetJobs> for Scheduler {
    type Result = MessageResult<GetJobs>;

    fn handle(&mut self, _: GetJobs, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.jobs.details(&mut self.stats, self.deps.clock.now()))
    }
}
