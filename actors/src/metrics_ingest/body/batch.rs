//! What was read of a body: its samples, and what its sender should know of them.

use serde_json::{Map, Value, json};

use super::error::BodyError;
use super::names::{NameError, Series};
use crate::workload::Sample;

/// Most samples of one body: as many as the shortest JSON samples that fit into it.
pub(super) const MAX_SAMPLES: usize = 50_000;
/// Bytes of the names and units of one body's samples; one name in a row counts once.
const MAX_TEXT: usize = 4 * 1024 * 1024;
/// Names and ignored series that an answer lists; more are counted.
const MAX_LISTED: usize = 32;
/// Most series that are listed as not taken for one reason.
const MAX_LISTED_ALIKE: usize = 8;
/// Longest text of a series in an answer, in characters.
const MAX_SERIES: usize = 300;

/// Samples, and remarks on them.
#[derive(Debug, Default)]
pub(in crate::metrics_ingest) struct Batch {
    pub(in crate::metrics_ingest) samples: Vec<Sample>,
    pub(in crate::metrics_ingest) remarks: Remarks,
    /// Bytes of names and units.
    text: usize,
    is_full: bool,
}

/// What an answer says of the samples of a body.
#[derive(Debug, Default, PartialEq)]
pub(in crate::metrics_ingest) struct Remarks {
    /// What the sender calls a metric, and the name under which conditions know it.
    known_as: Vec<(String, String)>,
    more_known_as: usize,
    /// What was not taken, and why.
    ignored: Vec<(String, Ignored)>,
    more_ignored: usize,
}

/// Why something in a body that could be read was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::metrics_ingest) enum Ignored {
    /// A text where conditions need a number.
    Text,
    /// NaN or an infinity.
    NotFinite,
    /// No name that a condition could refer to.
    NoName,
    /// A name, with its labels, that is too long.
    LongName,
    /// A histogram or a summary, whose data points have no single value.
    Distribution,
}

impl Ignored {
    /// Returns the reason in words.
    pub(in crate::metrics_ingest) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a text is no value of a metric",
            Self::NotFinite => "NaN and infinities are no values of a metric",
            Self::NoName => "its name has no letter or digit that a condition knows",
            Self::LongName => "its name and labels have more than 256 bytes",
            Self::Distribution => "histograms and summaries have no single value",
        }
    }
}

impl Batch {
    /// Takes a value of a series, or remarks why not.
    pub(super) fn take(&mut self, series: &Series<'_>, value: f64, unit: Option<String>) {
        if !value.is_finite() {
            return self.ignore(series, Ignored::NotFinite, 1);
        }
        match series.known_as() {
            Ok(name) => {
                self.remarks.note_name(series, name.as_str());
                self.add(Sample { name, value, unit, ttl: None });
            }
            Err(NameError::NothingLeft) => self.ignore(series, Ignored::NoName, 1),
            Err(NameError::TooLong) => self.ignore(series, Ignored::LongName, 1),
        }
    }

    /// Adds a sample.
    pub(super) fn add(&mut self, mut sample: Sample) {
        match self.samples.last() {
            Some(last) if last.name == sample.name => sample.name = last.name.clone(),
            Some(_) | None => self.text += sample.name.as_str().len(),
        }
        self.text += sample.unit.as_ref().map_or(0, String::len);
        self.is_full |= self.samples.len() >= MAX_SAMPLES || self.text > MAX_TEXT;
        if !self.is_full {
            self.samples.push(sample);
        }
    }

    /// Remarks that `count` values of a series were not taken.
    pub(super) fn ignore(&mut self, series: &Series<'_>, why: Ignored, count: usize) {
        let remarks = &mut self.remarks;
        if count == 0 {
            return;
        }
        // One reason leaves the others their room.
        let alike = remarks.ignored.iter().filter(|(_, listed)| *listed == why).count();
        if alike < MAX_LISTED_ALIKE {
            remarks.ignored.push((shown(series), why));
            remarks.more_ignored += count - 1;
        } else {
            remarks.more_ignored += count;
        }
    }

    /// Returns whether there were more samples than one body may have: it will be refused.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns whether nothing was taken and nothing ignored.
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.remarks.ignored.is_empty()
    }

    /// Returns the batch.
    ///
    /// # Errors
    /// There were more samples than one body may have.
    pub(super) fn finished(self) -> Result<Self, BodyError> {
        match self.is_full {
            true => Err(BodyError::TooManySamples(MAX_SAMPLES)),
            false => Ok(self),
        }
    }
}

impl Remarks {
    /// Notes the name under which a series is known, if that is another.
    pub(super) fn note_name(&mut self, series: &Series<'_>, name: &str) {
        // Labels always change it: nothing has to be written to know that.
        if series.is_called(name) || self.known_as.iter().any(|(_, known)| known == name) {
            return;
        }
        if self.known_as.len() < MAX_LISTED {
            self.known_as.push((shown(series), name.to_owned()));
        } else {
            self.more_known_as += 1;
        }
    }

    /// Returns the reasons for which something was not taken, of those that are listed.
    pub(in crate::metrics_ingest) fn reasons(&self) -> impl Iterator<Item = (&str, Ignored)> {
        self.ignored.iter().map(|(series, why)| (series.as_str(), *why))
    }

    /// Returns how many values were not taken.
    pub(in crate::metrics_ingest) fn ignored(&self) -> usize {
        self.ignored.len() + self.more_ignored
    }

    /// Returns what was not taken in one line; empty if everything was.
    pub(in crate::metrics_ingest) fn ignored_in_words(&self) -> String {
        let mut all = self.reasons().map(|(series, why)| format!("{series}: {}", why.as_str()));
        let Some(first) = all.next() else { return String::new() };
        match self.ignored() {
            1 => first,
            count => format!("{first}; and {} more", count - 1),
        }
    }

    /// Returns the answer of a post; `None` if there is nothing to say.
    pub(in crate::metrics_ingest) fn answer(&self) -> Option<Value> {
        if self.known_as.is_empty() && self.ignored.is_empty() {
            return None;
        }
        let mut answer = Map::new();
        if !self.known_as.is_empty() {
            let names = self.known_as.iter().map(|(written, name)| (written.clone(), json!(name)));
            answer.insert("known_as".to_owned(), names.collect::<Map<_, _>>().into());
        }
        if self.more_known_as > 0 {
            answer.insert("more_known_as".to_owned(), self.more_known_as.into());
        }
        if !self.ignored.is_empty() {
            let ignored =
                self.reasons().map(|(series, why)| (series.to_owned(), json!(why.as_str())));
            answer.insert("ignored".to_owned(), ignored.collect::<Map<_, _>>().into());
        }
        if self.more_ignored > 0 {
            answer.insert("more_ignored".to_owned(), self.more_ignored.into());
        }
        Some(answer.into())
    }
}

fn shown(series: &Series<'_>) -> String {
    grammar::shortened(&series.to_string(), MAX_SERIES).into_owned()
}
