//! Windows: against a list of all samples, and their bounds.

use std::time::Duration;

use grammar::{MAX_BUCKETS, SampleWindow, Unit, WindowFunction};
use proptest::prelude::*;

use crate::{Metrics, parse, secs};

const ALL: [WindowFunction; 8] = [
    WindowFunction::Average,
    WindowFunction::Minimum,
    WindowFunction::Maximum,
    WindowFunction::Last,
    WindowFunction::Rate,
    WindowFunction::Count,
    WindowFunction::Changes,
    WindowFunction::Percentile95,
];

/// Computes `function` from a list of samples.
fn plainly(samples: &[(Duration, f64)], function: WindowFunction) -> Option<f64> {
    let values = || samples.iter().map(|(_, value)| *value);
    if function == WindowFunction::Count {
        return Some(samples.len() as f64);
    }
    let ((first_at, first), (last_at, last)) = (samples.first()?, samples.last()?);
    match function {
        WindowFunction::Average => Some(values().sum::<f64>() / samples.len() as f64),
        WindowFunction::Minimum => values().reduce(f64::min),
        WindowFunction::Maximum => values().reduce(f64::max),
        WindowFunction::Last => Some(*last),
        WindowFunction::Rate => {
            let elapsed = (*last_at - *first_at).as_secs_f64();
            (elapsed > 0.0).then(|| (last - first) / elapsed)
        }
        WindowFunction::Count => unreachable!("answered above"),
        WindowFunction::Changes => {
            Some(samples.windows(2).filter(|pair| pair[0].1 != pair[1].1).count() as f64)
        }
        WindowFunction::Percentile95 => {
            let mut sorted: Vec<f64> = values().collect();
            sorted.sort_by(f64::total_cmp);
            Some(sorted[(sorted.len() * 95).div_ceil(100) - 1])
        }
    }
}

fn nearly(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs())),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

proptest! {
    /// Samples at least a bucket's width apart are each kept as they are.
    #[test]
    fn a_window_of_sparse_samples_is_exact(
        steps in prop::collection::vec(
            (11_u64..3_000, prop_oneof![-1e6..1e6_f64, Just(1.0)], any::<bool>()),
            1..300,
        )
    ) {
        let span = secs(10);
        let mut window = SampleWindow::new(span);
        let mut samples = Vec::new();
        let mut now = Duration::ZERO;
        for (wait, value, posts) in steps {
            now += Duration::from_millis(wait);
            if posts {
                window.push(now, value, None);
                samples.push((now, value));
            } else {
                window.advance(now);
            }
            samples.retain(|(at, _)| *at + span > now);
            prop_assert_eq!(window.count(), samples.len() as u64);
            for function in ALL {
                let expected = plainly(&samples, function);
                let result = window.result(function);
                prop_assert!(nearly(result, expected), "{function}: {result:?} {expected:?}");
            }
            let oldest_leaves = samples.first().map(|(at, _)| *at + span);
            prop_assert_eq!(window.next_change(WindowFunction::Average), oldest_leaves);
        }
    }

    /// However dense the samples are, memory is bounded, and the window is right but for the
    /// samples of one bucket's width.
    #[test]
    fn a_window_of_dense_samples_is_bounded(
        steps in prop::collection::vec((0_u64..20, -1e3..1e3_f64), 1..5_000)
    ) {
        let span = secs(1);
        let width = span / (MAX_BUCKETS as u32 - 2) + Duration::from_nanos(1);
        let mut window = SampleWindow::new(span);
        let mut samples: Vec<(Duration, f64)> = Vec::new();
        let mut now = Duration::ZERO;
        for (wait, value) in steps {
            now += Duration::from_micros(wait * 50);
            window.push(now, value, None);
            samples.push((now, value));
        }
        prop_assert!(window.buckets() <= MAX_BUCKETS);
        let within = |reach: Duration| samples.iter().filter(move |(at, _)| *at + reach > now);
        prop_assert!(window.count() >= within(span).count() as u64);
        prop_assert!(window.count() <= within(span + width).count() as u64);
        let least = within(span).map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let least_nearby = within(span + width).map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        let minimum = window.result(WindowFunction::Minimum).expect("samples");
        prop_assert!((least_nearby..=least).contains(&minimum));
        prop_assert_eq!(window.result(WindowFunction::Last), samples.last().map(|(_, value)| *value));
        let changes_of = |reach: Duration| {
            let near: Vec<f64> = within(reach).map(|(_, value)| *value).collect();
            near.windows(2).filter(|pair| pair[0] != pair[1]).count() as f64
        };
        let changes = window.result(WindowFunction::Changes).expect("samples");
        prop_assert!((changes_of(span)..=changes_of(span + width)).contains(&changes));
    }
}

