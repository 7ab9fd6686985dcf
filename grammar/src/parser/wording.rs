//! Where a text leaves the grammar, in words for its author.

use pest::error::{ErrorVariant, InputLocation};

use super::Rule;
use crate::error::{ConditionError, Either};

pub(super) const OPERATORS: &str = "`==`, `!=`, `<`, `<=`, `>` or `>=`";
pub(super) const A_COMPARISON: &str = "a comparison such as `cpu > 20`";
pub(super) const A_DURATION: &str =
    "a duration such as `30s` or `1h30m` (units: `ms`, `s`, `m`, `h`, `d`)";
const A_VALUE: &str = "a number, a metric, a window such as `avg(cpu, 1m)` or `(`";
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
        (Rule::day, "a day such as `sat`"),
        (Rule::clock, "a time of day such as `22:00`"),
        (Rule::operator, OPERATORS),
        (Rule::nil, "a number, a metric, a window such as `avg(cpu, 1m)` or `nil`"),
        (Rule::product, A_VALUE),
        (Rule::quantity, A_VALUE),
        (Rule::metric, "a metric"),
        (Rule::number, "a number"),
        (Rule::comma, "`,` and a span such as `1m`"),
        (Rule::time_unit, "`ms`, `s`, `m`, `h` or `d`"),
        (Rule::day_comma, "`,`"),
        (Rule::and_word, "`and`"),
        (Rule::between_word, "`between`"),
        (Rule::and, "`&&`"),
        (Rule::or, "`||`"),
        (Rule::for_word, "`for`"),
        (Rule::until_word, "`until`"),
        (Rule::close, "`)`"),
        (Rule::EOI, "the end"),
    ] {
        // What may be a metric or `nil` has a word that says so already.
        let takes_values = tried.contains(&Rule::quantity) || tried.contains(&Rule::product);
        let is_said = if rule == Rule::quantity || rule == Rule::product {
            tried.contains(&Rule::nil) || words.contains(&word)
        } else {
            (rule == Rule::metric || rule == Rule::open) && takes_values
        };
        if tried.contains(&rule) && !is_said {
            words.push(word);
        }
    }
    Either(&words).to_string()
}
