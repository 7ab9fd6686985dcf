//! A place in a text, in the units of the YAML parser: bytes, lines and columns of characters.

/// Goes through a text character by character.
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    /// The next byte.
    pub(super) at: usize,
    /// Its line, from 0.
    pub(super) line: usize,
    /// Its column in characters, from 0.
    pub(super) column: isize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 0, column: 0 }
    }

    /// Returns a byte that far ahead, `None` behind the end of the text.
    pub(super) fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at.saturating_add(ahead)).copied()
    }

    /// Returns the next byte unless white space or the end of the text comes next.
    pub(super) fn solid(&self) -> Option<u8> {
        self.byte(0).filter(|_| !self.is_blank_or_end(0))
    }

    pub(super) fn starts_with(&self, words: &str) -> bool {
        self.rest(0).starts_with(words.as_bytes())
    }

    /// Takes one character.
    pub(super) fn skip(&mut self) {
        self.at = self.at.saturating_add(1);
        while self.byte(0).is_some_and(|byte| byte & 0xC0 == 0x80) {
            self.at = self.at.saturating_add(1);
        }
        self.at = self.at.min(self.text.len());
        self.column = self.column.saturating_add(1);
    }

    pub(super) fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&wanted) {
            self.skip();
        }
    }

    /// Takes all before the next line break.
    pub(super) fn skip_to_break(&mut self) {
        while self.byte(0).is_some() && self.break_length(0) == 0 {
            self.skip();
        }
    }

    /// Takes a line break, if one comes next.
    pub(super) fn skip_break(&mut self) -> bool {
        let length = self.break_length(0);
        if length > 0 {
            self.at = self.at.saturating_add(length);
            self.line = self.line.saturating_add(1);
            self.column = 0;
        }
        length > 0
    }

    pub(super) fn is_blank_or_end(&self, ahead: usize) -> bool {
        matches!(self.byte(ahead), None | Some(b' ' | b'\t')) || self.break_length(ahead) > 0
    }

    /// Returns whether `---` or `...` stands here, which begins or ends a document.
    pub(super) fn is_document_mark(&self) -> bool {
        self.column == 0
            && (self.starts_with("---") || self.starts_with("..."))
            && self.is_blank_or_end(3)
    }

    /// Returns the length of the line break there, in bytes; 0 where there is none. To this parser
    /// NEL, LS and PS are line breaks, too.
    fn break_length(&self, ahead: usize) -> usize {
        match self.rest(ahead) {
            [b'\r', b'\n', ..] | [0xC2, 0x85, ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            [0xE2, 0x80, 0xA8 | 0xA9, ..] => 3,
            _ => 0,
        }
    }

    fn rest(&self, ahead: usize) -> &[u8] {
        self.text.get(self.at.saturating_add(ahead)..).unwrap_or_default()
    }
}
