//! What posted metrics are read with, for random input from outside.

use super::body;
use crate::workload::Sample;

/// Reads the samples of a body.
///
/// # Errors
/// What is wrong with the body, and where.
pub fn samples(body: &[u8]) -> Result<Vec<Sample>, String> {
    body::parse(body).map_err(|error| error.to_string())
}
