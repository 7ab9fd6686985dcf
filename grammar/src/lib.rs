//! The condition language of device profiles: `cpu > 80% for 30s`, `x<3% || x == nil`.
//!
//! [`Condition::parse`] reads a text once into a tree; `condition.pest` holds the grammar.
//! [`Condition::evaluate`] finds out whether it is true, false or unknown, given the metrics that a
//! [`Lookup`] knows, and allocates nothing. [`Watch`] adds time: `for`, and the moment at which a
//! result can change with nothing posted. [`SampleWindow`] keeps what `avg(cpu, 1m)` looks at.
//! [`Condition::shortfall`] says how far a condition is from being true.
//! Nothing here panics on any input, reads a clock, or knows of actors. [`printable`] shows the texts of
//! others, those of conditions first.
//!
//! ```
//! use grammar::{Condition, Lookup, Metric, Reading, Truth};
//!
//! struct Cpu(f64);
//!
//! impl Lookup for Cpu {
//!     fn reading(&self, metric: &Metric) -> Option<Reading<'_>> {
//!         (metric.name() == "cpu").then_some(Reading { value: self.0, unit: None })
//!     }
//! }
//!
//! let condition = Condition::parse("cpu < 5% || cpu > 40%")?;
//! assert_eq!(condition.evaluate(&Cpu(41.0)).unwrap(), Truth::True);
//! assert_eq!(condition.evaluate(&Cpu(20.0)).unwrap(), Truth::False);
//! # Ok::<(), grammar::ConditionError>(())
//! ```

mod arithmetic;
mod ast;
mod calendar;
mod condition;
mod duration;
mod error;
mod evaluator;
mod explanation;
mod parser;
mod percentile;
mod printable;
mod shortfall;
mod truth;
mod unit;
mod watch;
mod window;
mod writing;

pub use ast::{Metric, Window, WindowFunction};
pub use calendar::{Calendar, LocalTime, Weekday};
pub use condition::Condition;
pub use duration::duration;
pub use error::ConditionError;
pub use evaluator::{EvaluationError, History, Lookup, Reading};
pub use printable::{is_printable, printable, printable_json, printable_lines, shortened};
pub use truth::Truth;
pub use unit::Unit;
pub use watch::Watch;
pub use window::{MAX_BUCKETS, SampleWindow};
