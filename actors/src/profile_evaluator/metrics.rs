//! The table of metrics: the last value of each, and the samples that windows look at.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use grammar::{Condition, History, LocalTime, Lookup, Metric, Reading, SampleWindow, Unit, Window};

use crate::clock::Monotonic;
use crate::messages::{MetricReport, MetricsRefused};
use crate::workload::{MetricName, Sample};

/// Names that may be posted. One that a condition names is always taken: no flood of other names
/// can blind the device.
pub(super) const MAX_NAMES: usize = 10_000;

/// The metrics, outside of any life of the actor: they outlive its restart. Clones share them.
#[derive(Clone, Default)]
pub struct SharedMetrics(pub(super) Rc<RefCell<MetricTable>>);

/// Spans of the windows that conditions look at, by the slot of their metric.
pub(super) type Spans = BTreeMap<u32, BTreeSet<Duration>>;

/// What is known of each metric. A metric keeps its slot until [`MetricTable::forget_unposted`].
#[derive(Default)]
pub(super) struct MetricTable {
    slots: HashMap<MetricName, u32>,
    entries: Vec<Entry>,
    /// Slots of forgotten metrics, for new ones.
    free: Vec<u32>,
    posted: usize,
    samples_taken: u64,
    local_time: Option<LocalTime>,
}

/// What is known of one metric, posted or only named by a condition.
struct Entry {
    name: MetricName,
    last: Option<Posted>,
    named_by_condition: bool,
    /// In order of their spans.
    windows: Vec<SampleWindow>,
}

struct Posted {
    value: f64,
    unit: Option<Unit>,
    at: Monotonic,
    expires_at: Option<Monotonic>,
}

impl Posted {
    fn is_stale(&self, now: Monotonic) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

impl MetricTable {
    /// Takes all samples of one body, or none. Returns the slots that were posted, each once.
    pub(super) fn post(
        &mut self,
        samples: Vec<Sample>,
        default_ttl: Option<Duration>,
        now: Monotonic,
    ) -> Result<Vec<u32>, MetricsRefused> {
        if let Err(refused) = self.check_names(&samples) {
            if !self.forget_stale(now) {
                return Err(refused);
            }
            self.check_names(&samples)?;
        }
        self.samples_taken += samples.len() as u64;
        let post = |sample| self.post_one(sample, default_ttl, now);
        let mut slots: Vec<u32> = samples.into_iter().map(post).collect();
        slots.sort_unstable();
        slots.dedup();
        Ok(slots)
    }

    fn check_names(&self, samples: &[Sample]) -> Result<(), MetricsRefused> {
        let mut new = HashSet::new();
        for Sample { name, .. } in samples {
            let entry = self.slots.get(name).and_then(|slot| self.entries.get(*slot as usize));
            let is_known =
                entry.is_some_and(|entry| entry.last.is_some() || entry.named_by_condition);
            if !is_known && new.insert(name) && self.posted + new.len() > MAX_NAMES {
                return Err(MetricsRefused::TooManyNames {
                    name: name.to_string(),
                    limit: MAX_NAMES,
                });
            }
        }
        Ok(())
    }

    /// Forgets the stale metrics that no condition names, and returns whether there were any. The
    /// slots of all others stay.
    fn forget_stale(&mut self, now: Monotonic) -> bool {
        let known = self.posted;
        for (slot, entry) in (0_u32..).zip(&mut self.entries) {
            if !entry.named_by_condition && entry.last.take_if(|last| last.is_stale(now)).is_some()
            {
                self.slots.remove(&entry.name);
                self.free.push(slot);
                self.posted -= 1;
            }
        }
        self.posted < known
    }

    fn post_one(&mut self, sample: Sample, default_ttl: Option<Duration>, now: Monotonic) -> u32 {
        let slot = self.slot(&sample.name);
        let Some(entry) = self.entries.get_mut(slot as usize) else {
            return slot;
        };
        let unit = match (&mut entry.last, sample.unit) {
            // The usual case, without a new unit for each sample.
            (Some(last), Some(unit)) if last.unit.as_ref().is_some_and(|u| u.as_str() == unit) => {
                last.unit.take()
            }
            (_, unit) => unit.and_then(|unit| Unit::new(&unit)),
        };
        for window in &mut entry.windows {
            window.push(now.since_start(), sample.value, unit.as_ref());
        }
        if entry.last.is_none() {
            self.posted += 1;
        }
        entry.last = Some(Posted {
            value: sample.value,
            unit,
            at: now,
            expires_at: sample.ttl.or(default_ttl).map(|ttl| now + ttl),
        });
        slot
    }

    /// Returns since when all metrics of `condition` that are known were posted; `None` when none is.
    pub(super) fn measured_at(&self, condition: &Condition, now: Monotonic) -> Option<Monotonic> {
        let windows = condition.windows().iter().map(Window::metric);
        let slots = condition.metrics().iter().chain(windows).map(Metric::slot);
        let known = slots.filter_map(|slot| self.entries.get(slot as usize)?.last.as_ref());
        known.filter(|last| !last.is_stale(now)).map(|last| last.at).min()
    }

