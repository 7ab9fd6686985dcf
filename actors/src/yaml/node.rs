//! A YAML document as a tree of values, each with its place.

use std::fmt;
use std::rc::Rc;

use super::plain;
use super::position::Position;

/// What a value weighs besides its text, in bytes.
const WEIGHT: usize = 32;

/// A value and where it begins. What an alias repeats is there once.
pub(crate) struct Node {
    at: Position,
    /// A tag that is none of YAML's own.
    foreign_tag: Option<String>,
    content: Content,
    /// What it comes to with its aliases expanded, in bytes.
    weight: usize,
    /// How many levels of values are in it.
    depth: usize,
}

/// `Debug` shows no value: it may be a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Wherever they stand.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.foreign_tag == other.foreign_tag && self.content == other.content
    }
}

#[derive(PartialEq)]
pub(super) enum Content {
    /// Plain: what it is depends on what is wanted.
    Plain(String),
    /// In quotes, in a block, or tagged as text.
    Text(String),
    List(Vec<Rc<Node>>),
    /// In the order of the text, those that a merge brought last.
    Map(Vec<Entry>),
}

/// A key of a map and its value.
pub(crate) type Entry = (Rc<Node>, Rc<Node>);

impl Node {
    pub(super) fn new(at: Position, content: Content) -> Self {
        let (weight, depth) = match &content {
            Content::Plain(text) | Content::Text(text) => (text.len(), 0),
            Content::List(items) => measure(items.iter()),
            Content::Map(entries) => measure(entries.iter().flat_map(|(key, value)| [key, value])),
        };
        let (weight, depth) = (weight.saturating_add(WEIGHT), depth.saturating_add(1));
        Self { at, foreign_tag: None, content, weight, depth }
    }

    pub(super) fn null(at: Position) -> Self {
        Self::new(at, Content::Plain(String::new()))
    }

    pub(super) fn tagged(mut self, tag: Option<String>) -> Self {
        self.foreign_tag = tag;
        self
    }

    pub(super) const fn content(&self) -> &Content {
        &self.content
    }

    pub(super) fn foreign_tag(&self) -> Option<&str> {
        self.foreign_tag.as_deref()
    }

    pub(super) const fn weight(&self) -> usize {
        self.weight
    }

    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    /// Returns where it begins.
    pub(crate) const fn at(&self) -> Position {
        self.at
    }

    /// Returns the value of a scalar, as it is written.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Plain(text) | Content::Text(text) => Some(text),
            Content::List(_) | Content::Map(_) => None,
        }
    }

    /// Returns whether nothing is given.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Plain(text) if plain::is_null(text))
    }

    /// Returns the elements of a list.
    pub(crate) fn items(&self) -> Option<&[Rc<Self>]> {
        match &self.content {
            Content::List(items) => Some(items),
            Content::Plain(_) | Content::Text(_) | Content::Map(_) => None,
        }
    }

    /// Returns the keys and values of a map, none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            Content::Plain(_) | Content::Text(_) | Content::List(_) => &[],
        }
    }

    /// Returns whether it is a map.
    pub(crate) const fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    /// Returns the value under `key` of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let mut entries = self.entries().iter();
        entries.find(|(name, _)| name.text() == Some(key)).map(|(_, value)| &**value)
    }

    /// Returns where the first value in it is that has a tag which is none of YAML's own.
    pub(crate) fn first_tagged(&self) -> Option<Position> {
        let mut ahead = vec![self];
        let mut first = None;
        while let Some(node) = ahead.pop() {
            if node.foreign_tag.is_some() {
                first = Some(first.map_or(node.at, |first: Position| first.min(node.at)));
            }
            ahead.extend(node.items().into_iter().flatten().map(|item| &**item));
            ahead.extend(node.entries().iter().map(|(_, value)| &**value));
        }
        first
    }

    /// Returns how many values it consists of, those of aliases as often as they are repeated, or
    /// something above `limit`.
    pub(crate) fn count(&self, limit: usize) -> usize {
        let mut count = 0_usize;
        let mut ahead = vec![self];
        while let (Some(node), true) = (ahead.pop(), count <= limit) {
            count = count.saturating_add(1);
            ahead.extend(node.items().into_iter().flatten().map(|item| &**item));
            ahead.extend(node.entries().iter().map(|(_, value)| &**value));
        }
        count
    }
}

fn measure<'a>(parts: impl Iterator<Item = &'a Rc<Node>>) -> (usize, usize) {
    parts.fold((0, 0), |(weight, depth), part| {
        (weight.saturating_add(part.weight), depth.max(part.depth))
    })
}
