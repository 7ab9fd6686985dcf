//! The answers of OTLP/HTTP: an ExportMetricsServiceResponse, or a google.rpc.Status.

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::json;

use crate::metrics_ingest::body::batch::Remarks;
use crate::metrics_ingest::body::content::{Format, Target};

/// How a request was written, and its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metrics_ingest) enum Encoding {
    Json,
    Protobuf,
}

impl Encoding {
    /// Returns the encoding of a request's answer; `None` if it is no export.
    pub(in crate::metrics_ingest) fn of(target: Target, content_type: &str) -> Option<Self> {
        match target {
            Target::Metrics => None,
            Target::Otlp => match Format::of(target, content_type, &[]) {
                Ok(Format::OtlpProtobuf) => Some(Self::Protobuf),
                Ok(_) | Err(_) => Some(Self::Json),
            },
        }
    }

    /// Returns the content type.
    pub(in crate::metrics_ingest) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
        }
    }
}

/// Returns the answer to an export, with what was not taken of it as `partialSuccess`.
pub(in crate::metrics_ingest) fn response(encoding: Encoding, remarks: &Remarks) -> Vec<u8> {
    let (rejected, message) = (remarks.ignored(), remarks.ignored_in_words());
    match (encoding, rejected) {
        (Encoding::Json, 0) => b"{}".to_vec(),
        (Encoding::Protobuf, 0) => Vec::new(),
        (Encoding::Json, rejected) => {
            let partial = json!({
                "rejectedDataPoints": rejected.to_string(), "errorMessage": message
            });
            grammar::printable_json(&json!({ "partialSuccess": partial }).to_string())
                .into_owned()
                .into()
        }
        (Encoding::Protobuf, rejected) => {
            let partial = number_and_text(rejected as u64, &message);
            let mut answer = Vec::new();
            bytes(1, &partial, &mut answer);
            answer
        }
    }
}

/// Returns the answer to an export that is refused. Exporters show the message and ignore the code.
pub(in crate::metrics_ingest) fn status(encoding: Encoding, message: &str) -> Vec<u8> {
    /// google.rpc.Code.INVALID_ARGUMENT
    const INVALID_ARGUMENT: u64 = 3;
    match encoding {
        Encoding::Json => {
            let status = json!({ "code": INVALID_ARGUMENT, "message": message, "error": message });
            grammar::printable_json(&status.to_string()).into_owned().into()
        }
        Encoding::Protobuf => number_and_text(INVALID_ARGUMENT, message),
    }
}

/// Writes a message with a number as field 1 and a text as field 2.
fn number_and_text(number: u64, text: &str) -> Vec<u8> {
    let mut message = Vec::new();
    encode_key(1, WireType::Varint, &mut message);
    encode_varint(number, &mut message);
    bytes(2, text.as_bytes(), &mut message);
    message
}

fn bytes(field: u32, value: &[u8], message: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, message);
    encode_varint(value.len() as u64, message);
    message.extend_from_slice(value);
}

#[cfg(test)]
mod tests;
