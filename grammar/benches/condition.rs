//! What conditions cost: reading them, evaluating them, and one posted metric.

#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "criterion's macros write undocumented functions; a benchmark fails by a panic"
)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use grammar::{
    Condition, LocalTime, Lookup, Metric, Reading, SampleWindow, Watch, Weekday, Window,
    WindowFunction,
};

/// Values by slot, and one window.
struct Slots {
    values: Vec<Option<f64>>,
    window: SampleWindow,
}

impl Slots {
    fn new(values: &[Option<f64>]) -> Self {
        Self { values: values.to_vec(), window: SampleWindow::new(Duration::from_secs(60)) }
    }
}

impl Lookup for Slots {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        let value = (*self.values.get(metric.slot() as usize)?)?;
        Some(Reading { value, unit: None })
    }

    fn samples(&self, _: &Window) -> Option<&SampleWindow> {
        Some(&self.window)
    }

    fn local_time(&self) -> Option<LocalTime> {
        let since_midnight = Duration::from_secs(23 * 3_600);
        Some(LocalTime { weekday: Weekday::Friday, since_midnight, even_for: Duration::MAX })
    }
}

fn parse(text: &str) -> Condition {
    Condition::parse(text).expect("a condition")
}

fn fifty_terms() -> String {
    let terms: Vec<String> =
        (0..25).map(|index| format!("m{index} > {index} && m{index} < 100")).collect();
    terms.join(" || ")
}

fn texts() -> [(&'static str, String); 8] {
    [
        ("one", "cpu > 23%".to_owned()),
        ("two", "cpu < 5% || cpu > 40%".to_owned()),
        ("nil", "x<3% || x == nil".to_owned()),
        ("fifty", fifty_terms()),
        ("window", "avg(cpu, 1m) > 80% for 30s".to_owned()),
        ("until", "cpu < 60% until cpu > 85% for 10s".to_owned()),
        ("calculation", "used / total > 80%".to_owned()),
        ("calendar", "on mon-fri between 22:00 and 06:00".to_owned()),
    ]
}

fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for (name, text) in texts() {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| parse(black_box(&text))));
    }
    group.finish();
}

fn evaluating(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("evaluate");
    let mut slots = Slots::new(&[Some(20.0); 25]);
    for second in 0..100 {
        let now = Duration::from_secs(second);
        slots.window.push(now, second as f64, None);
    }
    for (name, text) in texts() {
        let condition = parse(&text);
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(&condition).evaluate(black_box(&slots)).is_ok());
        });
    }
    let condition = parse("cpu > 80% for 30s");
    let mut watch = Watch::default();
    group.bench_function("watch", |bencher| {
        bencher.iter(|| {
            let now = black_box(Duration::from_secs(100));
            watch.evaluate(&condition, black_box(&slots), now).is_ok()
        });
    });
    let condition = parse("cpu < 60% until cpu > 85% for 10s");
    let mut watch = Watch::default();
    group.bench_function("watch until", |bencher| {
        bencher.iter(|| {
            let now = black_box(Duration::from_secs(100));
            watch.evaluate(&condition, black_box(&slots), now).is_ok()
        });
    });
    group.finish();
}

fn windows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window");
    for (name, span) in [("1s", 1), ("1m", 60), ("1h", 3_600)] {
        let mut window = SampleWindow::new(Duration::from_secs(span));
        let mut index = 0_u64;
        group.bench_function(format!("{name} at 10 kHz: push and average"), |bencher| {
            bencher.iter(|| {
                index += 1;
                window.push(Duration::from_micros(index * 100), 1.5, None);
                window.result(WindowFunction::Average)
            });
        });
    }
    group.finish();
}

/// What a percentile costs when each of a window's buckets is in use.
fn percentile(criterion: &mut Criterion) {
    let mut window = SampleWindow::new(Duration::from_secs(1));
    for index in 0..20_000_u64 {
        let value = (index.wrapping_mul(7_919) % 1_000) as f64;
        window.push(Duration::from_micros(index * 100), value, None);
    }
    criterion.bench_function("window/p95 of a full window", |bencher| {
        bencher.iter(|| black_box(&window).result(WindowFunction::Percentile95));
    });
}

/// Conditions that name each metric.
const PER_METRIC: u32 = 10;

/// One posted metric among others: the same ten conditions name it, whatever the others do.
fn posting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("post");
    for metrics in [2_u32, 11, 101] {
        let unrelated = (metrics - 1) * PER_METRIC;
        let mut slots = Slots::new(&vec![Some(20.0); metrics as usize]);
        let mut conditions = Vec::new();
        for step in 0..PER_METRIC {
            for metric in 0..metrics {
                let mut condition = parse(&format!("m{metric} < 5% || m{metric} > {step}%"));
                condition.assign_slots(|_| metric, |_| 0);
                conditions.push(condition);
            }
        }
        let mut by_slot = vec![Vec::new(); metrics as usize];
        for (place, condition) in conditions.iter().enumerate() {
            for metric in condition.metrics() {
                by_slot[metric.slot() as usize].push(place);
            }
        }
        let mut value = 0.0;
        group.bench_function(format!("beside {unrelated} unrelated conditions"), |bencher| {
            bencher.iter(|| {
                value = if value < 50.0 { value + 1.0 } else { 0.0 };
                let slot = black_box(1);
                slots.values[slot] = Some(value);
                by_slot[slot]
                    .iter()
                    .filter(|place| {
                        let outcome = conditions[**place].evaluate(&slots);
                        outcome.is_ok_and(|truth| truth.is_true())
                    })
                    .count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parsing, evaluating, windows, percentile, posting);
criterion_main!(benches);
