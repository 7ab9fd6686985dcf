//! What a YAML text would cost to parse, found in one pass over it.
//!
//! The parser (libyaml, in Rust) looks at each open flow collection for every token, at each `%TAG`
//! directive for every tag, and wipes as many bytes as the longest run of blanks has after every other
//! run of the same scalar. All three grow with the square of the text. Tokens are told apart exactly as
//! the parser does it, or brackets in quotes would deceive the count. Where the parser stops with an
//! error this goes on: it may count too much, never too little.

mod cursor;
mod scalars;

use cursor::Cursor;

/// Longest distance in bytes from the begin of a key to its colon.
const MAX_KEY: usize = 1024;

/// What was found so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Scalars, aliases and indicators: two or three for each value.
    pub(super) tokens: usize,
    /// Directives, such as `%TAG`.
    pub(super) directives: usize,
    /// Bytes that are wiped for white space in scalars.
    pub(super) wiped: usize,
}

impl Cost {
    const fn add_wiped(&mut self, bytes: usize) {
        self.wiped = self.wiped.saturating_add(bytes);
    }
}

/// Goes through a text token by token.
pub(super) struct Scanner<'a> {
    here: Cursor<'a>,
    /// Lines and columns, from 0.
    opened: Vec<(usize, isize)>,
    /// Column of the block collection that the next token belongs to; -1 outside of all.
    indent: isize,
    /// Those around it.
    indents: Vec<isize>,
    /// Whether a key may begin here.
    key_allowed: bool,
    /// What becomes the key of a block mapping if a colon follows.
    key: Option<Key>,
    cost: Cost,
}

#[derive(Clone, Copy)]
struct Key {
    at: usize,
    line: usize,
    column: isize,
}

/// What [`Scanner::step`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A token, or a directive.
    Token,
    /// The begin or the end of a document.
    Document,
    /// The end of the text.
    End,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            here: Cursor::new(text),
            opened: Vec::new(),
            indent: -1,
            indents: Vec::new(),
            key_allowed: true,
            key: None,
            cost: Cost { tokens: 0, directives: 0, wiped: 0 },
        }
    }

    /// Returns what was found so far.
    pub(super) const fn cost(&self) -> Cost {
        self.cost
    }

    /// Returns where the open brackets are, the innermost last: line and column, from 0.
    pub(super) fn opened(&self) -> &[(usize, isize)] {
        &self.opened
    }

    /// Returns the line, from 1.
    pub(super) const fn line(&self) -> usize {
        self.here.line.saturating_add(1)
    }

    /// Takes the next token.
    pub(super) fn step(&mut self) -> Step {
        self.skip_to_token();
        let here = (self.here.line, self.here.at);
        let is_stale = |key: Key| key.line < here.0 || key.at.saturating_add(MAX_KEY) < here.1;
        self.key = self.key.filter(|key| !is_stale(*key));
        self.unroll(self.here.column);
        let Some(byte) = self.here.byte(0) else { return Step::End };
        if self.here.column == 0 && byte == b'%' {
            self.cost.directives = self.cost.directives.saturating_add(1);
            self.leave_document();
            self.here.skip_to_break();
            return Step::Token;
        }
        if self.here.is_document_mark() {
            self.leave_document();
            (0..3).for_each(|_| self.here.skip());
            return Step::Document;
        }
        self.cost.tokens = self.cost.tokens.saturating_add(1);
        self.token(byte);
        Step::Token
    }

    /// Takes the token that begins with `byte`.
    fn token(&mut self, byte: u8) {
        let in_flow = self.in_flow();
        let before_blank = self.here.is_blank_or_end(1);
        match byte {
            b'[' | b'{' => {
                self.save_key();
                self.opened.push((self.here.line, self.here.column));
                self.indicator(true);
            }
            b']' | b'}' => {
                self.drop_key();
                self.opened.pop();
                self.indicator(false);
            }
            b',' => {
                self.drop_key();
                self.indicator(true);
            }
            b'-' if before_blank => {
                self.roll(self.here.column);
                self.drop_key();
                self.indicator(true);
            }
            b'?' if in_flow || before_blank => {
                self.roll(self.here.column);
                self.drop_key();
                self.indicator(!in_flow);
            }
            b':' if in_flow || before_blank => self.value(),
            b'*' | b'&' => {
                self.begin_scalar();
                self.name();
            }
            b'!' => {
                self.begin_scalar();
                self.tag();
            }
            b'|' | b'>' if !in_flow => {
                self.drop_key();
                self.key_allowed = true;
                self.block_scalar();
            }
            b'\'' | b'"' => {
                self.begin_scalar();
                self.quoted_scalar(byte);
            }
            // No token begins so: the parser stops.
            b'#' | b'%' | b'@' | b'`' | b' ' | b'\t' => self.here.skip(),
            _ => {
                self.begin_scalar();
                self.plain_scalar();
            }
        }
    }

    /// Takes white space and comments.
    fn skip_to_token(&mut self) {
        loop {
            if self.here.column == 0 && self.here.starts_with("\u{feff}") {
                self.here.skip();
            }
            let tabs = self.in_flow() || !self.key_allowed;
            self.here.skip_while(|byte| byte == b' ' || tabs && byte == b'\t');
            if self.here.byte(0) == Some(b'#') {
                self.here.skip_to_break();
            }
            if !self.here.skip_break() {
                return;
            }
            if !self.in_flow() {
                self.key_allowed = true;
            }
        }
    }

    const fn in_flow(&self) -> bool {
        !self.opened.is_empty()
    }

    fn indicator(&mut self, key_allowed: bool) {
        self.key_allowed = key_allowed;
        self.here.skip();
    }

    fn leave_document(&mut self) {
        self.unroll(-1);
        self.drop_key();
        self.key_allowed = false;
    }

    fn begin_scalar(&mut self) {
        self.save_key();
        self.key_allowed = false;
    }

    /// Takes the colon behind a key.
    fn value(&mut self) {
        let mut key_allowed = false;
        if !self.in_flow() {
            let key = self.key.take();
            key_allowed = key.is_none();
            self.roll(key.map_or(self.here.column, |key| key.column));
        }
        self.indicator(key_allowed);
    }

    fn save_key(&mut self) {
        if self.key_allowed && !self.in_flow() {
            let Cursor { at, line, column, .. } = self.here;
            self.key = Some(Key { at, line, column });
        }
    }

    fn drop_key(&mut self) {
        if !self.in_flow() {
            self.key = None;
        }
    }

    /// Begins a block collection, unless this is one more entry of it.
    fn roll(&mut self, column: isize) {
        if !self.in_flow() && self.indent < column {
            self.indents.push(std::mem::replace(&mut self.indent, column));
        }
    }

    /// Ends the block collections that are indented deeper.
    fn unroll(&mut self, column: isize) {
        while !self.in_flow() && self.indent > column {
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }
}

#[cfg(test)]
mod tests;
