//! Chaos on real podman: faults at random, and after each round the device must be as it is wanted.
//!
//! `make chaos` runs it for MINUTES (2) with a random SEED, which it prints. Faults are chosen by the
//! seed; when they strike is up to the machine. It writes a table of recovery times into the file
//! that REPORT names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test of real processes, in real time"
)]

#[path = "../real/agent.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent as a whole")]
mod agent;
#[path = "../real/device.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent as a whole")]
mod device;
mod faults;
#[path = "../real/pods.rs"]
#[allow(dead_code, reason = "shared with the tests of the agent as a whole")]
mod pods;
mod report;
mod world;

use std::time::{Duration, Instant};

use faults::Fault;
use report::Report;
use world::World;

/// How long it goes on, unless MINUTES says otherwise.
const MINUTES: f64 = 2.0;
/// Share of the rounds in which two faults strike together.
const DOUBLE: f64 = 0.25;

fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} cannot be read")))
}

#[test]
fn the_wanted_pods_run_after_every_round_of_faults() {
    let seed = setting("SEED").unwrap_or_else(|| fastrand::u64(..=u64::from(u32::MAX)));
    let minutes = setting("MINUTES").unwrap_or(MINUTES);
    println!("chaos: SEED={seed} MINUTES={minutes}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut world = World::new();
    let mut report = Report::new(seed, minutes);
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let mut round = 0;
    // Every kind comes once before any comes again.
    let mut pack: Vec<Fault> = Vec::new();
    while Instant::now() < end {
        round += 1;
        let mut draw = || {
            if pack.is_empty() {
                pack = Fault::ALL.to_vec();
                random.shuffle(&mut pack);
            }
            pack.pop().unwrap()
        };
        let mut struck = vec![draw()];
        if round > Fault::ALL.len() && fastrand::Rng::with_seed(seed ^ round as u64).f64() < DOUBLE
        {
            struck.push(draw());
        }
        world.begin_round();
        for fault in &struck {
            fault.strike(&mut world, &mut random);
        }
        for fault in &struck {
            fault.pass(&mut world);
        }
        let names: Vec<_> = struck.iter().map(|fault| fault.name()).collect();
        let story = format!("SEED={seed}, round {round}: {}", names.join(" and "));
        let took = world.recover(&story);
        println!("{story}: right again after {:.2} s", took.as_secs_f64());
        report.add(&names, took);
    }
    report.write(world.podman_version());
}
