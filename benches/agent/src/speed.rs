//! How fast the agent is: from a metric to podman, and how many metrics it takes.

use std::time::{Duration, Instant};

use crate::client::{Connection, load, request, sample};
use crate::manifests::{Scenario, name};
use crate::plan::Plan;
use crate::process::Process;
use crate::report::{Outcome, Row, median, quantile};
use crate::stand_in::{Call, StandIn};

/// Connections that always have a post on its way.
const CONNECTIONS: usize = 16;
/// Four times what keeps the listener busy.
const SATURATING: usize = 4 * CONNECTIONS;
/// More posts than are ever made.
const ENDLESS: u64 = u64::MAX;

/// Returns an agent with the scenario's workloads running on a stand-in.
pub(crate) fn running(plan: &Plan, scenario: Scenario) -> (StandIn, Process) {
    let podman = StandIn::start();
    scenario.write(podman.folder());
    let agent = Process::agent(&plan.agent, podman.folder(), &podman.socket());
    agent.wait_until_running(scenario.workloads);
    (podman, agent)
}

/// Stops and starts one workload after the other; returns the times from the first byte of the
/// post to that of the request to stop, in milliseconds and in order.
fn reactions(podman: &StandIn, agent: &Process, workloads: usize, rounds: usize) -> Vec<f64> {
    let mut connection = Connection::open(agent.address).expect("the listener is open");
    let mut times = Vec::new();
    for round in 0..rounds {
        let index = round % workloads;
        let (metric, workload) = (format!("m{index}"), name(index));
        podman.forget();
        let start = Instant::now();
        connection.post(&sample(&metric, 1000.0)).expect("the metric is taken");
        let stop = |call: &Call| matches!(call, Call::Stop(_)) && call.is_of(&workload);
        let stopped = podman.wait_for(stop).expect("the pod is stopped");
        times.push(stopped.duration_since(start).as_secs_f64() * 1000.0);
        let removed = |call: &Call| matches!(call, Call::Remove(_)) && call.is_of(&workload);
        podman.wait_for(removed).expect("the pod is removed");
        connection.post(&sample(&metric, 1.0)).expect("the metric is taken");
        let played = |call: &Call| matches!(call, Call::Play(_)) && call.is_of(&workload);
        podman.wait_for(played).expect("the pod is started");
        // What follows a start shall not be measured with the next round.
        std::thread::sleep(Duration::from_millis(20));
    }
    times.sort_by(f64::total_cmp);
    times
}

/// Measures the time from a metric to podman's stop request.
pub(crate) fn reaction(plan: &Plan) -> Vec<Row> {
    let (podman, agent) = running(
        plan,
        Scenario { workloads: 100, conditions: 100, metrics: 100, ..Scenario::default() },
    );
    let rounds = plan.of(400, 20);
    let times = reactions(&podman, &agent, 100, rounds);
    let [middle, high] = [0.5, 0.99].map(|share| quantile(&times, share).unwrap_or(f64::NAN));
    vec![Row {
        what: "metric to podman's stop request, 100 workloads, 100 conditions",
        target: "median under 2 ms, p99 under 10 ms",
        measured: format!("median {middle:.2} ms, p99 {high:.2} ms"),
        outcome: Outcome::of(middle < 2.0 && high < 10.0),
        notes: vec![format!(
            "{rounds} rounds; from the first byte of the post to the first byte of the request \
             on the socket of a stand-in for podman that answers at once."
        )],
    }]
}

/// Measures posts per second beside the server that only parses, then under saturation.
pub(crate) fn posts(plan: &Plan) -> Vec<Row> {
    let (podman, agent) = running(
        plan,
        Scenario { workloads: 100, conditions: 100, metrics: 100, ..Scenario::default() },
    );
    let baseline = Process::baseline(&plan.baseline);
    let post = request(&sample("free", 20.0));
    let time = plan.load_time();
    load(agent.address, CONNECTIONS, &post, time / 5, ENDLESS);
    load(baseline.address, CONNECTIONS, &post, time / 5, ENDLESS);
    let before = agent.samples_taken();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..plan.of(6, 2) {
        let load_of = |process: &Process| load(process.address, CONNECTIONS, &post, time, ENDLESS);
        let (of_agent, of_baseline) = (load_of(&agent), load_of(&baseline));
        answered += of_agent.taken;
        refused += of_agent.refused;
        ours.push(of_agent.rate());
        theirs.push(of_baseline.rate());
    }
    let counted = agent.samples_taken() - before;
    let shares = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let (ours, theirs, share) = (median(ours), median(theirs), median(shares));
    let dropped = answered.abs_diff(counted);
    let throughput = Row {
        what: "POST /metrics, 16 connections, keep-alive, one sample each",
        target: "at least 75 % of a server that only parses; none dropped",
        measured: format!(
            "{ours:.0}/s, {:.0} % of {theirs:.0}/s; {dropped} dropped of {answered}",
            share * 100.0
        ),
        outcome: Outcome::of(share >= 0.75 && dropped == 0),
        notes: vec![format!(
            "The two take turns; medians. Dropped: answered 2xx less what the evaluator counted; \
             {refused} were refused."
        )],
    };
    drop(baseline);
    vec![throughput, saturation(plan, &podman, &agent)]
}

