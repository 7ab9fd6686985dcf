//! The samples of one span of one metric, in bounded memory.

use std::time::Duration;

use crate::ast::WindowFunction;
use crate::percentile::{Dice, percentile_95};
use crate::unit::Unit;

/// Most buckets that a window keeps.
pub const MAX_BUCKETS: usize = 1_024;

/// The samples of the last span of a metric.
///
/// Each sample is a bucket of its own, unless samples come denser than the span divided by
/// [`MAX_BUCKETS`]: those share one, which costs nothing but the exactness of the moment at which
/// a sample leaves (a thousandth of the span) and, for a percentile, of its rank. Adding a sample
/// and reading a result take the same time however many samples there are; only a percentile looks
/// at each bucket.
///
/// Times are monotonic, since some start. [`SampleWindow::advance`] lets samples leave.
#[derive(Clone, Debug)]
pub struct SampleWindow {
    span: Duration,
    bucket_width: u128,
    unit: Option<Unit>,
    /// The older buckets, the oldest last, each with the totals of itself and of those before it
    /// in this list: what remains when the oldest leaves is known without subtraction, which
    /// would let rounding errors grow.
    settled: Vec<Settled>,
    /// The younger buckets, the youngest last. It always holds the youngest of all.
    recent: Vec<Bucket>,
    recent_total: Total,
    /// Chooses which sample represents a bucket.
    dice: Dice,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    first: Point,
    last: Point,
    total: Total,
    /// Its first sample differs from the one before it, which is in an older bucket.
    begins_with_change: bool,
    /// One of its samples, any with the same chance: no rhythm of the samples can favour one kind.
    representative: f64,
}

#[derive(Clone, Copy, Debug)]
struct Settled {
    bucket: Bucket,
    total: Total,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: Duration,
    value: f64,
}

#[derive(Clone, Copy, Debug)]
struct Total {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    /// Samples that differ from the one before them.
    changes: u64,
}

impl Total {
    const NONE: Self =
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, changes: 0 };

    fn of(value: f64, is_change: bool) -> Self {
        Self { count: 1, sum: value, min: value, max: value, changes: u64::from(is_change) }
    }

    fn with(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            changes: self.changes.saturating_add(other.changes),
        }
    }
}

impl SampleWindow {
    /// Returns an empty window over `span`.
    #[must_use]
    pub fn new(span: Duration) -> Self {
        Self {
            span,
            // A span touches two widths more than fit into it: one at either end.
            bucket_width: span.as_nanos().div_ceil(MAX_BUCKETS as u128 - 2).max(1),
            unit: None,
            settled: Vec::new(),
            recent: Vec::new(),
            recent_total: Total::NONE,
            dice: Dice::default(),
        }
    }

    /// Returns how far the window looks back.
    #[must_use]
    pub const fn span(&self) -> Duration {
        self.span
    }

    /// Returns the unit of its results; `None` for bare numbers.
    #[must_use]
    pub const fn unit(&self) -> Option<&Unit> {
        self.unit.as_ref()
    }

