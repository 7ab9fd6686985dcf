//! Sums and products: pairs to operands.

use pest::iterators::Pair;

use super::{Builder, Rule};
use crate::ast::{Arithmetic, ArithmeticOperator, Operand};
use crate::error::ConditionError;

impl<'t> Builder<'t> {
    /// Reads a side of a comparison.
    pub(super) fn side(&mut self, pair: Pair<'t, Rule>) -> Result<Operand, ConditionError> {
        let rule = pair.as_rule();
        if rule == Rule::sum || rule == Rule::product {
            self.chain(pair)
        } else {
            self.operand(pair)
        }
    }

    /// Reads a sum of products, or a product of values and sums in brackets. One of a single value is
    /// that value.
    fn chain(&mut self, pair: Pair<'t, Rule>) -> Result<Operand, ConditionError> {
        let (mut first, mut rest, mut sign) = (None, Vec::new(), None);
        for part in pair.into_inner() {
            let rule = part.as_rule();
            if rule == Rule::sign {
                sign = ArithmeticOperator::of(part.as_str());
            } else if rule != Rule::open && rule != Rule::close {
                let operand = self.side(part)?;
                match sign.take() {
                    Some(operator) => rest.push((operator, operand)),
                    None => first = Some(operand),
                }
            }
        }
        let first = first.unwrap_or(Operand::Nil);
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Operand::Arithmetic(Box::new(Arithmetic { first, rest })))
    }
}
