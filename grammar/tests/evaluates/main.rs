//! What conditions come to, given metrics.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by a panic")]

mod calendars;
mod explains;
mod holds;
mod meaning;
mod random;
mod shortfall;
mod until;
mod windows;

use std::collections::BTreeMap;
use std::time::Duration;

use grammar::{Condition, History, LocalTime, Lookup, Metric, Reading, SampleWindow, Unit, Window};

/// The latest values and the samples of some metrics, by name.
#[derive(Clone, Debug, Default)]
struct Metrics {
    now: Duration,
    local_time: Option<LocalTime>,
    posted: BTreeMap<String, Posted>,
    windows: Vec<(String, SampleWindow)>,
}

#[derive(Clone, Debug)]
struct Posted {
    value: f64,
    unit: Option<Unit>,
    at: Duration,
    expires_at: Option<Duration>,
}

impl Metrics {
    /// Reads `x=1 mem=512MiB`; `-` is no metric at all.
    fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        for word in text.split_whitespace().filter(|word| *word != "-") {
            let (name, value) = word.split_once('=').expect("name=value");
            let unit_at = value
                .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-'))
                .unwrap_or(value.len());
            let (number, unit) = value.split_at(unit_at);
            metrics.post(name, number.parse().expect("a number"), unit);
        }
        metrics
    }

    fn post(&mut self, name: &str, value: f64, unit: &str) {
        let unit = Unit::new(unit);
        for (_, window) in self.windows.iter_mut().filter(|(metric, _)| metric == name) {
            window.push(self.now, value, unit.as_ref());
        }
        let posted = Posted { value, unit, at: self.now, expires_at: None };
        self.posted.insert(name.to_owned(), posted);
    }

    /// Keeps the samples that `condition` looks at from now on.
    fn with_windows_of(mut self, condition: &Condition) -> Self {
        for window in condition.windows() {
            let samples = SampleWindow::new(window.span());
            self.windows.push((window.metric().name().to_owned(), samples));
        }
        self
    }

    fn advance_to(&mut self, now: Duration) {
        self.now = now;
        for (_, window) in &mut self.windows {
            window.advance(now);
        }
    }
}

impl Lookup for Metrics {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        let posted = self.posted.get(metric.name())?;
        let counts = posted.expires_at.is_none_or(|at| at > self.now);
        counts.then_some(Reading { value: posted.value, unit: posted.unit.as_ref() })
    }

    fn samples(&self, window: &Window) -> Option<&SampleWindow> {
        self.windows
            .iter()
            .find(|(name, samples)| {
                name == window.metric().name() && samples.span() == window.span()
            })
            .map(|(_, samples)| samples)
    }

    fn expires_at(&self, metric: &Metric) -> Option<Duration> {
        self.posted.get(metric.name())?.expires_at
    }

    fn local_time(&self) -> Option<LocalTime> {
        self.local_time
    }

    fn history(&self, metric: &Metric) -> History {
        match (self.posted.get(metric.name()), self.reading(metric)) {
            (None, _) => History::NeverPosted,
            (Some(posted), Some(_)) => History::Posted(self.now - posted.at),
            (Some(posted), None) => History::Stale(self.now - posted.at),
        }
    }
}

fn parse(text: &str) -> Condition {
    match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => panic!("{text}\n{}", error.picture()),
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
