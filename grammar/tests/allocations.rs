//! Evaluation allocates nothing; this binary counts, through an allocator of its own.

#![allow(clippy::expect_used, reason = "a test fails by a panic")]

use std::time::Duration;

use grammar::{
    Condition, LocalTime, Lookup, Metric, Reading, SampleWindow, Unit, Watch, Weekday, Window,
};

/// Two metrics and a window, by slot.
struct Slots {
    values: Vec<Option<f64>>,
    unit: Option<Unit>,
    window: SampleWindow,
}

impl Lookup for Slots {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        Some(Reading {
            value: (*self.values.get(metric.slot() as usize)?)?,
            unit: self.unit.as_ref(),
        })
    }

    fn samples(&self, _: &Window) -> Option<&SampleWindow> {
        Some(&self.window)
    }

    fn local_time(&self) -> Option<LocalTime> {
        let since_midnight = Duration::from_secs(3_600);
        Some(LocalTime { weekday: Weekday::Friday, since_midnight, even_for: Duration::MAX })
    }
}

fn slots(unit: &str) -> Slots {
    Slots {
        values: vec![Some(20.0), None],
        unit: Unit::new(unit),
        window: SampleWindow::new(Duration::from_secs(60)),
    }
}

#[test]
fn evaluation_allocates_nothing() {
    let mut slots = slots("MiB");
    for second in 0..100 {
        slots.window.push(Duration::from_secs(second), 5.0, None);
    }
    for text in [
        "cpu < 5 || cpu > 40",
        "x<3 || gone == nil",
        "!(x > 1GiB) && (gone > 1 || x < 3TB)",
        "avg(x, 1m) > 3 && rate(x, 1m) < max(gone, 1m)",
        "x > 65C",
        "x / y > 80% || (x + 3MiB) * 2 < x - 20% * x && x / gone > x",
        "p95(x, 1m) > count(x, 1m) || changes(x, 1m) > 3",
        "x > 3 for 30s",
        "on mon-fri between 22:00 and 6:00 && !(on sat) || x > 3",
        "x < 60 for 1s until x > 85 for 10s",
    ] {
        let condition = Condition::parse(text).expect(text);
        let mut watch = Watch::default();
        let now = Duration::from_secs(100);
        let counted = allocation_counter::measure(|| {
            let _ = std::hint::black_box(condition.evaluate(&slots));
            std::hint::black_box(condition.shortfall(&slots));
            let _ = std::hint::black_box(watch.evaluate(&condition, &slots, now));
            std::hint::black_box(watch.next_change(&condition, &slots, now));
        });
        assert_eq!(counted.count_total, 0, "{text}");
    }
}

#[test]
fn the_counter_counts() {
    let condition = Condition::parse("x > 3").expect("a condition");
    let slots = slots("");
    let counted = allocation_counter::measure(|| {
        std::hint::black_box(condition.explain(&slots));
    });
    assert!(counted.count_total > 0);
}

#[test]
fn a_full_window_takes_samples_without_allocating() {
    let mut window = SampleWindow::new(Duration::from_secs(1));
    let mut push = |from: u64, count: u64| {
        for index in from..from + count {
            window.push(Duration::from_micros(index * 100), 1.0, None);
        }
    };
    push(0, 50_000);
    let counted = allocation_counter::measure(|| push(50_000, 50_000));
    assert_eq!(counted.count_total, 0);
}