/// Sets a flag when dropped.
struct Raised<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

fn saturation(plan: &Plan, podman: &StandIn, agent: &Process) -> Row {
    let rounds = plan.of(100, 10);
    let calm = median(reactions(podman, agent, 100, rounds));
    let before = agent.memory();
    let address = agent.address;
    let post = request(&sample("free", 20.0));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (busy, early, late) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                load(address, SATURATING, &post, Duration::from_millis(200), ENDLESS);
            }
        });
        // Also after a panic, or the load would go on for ever.
        let _end = Raised(&stop);
        std::thread::sleep(plan.load_time() / 5);
        let early = agent.memory();
        let busy = reactions(podman, agent, 100, rounds);
        std::thread::sleep(plan.load_time() * 5);
        (busy, early, agent.memory())
    });
    let [middle, high] = [0.5, 0.99].map(|share| quantile(&busy, share).unwrap_or(f64::NAN));
    let connected = early.private_dirty.saturating_sub(before.private_dirty);
    let grown = late.private_dirty.saturating_sub(early.private_dirty);
    Row {
        what: "the same under saturation",
        target: "reaction p99 under 10 ms, memory flat",
        measured: format!(
            "reaction median {calm:.2} ms calm, {middle:.2} ms saturated, p99 {high:.2} ms; private \
             dirty {} KiB, {} KiB when all were connected, {} KiB at the end",
            before.private_dirty, early.private_dirty, late.private_dirty
        ),
        outcome: Outcome::of(high < 10.0 && connected < 32 * SATURATING as u64 && grown < 256),
        notes: vec![
            "64 connections that always have a post on its way, four times the 16 that keep the \
             listener busy; the reaction includes the post's own wait behind the others. The \
             load comes from the same two cores. Flat: less than 32 KiB for each connection, half \
             of it the buffers of its socket, and from then on less than 256 KiB in all."
                .to_owned(),
        ],
    }
}

/// Measures the CPU time of one posted metric, with many and with few workloads.
pub(crate) fn cost(plan: &Plan) -> Vec<Row> {
    let scale = plan.of(10, 1);
    let many = Scenario {
        workloads: 100 * scale,
        conditions: 100 * scale,
        metrics: 10 * scale,
        ..Scenario::default()
    };
    let few = Scenario { workloads: 10, conditions: 10, metrics: 1, ..Scenario::default() };
    let [many, few] = [many, few].map(|scenario| {
        let (_podman, agent) = running(plan, scenario);
        let posts = plan.of(200_000, 5_000);
        let post = request(&sample("m0", 20.0));
        load(agent.address, CONNECTIONS, &post, Duration::MAX, posts / 10);
        let before = agent.usage().cpu;
        let load = load(agent.address, CONNECTIONS, &post, Duration::MAX, posts);
        let spent = agent.usage().cpu - before;
        spent.as_secs_f64() * 1e6 / load.taken as f64
    });
    let row = Row {
        what: "1,000 workloads, 1,000 conditions over 100 metrics: cost of one metric",
        target: "under 20 µs of CPU, whatever does not name it",
        measured: format!("{many:.1} µs; {few:.1} µs with 10 workloads"),
        outcome: match plan.is_full {
            true => Outcome::of(many < 20.0 && many < few * 1.2),
            false => Outcome::Open,
        },
        notes: vec![
            "CPU of the whole agent for each post, HTTP included; ten conditions name the metric \
             in either case, and no verdict changes."
                .to_owned(),
        ],
    };
    vec![row]
}
