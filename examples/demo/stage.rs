//! Waits for what shall happen, and meanwhile shows what does.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use actors::clock::{Clock, Moment};
use anyhow::{Context as _, bail};
use chrono::{DateTime, Local, Utc};
use device_worker_ng::signals::Signals;
use serde_json::Value;

use super::agent::Agent;
use super::timeline::{self, Line, Paint, Status};

/// How often the status page is asked.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// Time for the agent to open its listener.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Somebody wants the demo to end.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Ended;

/// Listens to Ctrl-C and its like from now on: none of them ends the process by itself any more.
pub(crate) fn listen() -> anyhow::Result<Receiver<Ended>> {
    let (sender, receiver) = mpsc::channel();
    let (ready, listening) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut signals = Signals::listen()?;
            let _ = ready.send(());
            // Whichever it is: SIGHUP comes when the terminal is closed.
            let _ = signals.next().await;
            let _ = sender.send(Ended);
            Ok::<(), io::Error>(())
        })
    });
    listening.recv().context("failed to listen to signals")?;
    Ok(receiver)
}

/// The agent, what it said so far, and who watches.
pub(crate) struct Stage {
    agent: Agent,
    clock: Clock,
    started: Moment,
    log: Receiver<Value>,
    ended: Receiver<Ended>,
    paint: Paint,
    /// The status of each workload at the last look.
    known: BTreeMap<String, Status>,
    /// How often each workload had which event.
    events: BTreeMap<(String, String), usize>,
    /// The lines of the log that have not been shown yet.
    pending: Vec<Value>,
}

impl Stage {
    /// Waits until the agent listens.
    pub(crate) fn new(mut agent: Agent, ended: Receiver<Ended>) -> anyhow::Result<Self> {
        let (sender, log) = mpsc::channel();
        agent.tell(sender);
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let clock = Clock::system();
        let mut stage = Self {
            agent,
            started: clock.now(),
            clock,
            log,
            ended,
            paint: Paint { colour },
            known: BTreeMap::new(),
            events: BTreeMap::new(),
            pending: Vec::new(),
        };
        stage.wait("the agent listens", START_TIMEOUT, |stage| stage.agent.address.is_some())?;
        Ok(stage)
    }

    /// Waits until the status page says that `workload` has `status`.
    pub(crate) fn wait_for(
        &mut self,
        workload: &str,
        status: &str,
        limit: Duration,
    ) -> anyhow::Result<()> {
        self.wait(&format!("{workload} is {status}"), limit, |stage| {
            stage.known.get(workload).is_some_and(|known| known.word == status)
        })
    }

    /// Waits until `workload` had `event` so many times.
    pub(crate) fn wait_for_log(
        &mut self,
        workload: &str,
        event: &str,
        times: usize,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let key = (workload.to_owned(), event.to_owned());
        self.wait(&format!("{workload} has {event} {times} times"), limit, |stage| {
            stage.events.get(&key).is_some_and(|seen| *seen >= times)
        })
    }

    /// Shows what happens for a while.
    pub(crate) fn watch(&mut self, span: Duration) -> anyhow::Result<()> {
        let until = self.clock.now().monotonic + span;
        while self.clock.now().monotonic < until {
            self.look()?;
        }
        Ok(())
    }

    /// Shows the next run of a cron workload if it comes within `limit`.
    pub(crate) fn watch_cron(&mut self, workload: &str, limit: Duration) -> anyhow::Result<()> {
        let until = self.clock.now().after(limit).wall;
        let tick = self.known.get(workload).and_then(|known| known.next_start);
        if tick.is_some_and(|tick| tick < until) {
            self.wait_for_log(workload, "WorkloadFinished", 1, limit + START_TIMEOUT)?;
        }
        Ok(())
    }

    /// Shows what the world does to the device.
    pub(crate) fn act(&mut self, what: &str) -> anyhow::Result<()> {
        let now = self.clock.now().wall;
        self.show(now, &Line::world(what))
    }

    /// Posts a metric, and shows the command with which anybody can do the same.
    pub(crate) fn post(&mut self, name: &str, value: f64) -> anyhow::Result<()> {
        let body = format!(r#"{{"name":"{name}","value":{value}}}"#);
        let address = self.agent.address.as_deref().unwrap_or_default();
        let command = format!(
            "curl -H 'Content-Type: application/json' -d '{body}' http://{address}/metrics"
        );
        self.act(&command)?;
        self.agent.post(&body)
    }

    /// Shows the status as anybody can ask for it.
    pub(crate) fn finale(&mut self) -> anyhow::Result<()> {
        self.act("device-worker-ng status")?;
        self.agent.show_status()
    }

    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let until = self.clock.now().monotonic + limit;
        while !done(self) {
            if self.clock.now().monotonic >= until {
                bail!("waited {limit:?} in vain: {what}");
            }
            self.look()?;
        }
        Ok(())
    }

    /// Shows what is new: first the log, whose lines are explained by the status before and after.
    fn look(&mut self) -> anyhow::Result<()> {
        match self.ended.recv_timeout(LOOK_PERIOD) {
            Ok(ended) => return Err(ended.into()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Ended.into()),
        }
        self.pending.extend(self.log.try_iter());
        for line in &self.pending {
            if line["message"] == "listener opened" {
                self.agent.address = line["address"].as_str().map(str::to_owned);
            }
        }
        if self.agent.address.is_none() {
            return Ok(());
        }
        let status = self.agent.status()?;
        for line in std::mem::take(&mut self.pending) {
            self.note(&line);
            let at = timeline::time(&line).unwrap_or_else(|| self.clock.now().wall);
            if let Some(line) = timeline::line(&line, &self.known, &status) {
                self.show(at, &line)?;
            }
        }
        let now = self.clock.now().wall;
        for workload in timeline::workloads(&status) {
            let before = self.known.get(&workload.name);
            let workload = workload.after(before);
            if let Some(line) = timeline::waiting(before, &workload) {
                self.show(now, &line)?;
            }
            self.known.insert(workload.name.clone(), workload);
        }
        Ok(())
    }

    fn note(&mut self, line: &Value) {
        if let (Some(workload), Some(event)) = (line["workload"].as_str(), line["reason"].as_str())
        {
            *self.events.entry((workload.to_owned(), event.to_owned())).or_default() += 1;
        }
    }

    fn show(&self, at: DateTime<Utc>, line: &Line) -> anyhow::Result<()> {
        let since = (at - self.started.wall).as_seconds_f64().max(0.0);
        writeln!(io::stdout(), "{}", self.paint.line(since, line)).context("failed to write")
    }
}

/// Returns the time of day where the device is.
pub(crate) fn time_of_day(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%H:%M:%S").to_string()
}
