//! profile_evaluator.
