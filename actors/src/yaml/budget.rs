//! How much YAML is read at most, so that each text takes a time that grows with its size alone.

use super::scan::{Scanner, Step};
use super::weight;

/// Most brackets that may be open at one time. The reader goes no deeper, and Kubernetes' own
/// resources have a dozen.
const MAX_OPEN: usize = 128;
/// Most directives of a text; Kubernetes' own resources have none.
const MAX_DIRECTIVES: usize = 100;
/// Most bytes that the parser may wipe for white space within scalars, which takes it some tenths of
/// a second. Ordinary text has about thirty for each word.
const MAX_WIPED: usize = 1 << 30;
/// Most that a text may come to with its aliases expanded, in bytes of text and some for each value:
/// twice what the largest manifest without an alias can hold in text.
const MAX_EXPANDED: usize = 8 * 1024 * 1024;

/// Why a text is not read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooHeavy {
    #[error("more than {MAX_OPEN} brackets are open at one time in line {line}")]
    Open { line: usize },
    #[error("it has more than {MAX_DIRECTIVES} directives (lines that begin with %)")]
    Directives,
    #[error(
        "a document of it holds more than {limit} values and punctuation marks, the last in line {line}"
    )]
    Tokens { limit: usize, line: usize },
    #[error(
        "the text in line {line} holds so much white space that it would take too long to read"
    )]
    WhiteSpace { line: usize },
    #[error("it would take more than {MAX_EXPANDED} bytes with its aliases expanded: write it out")]
    Expanded,
    #[error("all YAML texts together are too much to read: {what}")]
    Together { what: &'static str },
}

/// What may still be read of one text, or of several that come together.
#[derive(Clone, Debug)]
pub struct Budget {
    tokens_of_document: usize,
    tokens: usize,
    wiped: usize,
    expanded: usize,
    is_overdrawn: bool,
}

impl Budget {
    /// For one file: it is as long as it may be, and each of its documents is read by itself.
    #[must_use]
    pub const fn of_file() -> Self {
        Self {
            tokens_of_document: 500_000,
            tokens: usize::MAX,
            wiped: MAX_WIPED,
            expanded: MAX_EXPANDED,
            is_overdrawn: false,
        }
    }

    /// For all texts within an answer of a control plane: two or three tokens are a value, a PodSpec
    /// has some hundred, and a container of two values in a text takes a kilobyte in memory.
    #[must_use]
    pub const fn of_answer() -> Self {
        Self {
            tokens_of_document: 20_000,
            tokens: 500_000,
            wiped: MAX_WIPED,
            expanded: 4 * MAX_EXPANDED,
            is_overdrawn: false,
        }
    }

    /// Returns whether the texts were too much together, so that no other is read either.
    #[must_use]
    pub const fn is_overdrawn(&self) -> bool {
        self.is_overdrawn
    }

    /// Takes what reading `text` costs. What is no YAML passes: its reader says why.
    pub(super) fn spend(&mut self, text: &str) -> Result<(), TooHeavy> {
        let spent = self.scan(text).and_then(|()| self.expand(text));
        self.is_overdrawn |= matches!(spent, Err(TooHeavy::Together { .. }));
        spent
    }

    fn scan(&mut self, text: &str) -> Result<(), TooHeavy> {
        let mut scanner = Scanner::new(text);
        let mut before_document = 0;
        let together = |what| Err(TooHeavy::Together { what });
        loop {
            let step = scanner.step();
            let (cost, line) = (scanner.cost(), scanner.line());
            if let Some((line, _)) = scanner.opened().get(MAX_OPEN) {
                return Err(TooHeavy::Open { line: line.saturating_add(1) });
            }
            if cost.directives > MAX_DIRECTIVES {
                return Err(TooHeavy::Directives);
            }
            let limit = self.tokens_of_document;
            if cost.tokens.saturating_sub(before_document) > limit {
                return Err(TooHeavy::Tokens { limit, line });
            }
            if cost.tokens > self.tokens {
                return together("they hold too many values");
            }
            if cost.wiped > MAX_WIPED {
                return Err(TooHeavy::WhiteSpace { line });
            }
            if cost.wiped > self.wiped {
                return together("they hold too much white space");
            }
            match step {
                Step::Token => {}
                Step::Document => before_document = cost.tokens,
                Step::End => break,
            }
        }
        let cost = scanner.cost();
        self.wiped = self.wiped.saturating_sub(cost.wiped);
        if self.tokens < usize::MAX {
            self.tokens = self.tokens.saturating_sub(cost.tokens);
        }
        Ok(())
    }

    fn expand(&mut self, text: &str) -> Result<(), TooHeavy> {
        let limit = MAX_EXPANDED.min(self.expanded);
        match weight::left(text, limit) {
            Some(left) => {
                self.expanded = self.expanded.saturating_sub(limit.saturating_sub(left));
                Ok(())
            }
            None if limit < MAX_EXPANDED => {
                Err(TooHeavy::Together { what: "their aliases expand to too much" })
            }
            None => Err(TooHeavy::Expanded),
        }
    }
}
