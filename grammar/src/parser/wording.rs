//! Where a text leaves the grammar, in words for its author.

use pest::error::{ErrorVariant, InputLocation};

use super::Rule;
use crate::error::{ConditionError, Either};

pub(super) const OPERATORS: &str = "`==`, `!=`, `<`, `<=`, `>` or `>=`";
pub(super) const A_COMPARISON: &str = "a comparison such as `cpu > 20`";
pub(super) const A_DURATION: &str = "a duration such as `30s` (units: `ms`, `s`, `m`, `h`)";
pub(super) const A_WINDOW: &str = "a window such as `avg(cpu, 1m)`";

/// Puts into words where the text left the grammar.
pub(super) fn not_in_the_grammar(text: &str, error: &pest::error::Error<Rule>) -> ConditionError {
    let offset = match error.location {
        InputLocation::Pos(offset) | InputLocation::Span((offset, _)) => offset,
    };
    let tried = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        ErrorVariant::CustomError { .. } => &[],
    };
    ConditionError::at(text, offset, expected(tried))
}

/// Returns what the author could have meant, given which rules were tried and did not match.
fn expected(tried: &[Rule]) -> String {
    let mut words = Vec::new();
    for (rule, word) in [
        (Rule::term, A_COMPARISON),
        (Rule::open, "`(`, for `!` negates a bracket, as in `!(cpu > 20)`"),
        (Rule::operator, OPERATORS),
        (Rule::quantity, "a number, a metric, a window such as `avg(cpu, 1m)` or `nil`"),
        (Rule::metric, "a metric"),
        (Rule::number, "a number"),
        (Rule::comma, "`,` and a span such as `1m`"),
        (Rule::time_unit, "`ms`, `s`, `m` or `h`"),
        (Rule::and, "`&&`"),
        (Rule::or, "`||`"),
        (Rule::for_word, "`for`"),
        (Rule::close, "`)`"),
        (Rule::EOI, "the end"),
    ] {
        // An operand may be a metric, which its word says already.
        let is_said = rule == Rule::metric && tried.contains(&Rule::quantity);
        if tried.contains(&rule) && !is_said {
            words.push(word);
        }
    }
    Either(&words).to_string()
}