    /// Returns how many samples are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total().count
    }

    /// Returns how many buckets it keeps: at most [`MAX_BUCKETS`].
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.settled.len() + self.recent.len()
    }

    /// Takes a sample of `now`. A unit that does not fit the samples before empties the window
    /// first: they and the new one are not the same thing.
    pub fn push(&mut self, now: Duration, value: f64, unit: Option<&Unit>) {
        self.advance(now);
        let value = match self.factor_from(unit) {
            Some(factor) => value * factor,
            None => {
                self.clear();
                self.unit = unit.cloned();
                value
            }
        };
        let point = Point { at: now, value };
        let before = self.recent.last().map(|youngest| youngest.last.value);
        #[allow(clippy::float_cmp, reason = "any difference is a change")]
        let is_change = before.is_some_and(|before| before != value);
        let total = Total::of(value, is_change);
        match self.recent.last_mut() {
            Some(youngest)
                if youngest.first.at.as_nanos() / self.bucket_width
                    == now.as_nanos() / self.bucket_width =>
            {
                youngest.last = point;
                youngest.total = youngest.total.with(total);
                if self.dice.hits_one_of(youngest.total.count) {
                    youngest.representative = value;
                }
            }
            Some(_) | None => self.recent.push(Bucket {
                first: point,
                last: point,
                total,
                begins_with_change: is_change,
                representative: value,
            }),
        }
        self.recent_total = self.recent_total.with(total);
    }

    /// Lets the samples leave that are older than the span at `now`.
    pub fn advance(&mut self, now: Duration) {
        while self.oldest().is_some_and(|oldest| oldest.last.at.saturating_add(self.span) <= now) {
            self.drop_oldest();
        }
    }

    /// Returns the result of `function` over the samples that [`SampleWindow::advance`] left in;
    /// `None` when there are none, but for [`WindowFunction::Count`], and for
    /// [`WindowFunction::Rate`] when they are of one moment.
    #[must_use]
    #[inline]
    pub fn result(&self, function: WindowFunction) -> Option<f64> {
        let Some(youngest) = self.recent.last() else {
            return (function == WindowFunction::Count).then_some(0.0);
        };
        match function {
            WindowFunction::Average => {
                let total = self.total();
                Some(total.sum / total.count as f64)
            }
            WindowFunction::Minimum => Some(self.total().min),
            WindowFunction::Maximum => Some(self.total().max),
            WindowFunction::Last => Some(youngest.last.value),
            WindowFunction::Rate => {
                let (first, last) = (self.oldest()?.first, youngest.last);
                let elapsed = last.at.saturating_sub(first.at);
                (!elapsed.is_zero()).then(|| (last.value - first.value) / elapsed.as_secs_f64())
            }
            WindowFunction::Count => Some(self.total().count as f64),
            WindowFunction::Changes => {
                // What the oldest sample differs from has left.
                let lost = u64::from(self.oldest()?.begins_with_change);
                Some(self.total().changes.saturating_sub(lost) as f64)
            }
            WindowFunction::Percentile95 => self.percentile_95(),
        }
    }

    /// Returns when the result of `function` can change with no new sample: when the next sample
    /// leaves on which it depends.
    #[must_use]
    pub fn next_change(&self, function: WindowFunction) -> Option<Duration> {
        let leaves_first = match function {
            WindowFunction::Last => self.recent.last(),
            WindowFunction::Average
            | WindowFunction::Minimum
            | WindowFunction::Maximum
            | WindowFunction::Rate
            | WindowFunction::Count
            | WindowFunction::Changes
            | WindowFunction::Percentile95 => self.oldest(),
        };
        leaves_first.map(|bucket| bucket.last.at.saturating_add(self.span))
    }

    #[inline(never)]
    fn percentile_95(&self) -> Option<f64> {
        let settled = self.settled.iter().map(|settled| &settled.bucket);
        let buckets = settled.chain(&self.recent);
        percentile_95(buckets.map(|bucket| (bucket.representative, bucket.total.count)))
    }

    /// Returns what a value in `unit` is multiplied with to fit the samples before; `None` if it
    /// does not fit.
    fn factor_from(&self, unit: Option<&Unit>) -> Option<f64> {
        match (unit, &self.unit) {
            (None, None) => Some(1.0),
            (Some(unit), Some(kept)) => unit.factor_to(kept),
            (Some(_), None) | (None, Some(_)) => None,
        }
    }

    fn clear(&mut self) {
        self.settled.clear();
        self.recent.clear();
        self.recent_total = Total::NONE;
    }

    fn total(&self) -> Total {
        match self.settled.last() {
            Some(oldest) => oldest.total.with(self.recent_total),
            None => self.recent_total,
        }
    }

    fn oldest(&self) -> Option<&Bucket> {
        self.settled.last().map(|settled| &settled.bucket).or_else(|| self.recent.first())
    }

    fn drop_oldest(&mut self) {
        if self.settled.is_empty() {
            self.settle();
        }
        if self.settled.pop().is_none() {
            self.clear();
        }
    }

    /// Moves all buckets but the youngest, which may still grow.
    fn settle(&mut self) {
        let Some(youngest) = self.recent.pop() else {
            return;
        };
        let mut total = Total::NONE;
        for bucket in self.recent.drain(..).rev() {
            total = total.with(bucket.total);
            self.settled.push(Settled { bucket, total });
        }
        self.recent.push(youngest);
        self.recent_total = youngest.total;
    }
}
