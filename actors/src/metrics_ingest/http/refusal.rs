//! Why a request is refused, and the answer that says so.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::json;

use super::admission::AdmissionError;
use super::connections::{MAX_STREAMS, REQUEST_TIMEOUT};
use crate::messages::MetricsRefused;
use crate::metrics_ingest::body::MAX_BODY;
use crate::metrics_ingest::body::error::BodyError;
use crate::metrics_ingest::body::otlp::{self, Encoding};
use crate::metrics_ingest::status::to_json;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    NotAdmitted(#[from] AdmissionError),
    #[error("no such path; there are /, /metrics, /v1/metrics, /status, /events and /healthz")]
    UnknownPath,
    #[error("this path takes {0} only")]
    Method(&'static str),
    #[error("the body took more than {} s to arrive", REQUEST_TIMEOUT.as_secs())]
    Slow,
    #[error("the body ended before its announced length")]
    Cut,
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("inflated, the body is larger than {MAX_BODY} bytes")]
    Inflated,
    #[error("send the body as it is, or with Content-Encoding: gzip")]
    Encoded,
    #[error("the body is not gzip, as its Content-Encoding says: {0}")]
    NotGzip(String),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("too many posts at one time; try again")]
    Busy,
    #[error("too many answers wait for their readers; try again")]
    Crowded,
    #[error("{MAX_STREAMS} streams are open, and there are no more; ask /status, or try again")]
    TooManyStreams,
    #[error("the agent's part that answers this is busy or restarting; try again")]
    NoAnswer,
    #[error(transparent)]
    Refused(#[from] MetricsRefused),
}

impl Refusal {
    /// Returns the answer that an exporter of OTLP understands.
    pub(super) fn otlp_response(&self, encoding: Encoding) -> HttpResponse {
        let mut response = self.head();
        let body = otlp::status(encoding, &self.to_string());
        response.content_type(encoding.content_type()).body(body)
    }

    /// Returns the answer without its body.
    fn head(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status_code());
        if let Self::Method(allowed) = self {
            response.insert_header((header::ALLOW, *allowed));
        }
        if matches!(self, Self::Encoded) {
            response.insert_header((header::ACCEPT_ENCODING, "gzip, identity"));
        }
        if matches!(self, Self::Busy | Self::Crowded | Self::NoAnswer | Self::TooManyStreams) {
            response.insert_header((header::RETRY_AFTER, "1"));
        }
        // The unread rest of a body would be taken for the next request.
        if matches!(self, Self::Slow | Self::Cut | Self::TooLarge | Self::Busy) {
            response.force_close();
        }
        response
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotAdmitted(_) => StatusCode::FORBIDDEN,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Cut | Self::NotGzip(_) | Self::Body(BodyError::Unreadable(_)) => {
                StatusCode::BAD_REQUEST
            }
            Self::TooLarge | Self::Inflated | Self::Body(BodyError::TooManySamples(_)) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Encoded | Self::Body(BodyError::ContentType(_)) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Busy | Self::Crowded => StatusCode::TOO_MANY_REQUESTS,
            Self::NoAnswer | Self::TooManyStreams => StatusCode::SERVICE_UNAVAILABLE,
            Self::Refused(MetricsRefused::TooManyNames { .. }) => StatusCode::INSUFFICIENT_STORAGE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        // Escaped: the text may quote what was sent.
        let body = to_json(&json!({ "error": self.to_string() }));
        self.head().content_type("application/json").body(body)
    }
}
