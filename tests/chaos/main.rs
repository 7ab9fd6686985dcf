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

mod census;
mod faults;
mod report;
#[path = "../real/shared.rs"]
mod shared;
mod small_disk;
mod world;

use std::time::{Duration, Instant};

use faults::Fault;
use report::Report;
use shared::{agent, device, pods, secrecy};
use world::World;

/// How long it goes on, unless MINUTES says otherwise.
const MINUTES: f64 = 2.0;
/// Faults that strike together in one round, once each kind was seen alone.
const TOGETHER: std::ops::RangeInclusive<usize> = 1..=3;

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
    let mut pack = Pack::default();
    while Instant::now() < end {
        round += 1;
        let is_known = round > Fault::ALL.len();
        let together = if is_known { random.usize(TOGETHER) } else { 1 };
        let struck = pack.draw(together, &mut random);
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
    report.write(world.podman_version(), world.looks());
}

/// The faults that are still to come: every kind comes once before any comes again.
#[derive(Default)]
struct Pack(Vec<Fault>);

impl Pack {
    /// Returns faults of different kinds, at most `count`.
    fn draw(&mut self, count: usize, random: &mut fastrand::Rng) -> Vec<Fault> {
        if self.0.is_empty() {
            self.0 = Fault::ALL.to_vec();
            random.shuffle(&mut self.0);
        }
        self.0.split_off(self.0.len().saturating_sub(count))
    }
}
