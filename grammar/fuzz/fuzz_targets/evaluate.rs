//! Any condition over any metrics: parse, evaluate, watch and explain.
//!
//! The first line is the condition. Each other line waits, posts, and evaluates:
//! `milliseconds name value unit`.

#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use grammar::{
    Condition, LocalTime, Lookup, MAX_BUCKETS, Metric, Reading, SampleWindow, Truth, Unit, Watch,
    Weekday, Window,
};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Metrics {
    values: BTreeMap<String, (f64, Option<Unit>)>,
    windows: Vec<SampleWindow>,
    local_time: Option<LocalTime>,
}

impl Lookup for Metrics {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        let (value, unit) = self.values.get(metric.name())?;
        Some(Reading {
            value: *value,
            unit: unit.as_ref(),
        })
    }

    fn samples(&self, window: &Window) -> Option<&SampleWindow> {
        self.windows.get(window.slot() as usize)
    }

    fn local_time(&self) -> Option<LocalTime> {
        self.local_time
    }
}

fuzz_target!(|story: &str| {
    let mut lines = story.lines();
    let Some(Ok(condition)) = lines.next().map(Condition::parse) else {
        return;
    };
    let windows = condition.windows().iter();
    let mut metrics = Metrics {
        windows: windows
            .map(|window| SampleWindow::new(window.span()))
            .collect(),
        ..Metrics::default()
    };
    let mut watch = Watch::default();
    let mut now = Duration::ZERO;
    for line in lines {
        let mut words = line.split(' ');
        let wait = words.next().and_then(|word| word.parse::<u32>().ok());
        now += Duration::from_millis(wait.unwrap_or(0).into());
        if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse::<f64>)) {
            let unit = words.next().and_then(Unit::new);
            for (window, samples) in condition.windows().iter().zip(&mut metrics.windows) {
                if window.metric().name() == name {
                    samples.push(now, value, unit.as_ref());
                }
            }
            metrics.values.insert(name.to_owned(), (value, unit));
        }
        // A clock that was set after a minute, and on a Monday.
        let minutes = now.as_secs() / 60;
        metrics.local_time = (minutes > 0).then(|| LocalTime {
            weekday: Weekday::ALL[(minutes / (24 * 60) % 7) as usize],
            since_midnight: Duration::from_secs(minutes % (24 * 60) * 60),
            even_for: Duration::from_secs(60),
        });
        for samples in &mut metrics.windows {
            samples.advance(now);
            assert!(samples.buckets() <= MAX_BUCKETS);
        }
        let plain = condition
            .evaluate(&metrics)
            .map_err(|error| error.to_string());
        let watched = watch
            .evaluate(&condition, &metrics, now)
            .map_err(|error| error.to_string());
        if condition.has_end() {
            assert_eq!(plain.is_ok(), watched.is_ok());
        } else if plain != Ok(Truth::True) || condition.hold().is_none() {
            assert_eq!(plain, watched);
        }
        if let Some(next) = watch.next_change(&condition, &metrics, now) {
            assert!(next > now);
        }
        assert!(watch.explain(&condition, &metrics, now).chars().count() < 1_200);
    }
});
