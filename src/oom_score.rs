//! Asks the kernel to spare the agent when memory is short: it is what brings the workloads back.

use std::fs;

use tracing::debug;

/// The score of a process that asks for it; the least is -1000.
const SCORE: i32 = -500;
/// Where a process finds its own.
const FILE: &str = "/proc/self/oom_score_adj";

/// Lowers the agent's score, unless whoever started it gave it a lower one. Needs CAP_SYS_RESOURCE;
/// without it the agent runs as it is.
pub fn lower() {
    let score = fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse::<i32>().ok());
    if score.is_some_and(|score| score <= SCORE) {
        return;
    }
    if let Err(error) = fs::write(FILE, SCORE.to_string()) {
        debug!(%error, "kernel does not spare the agent when memory is short");
    }
}
