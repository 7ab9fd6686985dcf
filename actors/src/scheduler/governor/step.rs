//! The words of the governor: who may be restrained, by which steps, and what is known of them. Pure.

use super::usage::Usage;
use crate::clock::Monotonic;
use crate::workload::{ConditionName, Rung, Rungs, WorkloadName};

/// How an objective stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It holds.
    Kept,
    /// It does not.
    Broken {
        /// By how much, as a share of its threshold; 0 while it has only yet to hold for its time.
        shortfall: f64,
        /// When that was measured.
        measured_at: Monotonic,
    },
    /// A metric that decides is nil, or the condition cannot be evaluated.
    Unknown,
}

/// A workload that may be restrained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) name: WorkloadName,
    pub(crate) priority: i32,
    /// The steps that its author and its runtime allow.
    pub(crate) rungs: Rungs,
    /// Whether containers of it run, as far as is wanted, and can be reached.
    pub(crate) runs: bool,
    /// What it uses of the device, where that is known.
    pub(crate) usage: Option<Usage>,
}

/// A step that was taken and not taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) workload: WorkloadName,
    pub(crate) rung: Rung,
    /// The objective that it was taken for.
    pub(crate) objective: ConditionName,
    /// When.
    pub(crate) since: Monotonic,
}

/// How far a step, or its being taken back, has been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has, or there is nothing to do it to.
    Done,
    /// A command sees to it.
    UnderWay,
    /// Nothing does yet.
    Pending,
}

/// What happened, for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A step was taken.
    Taken(Step),
    /// It was taken back, and why.
    TakenBack(Step, Reason),
    /// No step is left to be tried for an objective that is broken.
    Exhausted(ConditionName),
}

/// Why a step was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It did not bring the objective nearer.
    NoEffect,
    /// Its runtime has not come to it.
    NotDone,
    /// Something more urgent came before its effect was seen.
    Interrupted,
    /// The objective has held for its calm time.
    Calm,
    /// The objective, the workload or the permission for it is gone.
    Obsolete,
}
