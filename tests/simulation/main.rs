//! The whole agent against a simulated world, in virtual time, driven by one seed.
//!
//! `SEED=7 cargo nextest run --test simulation --no-capture` replays one seed and tells
//! everything that happens; `SEEDS=20000` runs so many, from `FIRST` on. Faults happen for some hours; then they
//! stop, and within half an hour the device must be as it is wanted, and stay so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod agent;
mod board;
mod cluster;
mod control_plane;
mod disk;
mod faults;
mod happenings;
mod model;
mod podman;
mod poison;
mod slow;
mod story;
mod witness;
mod workloads;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use story::{Outcome, run};

/// Seeds of a run that does not say how many.
const SEEDS: u64 = 1000;
/// Failures after which a run ends.
const ENOUGH: usize = 5;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs all seeds on all cores.
fn run_all(seeds: std::ops::Range<u64>) -> Vec<(u64, Outcome)> {
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failed.lock().unwrap().len() >= ENOUGH {
                        return;
                    }
                    let outcome = run(seed, false);
                    if !outcome.violations.is_empty() {
                        println!("SEED={seed}: {:#?}", outcome.violations);
                        failed.lock().unwrap().push((seed, outcome));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn the_wanted_state_is_reached_again_whatever_happened() {
    let failed = match number("SEED") {
        Some(seed) => {
            let outcome = run(seed, true);
            println!("{outcome:#?}");
            if outcome.violations.is_empty() { Vec::new() } else { vec![(seed, outcome)] }
        }
        None => {
            let first = number("FIRST").unwrap_or(0);
            run_all(first..first + number("SEEDS").unwrap_or(SEEDS))
        }
    };
    let seeds: Vec<_> = failed.iter().map(|(seed, _)| *seed).collect();
    assert!(
        seeds.is_empty(),
        "seeds {seeds:?} failed; replay one with make simulate SEED={}",
        seeds[0],
    );
}

#[test]
fn one_seed_always_gives_the_same_story() {
    for seed in 0..number("PAIRS").unwrap_or(20) {
        let (first, second) = (run(seed, false), run(seed, false));
        assert_eq!(first.trace, second.trace, "SEED={seed}");
    }
}

#[test]
fn all_pods_run_on_a_podman_that_is_thirty_times_slower_in_a_time_that_grows_with_their_number() {
    let took = [1, 4, 10, 20, 40].map(|pods| (pods, slow::boot(pods, slow::FACTOR)));
    for (pods, outcome) in &took {
        println!("{pods} pods: {outcome:?}");
        assert!(outcome.violations.is_empty(), "{pods} pods: {:#?}", outcome.violations);
    }
}
