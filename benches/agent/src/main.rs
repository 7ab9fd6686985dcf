//! Measures the agent as a whole process: `bench AGENT BASELINE full|short`; and makes tables of
//! what criterion measured of the condition language: `bench conditions OURS COMPARED`.
//!
//! Both write `docs/performance.md`, but for `short`, which only shows that the measurements work.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a tool that measures real time and ends by a panic where it cannot"
)]

mod client;
mod conditions;
mod document;
mod fleet;
mod idle;
mod manifests;
mod plan;
mod process;
mod real;
mod report;
mod speed;
mod stand_in;

use std::path::PathBuf;

use plan::Plan;
use report::{notes, table};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [what, ours, compared] if what == "conditions" => {
            document::write("conditions", &conditions::tables(ours.as_ref(), compared.as_ref()));
        }
        [agent, baseline, mode] => measure(agent, baseline, mode, None),
        [agent, baseline, mode, only] => measure(agent, baseline, mode, Some(only)),
        _ => {
            eprintln!(
                "usage: bench AGENT BASELINE full|short [NAME], or bench conditions OURS COMPARED"
            );
            std::process::exit(2);
        }
    }
}

/// Measures everything, or what is called `only`, which is not written down.
fn measure(agent: &str, baseline: &str, mode: &str, only: Option<&str>) {
    let absolute =
        |path: &str| std::path::absolute(PathBuf::from(path)).expect("the current folder is known");
    let plan =
        Plan { agent: absolute(agent), baseline: absolute(baseline), is_full: mode == "full" };
    let mut rows = Vec::new();
    for (name, measure) in [
        ("reaction", speed::reaction as fn(&Plan) -> Vec<report::Row>),
        ("posts", speed::posts),
        ("cost of a metric", speed::cost),
        ("memory", idle::memory),
        ("binary", idle::binary),
        ("start", idle::start),
        ("metric to pod", real::switch),
        ("cold start", real::cold),
        ("fleet", fleet::outage),
        ("probes", idle::probes),
        ("idle", idle::idle),
    ] {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        eprintln!("measuring: {name}");
        rows.extend(measure(&plan));
    }
    println!("{}", table(&rows));
    if plan.is_full && only.is_none() {
        document::write("agent", &format!("{}\n{}", table(&rows), notes(&rows)));
    }
}
