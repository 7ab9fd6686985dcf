//! Which format a body is in: by its path, its content type, and where that leaves it open, its start.

use super::error::BodyError;

/// The format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metrics_ingest) enum Format {
    /// A sample or an array of samples in JSON.
    Json,
    /// One of these on each line.
    JsonLines,
    /// InfluxDB line protocol.
    LineProtocol,
    /// Prometheus' text exposition format, or OpenMetrics.
    Exposition,
    /// OTLP metrics in JSON.
    OtlpJson,
    /// OTLP metrics in protobuf.
    OtlpProtobuf,
}

/// To what a body is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::metrics_ingest) enum Target {
    /// `/metrics`.
    Metrics,
    /// `/v1/metrics`, the path of OTLP/HTTP.
    Otlp,
}

const LINES: [&str; 5] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/jsonlines",
];

impl Format {
    /// Returns the format of a body with this content type, if it had one.
    ///
    /// # Errors
    /// The target takes no content of that type.
    pub(in crate::metrics_ingest) fn of(
        target: Target,
        content_type: &str,
        body: &[u8],
    ) -> Result<Self, BodyError> {
        let (media, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let media = media.trim();
        // What nearly every program sends: there may be a hundred thousand posts a second.
        if target == Target::Metrics && media == "application/json" {
            return Ok(Self::Json);
        }
        let media = media.to_ascii_lowercase();
        let is_protobuf = matches!(&*media, "application/x-protobuf" | "application/protobuf");
        match target {
            Target::Otlp if is_protobuf => return Ok(Self::OtlpProtobuf),
            Target::Otlp if media == "application/json" => return Ok(Self::OtlpJson),
            Target::Otlp => {
                return Err(BodyError::ContentType(
                    "this path takes OTLP as application/x-protobuf or application/json; anything \
                     else goes to /metrics",
                ));
            }
            Target::Metrics if is_protobuf => {
                return Err(BodyError::ContentType(
                    "this path takes no protobuf: OTLP goes to /v1/metrics, and Prometheus' remote \
                     write is not supported",
                ));
            }
            Target::Metrics => {}
        }
        let has_version = parameters.split(';').any(|it| it.trim().starts_with("version="));
        Ok(match &*media {
            "application/json" => Self::Json,
            media if LINES.contains(&media) => Self::JsonLines,
            "application/openmetrics-text" => Self::Exposition,
            "text/plain" if has_version => Self::Exposition,
            // `text/plain` is what Telegraf sends line protocol as, and curl's default for `-d` is a
            // form: neither says anything.
            _ => Self::by_look(body),
        })
    }

    /// Decides by the first line that is neither empty nor a comment.
    fn by_look(body: &[u8]) -> Self {
        for line in body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
            match line {
                [] => {}
                [b'{' | b'[', ..] => return Self::Json,
                [b'#', comment @ ..] => {
                    let word = comment.trim_ascii_start();
                    let words: [&[u8]; 4] = [b"HELP ", b"TYPE ", b"UNIT ", b"EOF"];
                    if words.iter().any(|it| word.starts_with(it)) {
                        return Self::Exposition;
                    }
                }
                line => return Self::of_line(line),
            }
        }
        Self::Json
    }

    /// A point of the line protocol has `=` in its fields or its tags; in the exposition format it can
    /// only stand after a brace.
    fn of_line(line: &[u8]) -> Self {
        let place = |wanted| line.iter().position(|byte| *byte == wanted);
        match (place(b'='), place(b'{')) {
            (Some(equals), brace) if brace.is_none_or(|brace| equals < brace) => Self::LineProtocol,
            (Some(_) | None, _) => match line.iter().any(u8::is_ascii_whitespace) {
                true => Self::Exposition,
                // One word is neither: its sender most likely means JSON.
                false => Self::Json,
            },
        }
    }
}

#[cfg(test)]
mod tests;
