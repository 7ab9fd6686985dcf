//! What the agent costs while nothing happens, and at its start.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actors::workload::DEFAULT_PROVING;

use crate::manifests::Scenario;
use crate::plan::Plan;
use crate::process::{Process, wait_for};
use crate::report::{Outcome, Row, median};
use crate::speed::running;

/// Largest stripped binary, in bytes.
const MAX_BINARY: u64 = 9_000_000;

/// Measures memory with few and many workloads.
pub(crate) fn memory(plan: &Plan) -> Vec<Row> {
    let of = |workloads: usize| {
        let scenario = Scenario {
            workloads,
            conditions: workloads,
            metrics: workloads.min(100),
            ..Scenario::default()
        };
        let (_podman, agent) = running(plan, scenario);
        // What it needed to start them is given back, or never will be.
        std::thread::sleep(plan.of(Duration::from_secs(40), Duration::from_secs(1)));
        agent.memory()
    };
    let (few, many) = (of(10), of(plan.of(1000, 100)));
    #[allow(clippy::cast_precision_loss, reason = "a few MiB")]
    let mib = |kib: u64| kib as f64 / 1024.0;
    vec![Row {
        what: "memory idle, no KUBECONFIG, 10 workloads / 1,000 workloads",
        target: "PSS under 5.6 MiB, private dirty under 2 MiB / under 16 MiB",
        measured: format!(
            "PSS {:.1} MiB, private dirty {:.1} MiB / {:.1} MiB",
            mib(few.pss),
            mib(few.private_dirty),
            mib(many.private_dirty)
        ),
        outcome: match plan.is_full {
            true => Outcome::of(
                mib(few.pss) < 5.6
                    && mib(few.private_dirty) < 2.0
                    && mib(many.private_dirty) < 16.0,
            ),
            false => Outcome::Open,
        },
        notes: vec![
            "After all pods were started by the same process, in the environment of its systemd \
             unit (MALLOC_ARENA_MAX and its like)."
                .to_owned(),
        ],
    }]
}

/// Looks at the binary's size.
pub(crate) fn binary(plan: &Plan) -> Vec<Row> {
    let size = std::fs::metadata(&plan.agent).map(|file| file.len()).unwrap_or_default();
    #[allow(clippy::cast_precision_loss, reason = "a few MB")]
    let megabytes = size as f64 / 1e6;
    vec![Row {
        what: "binary, stripped release, all features",
        target: "under 9 MB",
        measured: format!("{megabytes:.1} MB"),
        outcome: if plan.is_full { Outcome::of(size < MAX_BINARY) } else { Outcome::Open },
        notes: Vec::new(),
    }]
}

/// Measures the time from the start of the process to the first pod adopted.
pub(crate) fn start(plan: &Plan) -> Vec<Row> {
    let scenario =
        Scenario { workloads: 100, conditions: 100, metrics: 100, ..Scenario::default() };
    let (podman, agent) = running(plan, scenario);
    drop(agent);
    let times = (0..plan.of(10, 2)).map(|_| {
        let agent = Process::agent(&plan.agent, podman.folder(), &podman.socket());
        wait_for("the first pod is adopted", Duration::from_millis(1), || {
            (agent.running() > 0).then_some(())
        });
        agent.started.elapsed().as_secs_f64() * 1000.0
    });
    let time = median(times.collect());
    vec![Row {
        what: "start to first pod adopted, state on disk, 100 pods",
        target: "under 100 ms of our own",
        measured: format!("{time:.0} ms"),
        outcome: if plan.is_full { Outcome::of(time < 100.0) } else { Outcome::Open },
        notes: vec![
            "From before the process is made until its /metrics says that a pod runs, asked each \
             millisecond; the stand-in for podman takes no time of its own."
                .to_owned(),
        ],
    }]
}

/// Measures the CPU time that the probes of many pods take.
pub(crate) fn probes(plan: &Plan) -> Vec<Row> {
    let (port, asked) = well_server();
    let (workloads, conditions, metrics) = (100, 100, 100);
    let scenario = Scenario { workloads, conditions, metrics, probed_port: Some(port) };
    let (_podman, agent) = running(plan, scenario);
    std::thread::sleep(plan.of(Duration::from_secs(20), Duration::from_secs(1)));
    let time = plan.of(Duration::from_secs(120), Duration::from_secs(11));
    let (cpu, already) = (agent.usage().cpu, asked.load(Ordering::Relaxed));
    std::thread::sleep(time);
    let cpu = (agent.usage().cpu - cpu).as_secs_f64() / time.as_secs_f64() * 100.0;
    let answered = asked.load(Ordering::Relaxed) - already;
    vec![Row {
        what: "100 pods with a liveness probe by HTTP every 10 s",
        target: "under 1 % of one core",
        measured: format!("{cpu:.2} % CPU"),
        outcome: if plan.is_full { Outcome::of(cpu < 1.0) } else { Outcome::Open },
        notes: vec![format!(
            "Over {} s, in which {answered} probes were answered by a server on the loopback address.",
            time.as_secs()
        )],
    }]
}

/// Starts a server that finds everything well; returns its port, and how often it was asked.
fn well_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 1024];
            let is_asked = stream.read(&mut request).is_ok_and(|length| length > 0);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            if is_asked && stream.write_all(answer).is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (port, asked)
}

/// Measures CPU time, wake-ups and disk writes of an agent that has nothing to do.
pub(crate) fn idle(plan: &Plan) -> Vec<Row> {
    let (podman, agent) = running(
        plan,
        Scenario { workloads: 100, conditions: 100, metrics: 100, ..Scenario::default() },
    );
    // Once the specifications have proved themselves, which is written down once.
    let settled = DEFAULT_PROVING + Duration::from_secs(70);
    std::thread::sleep(plan.of(settled, Duration::from_secs(2)));
    podman.forget();
    let time = plan.of(Duration::from_secs(600), Duration::from_secs(5));
    let before = agent.usage();
    std::thread::sleep(time);
    let after = agent.usage();
    let seconds = time.as_secs_f64();
    let cpu = (after.cpu - before.cpu).as_secs_f64() / seconds * 100.0;
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let wakeups = after.wakeups.saturating_sub(before.wakeups) as f64 / seconds;
    let written = after.written - before.written;
    vec![Row {
        what: "idle with 100 running pods, over 10 minutes",
        target: "under 0.1 % of one core, at most one wake-up a second, no disk write",
        measured: format!("{cpu:.3} % CPU, {wakeups:.2} wake-ups/s, {written} bytes written"),
        outcome: match plan.is_full {
            true => Outcome::of(cpu < 0.1 && wakeups <= 1.0 && written == 0),
            false => Outcome::Open,
        },
        notes: vec![format!(
            "Over {seconds} s, {} threads together, {} requests to the stand-in for podman.",
            after.threads,
            podman.requests()
        )],
    }]
}
