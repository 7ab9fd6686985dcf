//! Where scalars, tags and names end, and what their white space costs the parser.

use super::Scanner;

/// Bytes that the parser reserves for a run of white space at first.
const RESERVED: usize = 16;

/// The longest run of blanks, or of line breaks, in a scalar so far. The parser has a buffer of that
/// size and wipes all of it after each run, however short.
struct Run {
    length: usize,
    capacity: usize,
}

impl Run {
    const fn new() -> Self {
        Self { length: 0, capacity: RESERVED }
    }

    const fn add(&mut self) {
        self.length = self.length.saturating_add(1);
        if self.length.saturating_add(5) >= self.capacity {
            self.capacity = self.capacity.saturating_mul(2);
        }
    }
}

/// The white space of a plain or quoted scalar.
struct Gaps {
    blanks: Run,
    breaks: Run,
    after_break: bool,
}

impl Gaps {
    const fn new() -> Self {
        Self { blanks: Run::new(), breaks: Run::new(), after_break: false }
    }
}

impl Scanner<'_> {
    /// Takes an anchor or an alias.
    pub(super) fn name(&mut self) {
        self.here.skip();
        self.here.skip_while(is_name);
    }

    pub(super) fn tag(&mut self) {
        self.here.skip();
        let verbatim = self.here.byte(0) == Some(b'<');
        if verbatim {
            self.here.skip();
        }
        self.here.skip_while(|byte| {
            is_name(byte)
                || b";/?:@&=+$.%!~*'()".contains(&byte)
                || verbatim && b",[]".contains(&byte)
        });
        if verbatim && self.here.byte(0) == Some(b'>') {
            self.here.skip();
        }
    }

    pub(super) fn plain_scalar(&mut self) {
        let mut gaps = Gaps::new();
        let in_flow = self.in_flow();
        while !self.here.is_document_mark() && self.here.byte(0) != Some(b'#') {
            while let Some(byte) = self.here.solid() {
                let ends_flow = in_flow && b",[]{}".contains(&byte);
                if ends_flow || byte == b':' && self.ends_key(in_flow) {
                    break;
                }
                if gaps.after_break || gaps.blanks.length > 0 {
                    self.wipe(&mut gaps);
                }
                self.here.skip();
            }
            if self.here.byte(0).is_none() || !self.here.is_blank_or_end(0) {
                break;
            }
            self.white_space(&mut gaps);
            if !in_flow && self.here.column <= self.indent {
                break;
            }
        }
        if gaps.after_break {
            self.key_allowed = true;
        }
    }

    /// Returns whether the colon here ends the plain scalar before it, be it with an error.
    fn ends_key(&self, in_flow: bool) -> bool {
        self.here.is_blank_or_end(1)
            || in_flow && self.here.byte(1).is_some_and(|byte| b",?[]{}".contains(&byte))
    }

    pub(super) fn quoted_scalar(&mut self, quote: u8) {
        let mut gaps = Gaps::new();
        self.here.skip();
        loop {
            while let Some(byte) = self.here.solid() {
                if byte == quote {
                    if quote == b'"' || self.here.byte(1) != Some(quote) {
                        break;
                    }
                    self.here.skip();
                } else if byte == b'\\' && quote == b'"' {
                    self.here.skip();
                    if self.here.skip_break() {
                        gaps.after_break = true;
                        break;
                    }
                }
                self.here.skip();
            }
            match self.here.byte(0) {
                None => return,
                Some(byte) if byte == quote => return self.here.skip(),
                Some(_) => {}
            }
            self.white_space(&mut gaps);
            self.wipe(&mut gaps);
        }
    }

    /// Takes blanks and breaks within a scalar.
    fn white_space(&mut self, gaps: &mut Gaps) {
        loop {
            if self.here.skip_break() {
                if std::mem::replace(&mut gaps.after_break, true) {
                    gaps.breaks.add();
                } else {
                    self.cost.add_wiped(gaps.blanks.capacity);
                    gaps.blanks.length = 0;
                }
            } else if matches!(self.here.byte(0), Some(b' ' | b'\t')) {
                self.here.skip();
                if !gaps.after_break {
                    gaps.blanks.add();
                }
            } else {
                return;
            }
        }
    }

    fn wipe(&mut self, gaps: &mut Gaps) {
        self.cost.add_wiped(gaps.blanks.capacity.saturating_add(gaps.breaks.capacity));
        gaps.blanks.length = 0;
        gaps.breaks.length = 0;
        gaps.after_break = false;
    }

    pub(super) fn block_scalar(&mut self) {
        self.here.skip();
        let mut increment = self.digit();
        if let Some(b'+' | b'-') = self.here.byte(0) {
            self.here.skip();
            increment = increment.max(self.digit());
        }
        self.here.skip_while(|byte| byte == b' ' || byte == b'\t');
        self.here.skip_to_break();
        self.here.skip_break();
        let mut indent = match increment {
            0 => 0,
            _ => self.indent.max(0).saturating_add(increment),
        };
        let mut breaks = Run::new();
        self.block_breaks(&mut indent, &mut breaks);
        while self.here.column == indent && self.here.byte(0).is_some() {
            self.cost.add_wiped(breaks.capacity);
            breaks.length = 0;
            self.here.skip_to_break();
            self.here.skip_break();
            self.block_breaks(&mut indent, &mut breaks);
        }
    }

    /// Takes an indentation indicator, 0 if there is none.
    fn digit(&mut self) -> isize {
        match self.here.byte(0) {
            Some(byte @ b'1'..=b'9') => {
                self.here.skip();
                isize::from(byte.saturating_sub(b'0'))
            }
            Some(_) | None => 0,
        }
    }

    /// Takes the blank lines of a block scalar and the indentation after them; decides how deep the
    /// scalar is indented if that is still 0.
    fn block_breaks(&mut self, indent: &mut isize, breaks: &mut Run) {
        let mut deepest = 0;
        loop {
            while (*indent == 0 || self.here.column < *indent) && self.here.byte(0) == Some(b' ') {
                self.here.skip();
            }
            deepest = deepest.max(self.here.column);
            if !self.here.skip_break() {
                break;
            }
            breaks.add();
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent.saturating_add(1)).max(1);
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}
