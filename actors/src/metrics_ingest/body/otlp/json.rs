//! OTLP in JSON. It is read metric by metric: what is kept is never much more than the body.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::points::{self, NO_RECORDED_VALUE, Point};
use crate::metrics_ingest::body::batch::Batch;
use crate::metrics_ingest::body::error::BodyError;
use crate::metrics_ingest::body::names::Label;
use crate::metrics_ingest::body::number::ProtobufNumber;

/// The fields that lead to the list of metrics.
const PATH: &[&str] = &["resourceMetrics", "scopeMetrics", "metrics"];

/// Reads all data points of an export request.
///
/// # Errors
/// Where it is no export request.
pub(in crate::metrics_ingest::body) fn parse(
    body: &[u8],
    batch: &mut Batch,
) -> Result<(), BodyError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = Level { path: PATH, batch }.deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| {
        BodyError::new(&format!(
            "{error}; write an ExportMetricsServiceRequest, {{\"resourceMetrics\":[…]}}"
        ))
    })
}

/// An object in which the first field of `path` is a list of such objects with the rest of it, or of
/// metrics.
struct Level<'b> {
    path: &'static [&'static str],
    batch: &'b mut Batch,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut has_key, mut is_request) = (false, false);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            has_key = true;
            match self.path {
                [first, rest @ ..] if *key == **first => {
                    is_request = true;
                    map.next_value_seed(List { path: rest, batch: &mut *self.batch })?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if has_key && !is_request && self.path.first() == Some(&"resourceMetrics") {
            let reason = "a request has resourceMetrics; samples are posted to /metrics";
            return Err(Error::custom(reason));
        }
        Ok(())
    }
}

/// A list of objects with the rest of the path; of metrics at its end.
struct List<'b> {
    path: &'static [&'static str],
    batch: &'b mut Batch,
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.path.is_empty() {
            while let Some(metric) = seq.next_element::<Metric<'_>>()? {
                metric.take(self.batch);
            }
            return Ok(());
        }
        loop {
            let level = Level { path: self.path, batch: &mut *self.batch };
            if seq.next_element_seed(level)?.is_none() {
                return Ok(());
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metric<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(borrow)]
    gauge: Option<Points<'a>>,
    #[serde(borrow)]
    sum: Option<Points<'a>>,
    histogram: Option<Distribution>,
    exponential_histogram: Option<Distribution>,
    summary: Option<Distribution>,
}

impl Metric<'_> {
    fn take(self, batch: &mut Batch) {
        for points in [self.gauge, self.sum].into_iter().flatten() {
            for point in points.data_points {
                points::take(batch, &self.name, &self.unit, point);
            }
        }
        let distributions = [self.histogram, self.exponential_histogram, self.summary];
        for distribution in distributions.into_iter().flatten() {
            points::ignore(batch, &self.name, distribution.data_points.0);
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Points<'a> {
    #[serde(borrow, deserialize_with = "kept::<_, DataPoint<'_>, _>")]
    data_points: Vec<Point<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Distribution {
    data_points: Count,
}

/// How many elements a list has.
#[derive(Default)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor;
        impl<'de> Visitor<'de> for CountVisitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(CountVisitor)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DataPoint<'a> {
    #[serde(borrow, deserialize_with = "kept::<_, KeyValue<'_>, _>")]
    attributes: Vec<Label<'a>>,
    as_double: Option<ProtobufNumber>,
    as_int: Option<ProtobufNumber>,
    flags: Option<ProtobufNumber>,
}

impl<'a> From<DataPoint<'a>> for Option<Point<'a>> {
    fn from(point: DataPoint<'a>) -> Self {
        let flags = point.flags.map_or(0.0, |ProtobufNumber(flags)| flags);
        // Only the first bit has a meaning so far.
        let is_recorded = flags as u64 & NO_RECORDED_VALUE == 0;
        let ProtobufNumber(value) = point.as_double.or(point.as_int).filter(|_| is_recorded)?;
        Some(Point { value, attributes: point.attributes })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: AnyValue<'a>,
}

/// Lists and maps have no place in a name.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Cow<'a, str>,
    bool_value: Option<bool>,
    int_value: Option<ProtobufNumber>,
    double_value: Option<ProtobufNumber>,
}

impl<'a> From<KeyValue<'a>> for Option<Label<'a>> {
    fn from(KeyValue { key, value }: KeyValue<'a>) -> Self {
        let number =
            value.int_value.or(value.double_value).map(|ProtobufNumber(it)| it.to_string());
        let other = value.bool_value.map(|it| it.to_string()).or(number);
        let value = other.map_or(value.string_value, Cow::Owned);
        (!value.is_empty()).then_some((key, value))
    }
}

/// Reads a list of `R`, and keeps what can be used of it: a list of nothings takes no memory.
fn kept<'de, D, R, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de> + Into<Option<T>>,
{
    struct Kept<R, T>(PhantomData<(R, T)>);
    impl<'de, R: Deserialize<'de> + Into<Option<T>>, T> Visitor<'de> for Kept<R, T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while let Some(element) = seq.next_element::<R>()? {
                kept.extend(element.into());
            }
            Ok(kept)
        }
    }
    deserializer.deserialize_seq(Kept::<R, T>(PhantomData))
}

#[cfg(test)]
mod tests;
