//! What a data point becomes: a sample of its metric, whose attributes are its labels.

use crate::metrics_ingest::body::batch::{Batch, Ignored};
use crate::metrics_ingest::body::names::{Label, Series, may_be_unit};

/// Bit of a data point's flags: it has no value, the series has ended.
pub(super) const NO_RECORDED_VALUE: u64 = 1;

/// A data point of a gauge or a sum.
#[derive(Debug)]
pub(super) struct Point<'a> {
    pub(super) value: f64,
    pub(super) attributes: Vec<Label<'a>>,
}

/// Takes a data point of a metric with this name and unit.
pub(super) fn take(batch: &mut Batch, name: &str, unit: &str, point: Point<'_>) {
    batch.take(&Series::new(name, point.attributes), point.value, known_unit(unit));
}

/// Remarks that `count` data points of a metric were not taken: it is a distribution.
pub(super) fn ignore(batch: &mut Batch, name: &str, count: usize) {
    batch.ignore(&Series::new(name, Vec::new()), Ignored::Distribution, count);
}

/// Returns the unit of a sample. In UCUM `1` is a plain number, and what is in braces a comment.
fn known_unit(unit: &str) -> Option<String> {
    let is_plain = unit.is_empty() || unit == "1" || unit.starts_with('{');
    (may_be_unit(unit) && !is_plain).then(|| unit.to_owned())
}