/// Of all samples of ten seconds at 10 kHz, not of those that a bucket happens to end with.
#[test]
fn a_percentile_of_dense_samples_has_its_rank_whatever_their_rhythm() {
    type Signal = fn(u64) -> f64;
    let cases: [(&str, Signal, std::ops::RangeInclusive<f64>); 6] = [
        ("each value alike", |index| (index.wrapping_mul(7_919) % 1_000) as f64, 925.0..=975.0),
        ("a ramp within each bucket", |index| (index % 98) as f64, 90.0..=96.0),
        ("every second one is high", |index| (index % 2 * 100) as f64, 100.0..=100.0),
        ("one in ten is high", |index| f64::from(u8::from(index % 10 == 9)), 1.0..=1.0),
        ("one in fifty is high", |index| f64::from(u8::from(index % 50 == 0)), 0.0..=0.0),
        ("the last one of each bucket", |index| f64::from(u8::from(index % 98 == 97)), 0.0..=0.0),
    ];
    for (name, signal, expected) in cases {
        let mut window = SampleWindow::new(secs(10));
        for index in 0..120_000_u64 {
            window.push(Duration::from_micros(index * 100), signal(index), None);
        }
        let result = window.result(WindowFunction::Percentile95).expect("samples");
        assert!(expected.contains(&result), "{name}: {result}");
    }
}

#[test]
fn a_change_is_one_between_two_samples_of_the_span() {
    let mut window = SampleWindow::new(secs(10));
    let changes = |window: &SampleWindow| window.result(WindowFunction::Changes);
    for (second, value, expected) in [(0, 1.0, 0.0), (1, 1.0, 0.0), (2, 0.0, 1.0), (3, 1.0, 2.0)] {
        window.push(secs(second), value, None);
        assert_eq!(changes(&window), Some(expected));
    }
    // The sample of second 2 is the oldest now: what it differed from has left.
    for (second, expected) in [(11, 2.0), (12, 1.0)] {
        window.advance(secs(second) - Duration::from_nanos(1));
        assert_eq!(changes(&window), Some(expected), "before {second} s");
    }
    window.advance(secs(12));
    assert_eq!((changes(&window), window.count()), (Some(0.0), 1));
}

#[test]
fn a_count_has_no_unit_and_is_zero_without_samples() {
    let condition = parse("count(mem, 1m) < 2 && changes(mem, 1m) == nil && p95(mem, 1m) == nil");
    let mut metrics = Metrics::default().with_windows_of(&condition);
    assert!(condition.evaluate(&metrics).expect("fits").is_true());
    metrics.post("mem", 512.0, "MiB");
    let condition = parse("count(mem, 1m) == 1 && changes(mem, 1m) == 0 && p95(mem, 1m) == 0.5GiB");
    assert!(condition.evaluate(&metrics).expect("fits").is_true());
}

#[test]
fn a_window_at_10_khz_for_a_minute_is_bounded() {
    let mut window = SampleWindow::new(secs(10));
    for index in 0..600_000_u64 {
        window.push(Duration::from_micros(index * 100), (index % 100) as f64, None);
        assert!(window.buckets() <= MAX_BUCKETS);
    }
    assert!((99_900..=100_200).contains(&window.count()), "{}", window.count());
    let average = window.result(WindowFunction::Average).expect("samples");
    assert!((average - 49.5).abs() < 0.1, "{average}");
}

#[test]
fn a_window_emptied_of_huge_values_is_exact_again() {
    let mut window = SampleWindow::new(secs(10));
    window.push(secs(0), 1e300, None);
    window.push(secs(1), -1e280, None);
    for second in 5..15 {
        window.push(secs(second), 1.0, None);
    }
    assert_eq!(window.result(WindowFunction::Average), Some(1.0));
}

#[test]
fn a_window_without_samples_is_nil() {
    let mut window = SampleWindow::new(secs(10));
    let nil = |function| (function == WindowFunction::Count).then_some(0.0);
    for function in ALL {
        assert_eq!(window.result(function), nil(function));
        assert_eq!(window.next_change(function), None);
    }
    window.push(secs(0), 1.0, None);
    assert_eq!(window.result(WindowFunction::Rate), None);
    window.advance(secs(10));
    for function in ALL {
        assert_eq!(window.result(function), nil(function));
    }
}

#[test]
fn samples_of_one_dimension_share_a_window() {
    let (mib, gib) = (Unit::new("MiB"), Unit::new("GiB"));
    let mut window = SampleWindow::new(secs(10));
    window.push(secs(0), 512.0, mib.as_ref());
    window.push(secs(1), 1.0, gib.as_ref());
    assert_eq!(window.unit(), mib.as_ref());
    assert_eq!(window.result(WindowFunction::Maximum), Some(1024.0));
    assert_eq!(window.result(WindowFunction::Rate), Some(512.0));
}

#[test]
fn a_sample_of_another_kind_empties_the_window() {
    let celsius = Unit::new("C");
    let mut window = SampleWindow::new(secs(10));
    window.push(secs(0), 512.0, Unit::new("MiB").as_ref());
    window.push(secs(1), 70.0, celsius.as_ref());
    assert_eq!(window.count(), 1);
    assert_eq!(window.unit(), celsius.as_ref());
    assert_eq!(window.result(WindowFunction::Average), Some(70.0));
    window.push(secs(2), 3.0, None);
    assert_eq!(window.count(), 1);
    assert_eq!(window.unit(), None);
}

#[test]
fn a_condition_compares_windows_with_units() {
    let condition = parse("avg(mem, 1m) > 1GiB && rate(mem, 1m) < 1GiB");
    let mut metrics = Metrics::default().with_windows_of(&condition);
    metrics.post("mem", 1_000.0, "MiB");
    metrics.advance_to(secs(1));
    metrics.post("mem", 1_100.0, "MiB");
    assert!(condition.evaluate(&metrics).expect("fits").is_true());
    let misfit = parse("avg(mem, 1m) > 70C");
    assert!(misfit.evaluate(&metrics).is_err());
}
