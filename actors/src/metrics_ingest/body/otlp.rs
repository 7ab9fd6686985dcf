//! OTLP metrics: the data points of gauges and sums, in protobuf and in JSON, and the answers that the
//! protocol prescribes.

mod answer;
mod json;
mod points;
mod protobuf;

pub(super) use self::json::parse as parse_json;
pub(super) use self::protobuf::parse as parse_protobuf;

pub(in crate::metrics_ingest) use self::answer::{Encoding, response, status};
