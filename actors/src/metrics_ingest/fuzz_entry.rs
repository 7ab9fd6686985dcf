//! The entry points for the fuzz targets of posted metrics.

use super::body::{self, content::Format};
use crate::workload::Sample;

/// What is read of a body; what is wrong with it, and where.
type Read = Result<Vec<Sample>, String>;

/// Parses a body as a post of JSON does.
///
/// # Errors
/// What is wrong with the body, and where; so do all others.
pub fn samples(body: &[u8]) -> Read {
    read(Format::Json, body)
}

/// Parses a body as a post of JSON lines does.
pub fn json_lines(body: &[u8]) -> Read {
    read(Format::JsonLines, body)
}

/// Parses a body as a post of InfluxDB line protocol does.
pub fn line_protocol(body: &[u8]) -> Read {
    read(Format::LineProtocol, body)
}

/// Parses a body as a post of Prometheus' exposition format does.
pub fn exposition(body: &[u8]) -> Read {
    read(Format::Exposition, body)
}

/// Parses a body as a post of OTLP in JSON does.
pub fn otlp_json(body: &[u8]) -> Read {
    read(Format::OtlpJson, body)
}

/// Parses a body as a post of OTLP in protobuf does.
pub fn otlp_protobuf(body: &[u8]) -> Read {
    read(Format::OtlpProtobuf, body)
}

fn read(format: Format, body: &[u8]) -> Read {
    let batch = body::parse(format, body).map_err(|error| error.to_string())?;
    Ok(batch.samples)
}
