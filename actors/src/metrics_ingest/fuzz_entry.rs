//! The entry point for the fuzz target of posted metrics.

use super::body;
use crate::workload::Sample;

/// Parses a body as a post does.
///
/// # Errors
/// What is wrong with the body, and where.
pub fn samples(body: &[u8]) -> Result<Vec<Sample>, String> {
    body::parse(body).map_err(|error| error.to_string())
}
