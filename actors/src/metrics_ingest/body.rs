//! The body of a post, in any of the formats that collectors write.

use self::batch::Batch;
use self::content::Format;
use self::error::{BodyError, text};

pub(super) mod batch;
pub(super) mod content;
pub(super) mod error;
mod exposition;
mod fields;
mod json;
mod line_protocol;
mod names;
mod number;
pub(super) mod otlp;

/// Largest body, in bytes; of a compressed one, inflated.
pub(super) const MAX_BODY: usize = 1024 * 1024;

/// Reads all samples of a body.
///
/// # Errors
/// It cannot be read, holds nothing, or has too many samples; nothing of it is taken.
pub(super) fn parse(format: Format, body: &[u8]) -> Result<Batch, BodyError> {
    let mut batch = Batch::default();
    match format {
        Format::Json => json::parse(body, &mut batch)?,
        Format::JsonLines => json::parse_lines(body, &mut batch)?,
        Format::LineProtocol => line_protocol::parse(text(body)?, &mut batch)?,
        Format::Exposition => exposition::parse(text(body)?, &mut batch)?,
        Format::OtlpJson => otlp::parse_json(body, &mut batch)?,
        Format::OtlpProtobuf => otlp::parse_protobuf(body, &mut batch)?,
    }
    let may_be_empty = match format {
        // Exporters send requests in which everything was filtered away.
        Format::OtlpJson | Format::OtlpProtobuf => true,
        Format::Json | Format::JsonLines | Format::LineProtocol | Format::Exposition => false,
    };
    let batch = batch.finished()?;
    if batch.is_empty() && !may_be_empty {
        return Err(BodyError::new("the body has no sample: nothing was posted"));
    }
    Ok(batch)
}

#[cfg(test)]
mod tests;