    /// Returns the slot of the metric, a new one if need be.
    pub(super) fn slot(&mut self, name: &MetricName) -> u32 {
        if let Some(slot) = self.slots.get(name) {
            return *slot;
        }
        let entry = Entry {
            name: name.clone(),
            last: None,
            named_by_condition: false,
            windows: Vec::new(),
        };
        // Far fewer metrics than that fit into memory.
        let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let slot = self.free.pop().unwrap_or(end);
        match self.entries.get_mut(slot as usize) {
            Some(forgotten) => *forgotten = entry,
            None => self.entries.push(entry),
        }
        self.slots.insert(name.clone(), slot);
        slot
    }

    /// Forgets the metrics that only a condition named, before other conditions name theirs: no
    /// row of configurations can fill the memory. Slots change.
    pub(super) fn forget_unposted(&mut self) {
        self.entries.retain(|entry| entry.last.is_some());
        self.free.clear();
        let names = self.entries.iter().map(|entry| entry.name.clone());
        self.slots = names.zip(0_u32..).collect();
    }

    /// Keeps exactly the windows of `spans`, for exactly the metrics that conditions name. A new
    /// window begins with the last sample, if that is in its span.
    pub(super) fn watch_only(&mut self, spans: &Spans, now: Monotonic) {
        for (slot, entry) in (0_u32..).zip(&mut self.entries) {
            let wanted = spans.get(&slot);
            entry.named_by_condition = wanted.is_some();
            let mut kept = std::mem::take(&mut entry.windows);
            for span in wanted.into_iter().flatten() {
                let known = kept.iter().position(|window| window.span() == *span);
                entry.windows.push(match known {
                    Some(place) => kept.swap_remove(place),
                    None => new_window(*span, entry.last.as_ref(), now),
                });
            }
        }
    }

    /// Lets the samples leave that the windows of `condition` no longer look at.
    pub(super) fn advance(&mut self, condition: &Condition, now: Monotonic) {
        for window in condition.windows() {
            let entry = self.entries.get_mut(window.metric().slot() as usize);
            if let Some(samples) =
                entry.and_then(|entry| entry.windows.get_mut(window.slot() as usize))
            {
                samples.advance(now.since_start());
            }
        }
    }

    /// Sets what the local clock reads at the moment for which the table is asked next; `None` while it
    /// is not trusted.
    pub(super) const fn set_local_time(&mut self, local_time: Option<LocalTime>) {
        self.local_time = local_time;
    }

    /// Returns the table as it counts at `now`.
    pub(super) const fn at(&self, now: Monotonic) -> MetricsAt<'_> {
        MetricsAt { table: self, now }
    }

    /// Returns how many samples were taken.
    pub(super) const fn samples_taken(&self) -> u64 {
        self.samples_taken
    }

    /// Returns every posted metric, in order of name.
    pub(super) fn report(&self, now: Monotonic) -> Vec<MetricReport> {
        let mut reports: Vec<MetricReport> = self
            .entries
            .iter()
            .filter_map(|entry| Some((entry, entry.last.as_ref()?)))
            .map(|(entry, last)| MetricReport {
                name: entry.name.to_string(),
                value: last.value,
                unit: last.unit.as_ref().map(ToString::to_string),
                age: now.saturating_since(last.at),
                stale: last.is_stale(now),
            })
            .collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        reports
    }
}

fn new_window(span: Duration, last: Option<&Posted>, now: Monotonic) -> SampleWindow {
    let mut window = SampleWindow::new(span);
    if let Some(last) = last {
        window.push(last.at.since_start(), last.value, last.unit.as_ref());
        window.advance(now.since_start());
    }
    window
}

/// The table as it counts at one moment.
pub(super) struct MetricsAt<'a> {
    table: &'a MetricTable,
    now: Monotonic,
}

impl MetricsAt<'_> {
    fn posted(&self, metric: &Metric) -> Option<&Posted> {
        self.table.entries.get(metric.slot() as usize)?.last.as_ref()
    }
}

impl Lookup for MetricsAt<'_> {
    fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
        let posted = self.posted(metric)?;
        (!posted.is_stale(self.now))
            .then_some(Reading { value: posted.value, unit: posted.unit.as_ref() })
    }

    fn samples(&self, window: &Window) -> Option<&SampleWindow> {
        let entry = self.table.entries.get(window.metric().slot() as usize)?;
        entry.windows.get(window.slot() as usize)
    }

    fn expires_at(&self, metric: &Metric) -> Option<Duration> {
        let expires_at = self.posted(metric)?.expires_at?;
        Some(expires_at.since_start())
    }

    fn local_time(&self) -> Option<LocalTime> {
        self.table.local_time
    }

    fn history(&self, metric: &Metric) -> History {
        match self.posted(metric) {
            None => History::NeverPosted,
            Some(posted) if posted.is_stale(self.now) => {
                History::Stale(self.now.saturating_since(posted.at))
            }
            Some(posted) => History::Posted(self.now.saturating_since(posted.at)),
        }
    }
}
