//! Text to tree.

mod arithmetic;
mod calendar;
mod wording;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use pest::Parser as _;
use pest::iterators::Pair;

use crate::ast::{
    Clause, Comparison, Expr, Metric, Operand, Operator, Quantity, Window, WindowFunction,
};
use crate::calendar::Calendar;
use crate::duration::microseconds;
use crate::error::ConditionError;
use crate::unit::Unit;
use wording::{A_COMPARISON, A_DURATION, A_WINDOW, OPERATORS, not_in_the_grammar};

/// Longest text that is looked at, in bytes.
pub(crate) const MAX_LENGTH: usize = 64 * 1024;
/// Brackets within brackets; bounds every recursion over a tree.
pub(crate) const MAX_DEPTH: usize = 64;
/// The most bytes within brackets, each counted once for each pair that it is in.
const MAX_LOOKS: usize = 2 * MAX_LENGTH;
/// Longest duration, so that microseconds are exact in an f64.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);
/// Shortest span of a window.
const MIN_SPAN: Duration = Duration::from_millis(1);

#[derive(pest_derive::Parser)]
#[grammar = "../condition.pest"]
struct ConditionParser;

/// What a text says.
pub(crate) struct Parsed {
    pub(crate) begin: Clause,
    /// What stands after `until`.
    pub(crate) end: Option<Clause>,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) windows: Vec<Window>,
    pub(crate) calendars: Vec<Calendar>,
}

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Parsed, ConditionError> {
    check_bounds(text)?;
    let mut pairs = ConditionParser::parse(Rule::condition, text)
        .map_err(|error| not_in_the_grammar(text, &error))?;
    let mut builder = Builder {
        text,
        metrics: Vec::new(),
        places: HashMap::new(),
        windows: Vec::new(),
        calendars: Vec::new(),
    };
    let mut clauses = pairs.next().into_iter().flat_map(|condition| parts(condition, Rule::clause));
    let begin = clauses.next().ok_or_else(|| ConditionError::at(text, 0, A_COMPARISON))?;
    let begin = builder.clause(begin)?;
    let end = clauses.next().map(|clause| builder.clause(clause)).transpose()?;
    let Builder { metrics, windows, calendars, .. } = builder;
    Ok(Parsed { begin, end, metrics, windows, calendars })
}

/// Refuses what would cost too much to look at: a long text, brackets that nest so deep that recursion over
/// them would end the stack, and both together, as what stands in brackets is looked at once more for each.
fn check_bounds(text: &str) -> Result<(), ConditionError> {
    if text.len() > MAX_LENGTH {
        let found = format!("a text of {} bytes", text.len());
        return Err(ConditionError::new(text, 0, found, format!("at most {MAX_LENGTH} bytes")));
    }
    let (mut depth, mut looks) = (0_usize, 0_usize);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let found = format!("bracket number {depth} within brackets");
            return Err(ConditionError::new(text, offset, found, format!("at most {MAX_DEPTH}")));
        }
        looks += depth;
        if looks > MAX_LOOKS {
            let found = "more text within brackets within brackets".to_owned();
            let expected =
                format!("at most {MAX_LOOKS} bytes, each counted once for each of its brackets");
            return Err(ConditionError::new(text, offset, found, expected));
        }
    }
    Ok(())
}

/// Makes the tree from what the grammar matched.
struct Builder<'t> {
    text: &'t str,
    metrics: Vec<Metric>,
    places: HashMap<&'t str, usize>,
    windows: Vec<Window>,
    calendars: Vec<Calendar>,
}

impl<'t> Builder<'t> {
    fn clause(&mut self, pair: Pair<'t, Rule>) -> Result<Clause, ConditionError> {
        let offset = pair.as_span().start();
        let (mut expr, mut hold) = (None, None);
        for part in pair.into_inner() {
            if part.as_rule() == Rule::or_expr {
                expr = Some(self.or_expr(part)?);
            } else if let Some(duration) = parts(part, Rule::duration).next() {
                hold = Some(self.duration(duration)?);
            }
        }
        let expr = expr.ok_or_else(|| ConditionError::at(self.text, offset, A_COMPARISON))?;
        Ok(Clause { expr, hold })
    }

    fn or_expr(&mut self, pair: Pair<'t, Rule>) -> Result<Expr, ConditionError> {
        let mut terms = parts(pair, Rule::and_expr)
            .map(|part| self.and_expr(part))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                terms.extend(last);
                Expr::Or(terms)
            }
        })
    }

    fn and_expr(&mut self, pair: Pair<'t, Rule>) -> Result<Expr, ConditionError> {
        let mut terms =
            parts(pair, Rule::term).map(|part| self.term(part)).collect::<Result<Vec<_>, _>>()?;
        Ok(match (terms.pop(), terms.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                terms.extend(last);
                Expr::And(terms)
            }
        })
    }

    /// Two negations cancel each other in Kleene's logic too, so at most one is kept.
    fn term(&mut self, pair: Pair<'t, Rule>) -> Result<Expr, ConditionError> {
        let offset = pair.as_span().start();
        let negated = parts(pair.clone(), Rule::not).count() % 2 == 1;
        let inner = match parts(pair.clone(), Rule::or_expr).next() {
            Some(bracketed) => self.or_expr(bracketed)?,
            None => match pair.into_inner().next() {
                Some(part) if part.as_rule() == Rule::comparison => match self.comparison(part)? {
                    comparison if comparison.is_calculation() => {
                        Expr::Calculation(Box::new(comparison))
                    }
                    comparison => Expr::Comparison(comparison),
                },
                Some(part) if part.as_rule() == Rule::calendar => self.calendar(part)?,
                Some(_) | None => {
                    return Err(ConditionError::at(self.text, offset, A_COMPARISON));
                }
            },
        };
        Ok(if negated { Expr::Not(Box::new(inner)) } else { inner })
    }

    fn comparison(&mut self, pair: Pair<'t, Rule>) -> Result<Comparison, ConditionError> {
        let offset = pair.as_span().start();
        let mut inner = pair.into_inner();
        let (Some(left), Some(sign), Some(right)) = (inner.next(), inner.next(), inner.next())
        else {
            return Err(ConditionError::at(self.text, offset, A_COMPARISON));
        };
        let left = self.side(left)?;
        let sign_offset = sign.as_span().start();
        let operator = Operator::ALL
            .into_iter()
            .find(|operator| operator.as_str() == sign.as_str())
            .ok_or_else(|| ConditionError::at(self.text, sign_offset, OPERATORS))?;
        let right = self.side(right)?;
        let takes_nil = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !takes_nil && (left == Operand::Nil || right == Operand::Nil) {
            let expected = "`==` or `!=`, the only operators that `nil` takes";
            return Err(ConditionError::at(self.text, sign_offset, expected));
        }
        Ok(Comparison { left, operator, right })
    }

    fn operand(&mut self, pair: Pair<'t, Rule>) -> Result<Operand, ConditionError> {
        let rule = pair.as_rule();
        if rule == Rule::quantity {
            self.quantity(pair).map(Operand::Quantity)
        } else if rule == Rule::window {
            self.window(pair).map(Operand::Window)
        } else if rule == Rule::metric {
            Ok(Operand::Metric(self.metric(pair.as_str())))
        } else {
            Ok(Operand::Nil)
        }
    }

    fn quantity(&self, pair: Pair<'t, Rule>) -> Result<Quantity, ConditionError> {
        let negative = parts(pair.clone(), Rule::minus).next().is_some();
        let unit = parts(pair.clone(), Rule::unit).next().and_then(|unit| Unit::new(unit.as_str()));
        let value = self.number(pair)?;
        let value = if negative { -value } else { value };
        Ok(Quantity { value, unit })
    }

    /// Reads the number in `pair`.
    fn number(&self, pair: Pair<'t, Rule>) -> Result<f64, ConditionError> {
        let offset = pair.as_span().start();
        match parts(pair, Rule::number).next() {
            Some(number) => self.value(&number),
            None => Err(ConditionError::at(self.text, offset, "a number")),
        }
    }

    /// Reads a number.
    fn value(&self, number: &Pair<'t, Rule>) -> Result<f64, ConditionError> {
        let value = number.as_str().parse::<f64>().ok().filter(|value| value.is_finite());
        let offset = number.as_span().start();
        value.ok_or_else(|| ConditionError::at(self.text, offset, "a number below 1.8e308"))
    }

    fn window(&mut self, pair: Pair<'t, Rule>) -> Result<usize, ConditionError> {
        let offset = pair.as_span().start();
        let mut function = None;
        let mut metric = None;
        let mut span = None;
        for part in pair.into_inner() {
            let rule = part.as_rule();
            if rule == Rule::function {
                function = WindowFunction::ALL
                    .into_iter()
                    .find(|function| function.as_str() == part.as_str());
            } else if rule == Rule::metric {
                metric = Some(self.metric(part.as_str()));
            } else if rule == Rule::duration {
                let offset = part.as_span().start();
                let duration = self.duration(part)?;
                if duration < MIN_SPAN {
                    return Err(ConditionError::at(self.text, offset, "at least `1ms`"));
                }
                span = Some(duration);
            }
        }
        let (Some(function), Some(place), Some(span)) = (function, metric, span) else {
            return Err(ConditionError::at(self.text, offset, A_WINDOW));
        };
        let window = Window {
            metric: self.metrics[place].clone(),
            function,
            span,
            slot: slot_of(self.windows.len()),
        };
        Ok(match self.windows.iter().position(|known| *known == window) {
            Some(known) => known,
            None => {
                self.windows.push(window);
                self.windows.len() - 1
            }
        })
    }

    /// Returns the metric's place.
    fn metric(&mut self, name: &'t str) -> usize {
        *self.places.entry(name).or_insert_with(|| {
            let place = self.metrics.len();
            self.metrics.push(Metric { name: Arc::from(name), slot: slot_of(place) });
            place
        })
    }

    /// Reads a duration, in whole microseconds.
    fn duration(&self, pair: Pair<'t, Rule>) -> Result<Duration, ConditionError> {
        let offset = pair.as_span().start();
        let (mut total, mut number) = (0.0, 0.0);
        for part in pair.into_inner() {
            if part.as_rule() == Rule::number {
                number = self.value(&part)?;
            } else {
                let size = microseconds(part.as_str());
                total += number
                    * size.ok_or_else(|| ConditionError::at(self.text, offset, A_DURATION))?;
            }
        }
        let count = total.round();
        // The bound makes the conversion exact.
        if count > MAX_DURATION.as_secs_f64() * 1e6 {
            return Err(ConditionError::at(self.text, offset, "at most 366 days"));
        }
        Ok(Duration::from_micros(count as u64))
    }
}

/// A text within the bounds has far fewer operands than that.
fn slot_of(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Returns the parts of `pair` that `rule` matched.
fn parts(pair: Pair<'_, Rule>, rule: Rule) -> impl Iterator<Item = Pair<'_, Rule>> {
    pair.into_inner().filter(move |part| part.as_rule() == rule)
}
