//! Makes nodes of what the parser finds: aliases and merges resolved, within a budget.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{
    Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options,
};

use super::budget::{Budget, MAX_DEPTH};
use super::error::YamlError;
use super::node::{Content, Entry, Node};
use super::position::Position;

/// The key under which YAML 1.1 merges other maps.
const MERGE: &str = "<<";

/// Makes one document after the other.
pub(super) struct Composer<'t, 'b> {
    parser: Parser<'t, StrInput<'t>>,
    budget: &'b mut Budget,
    /// By the parser's number.
    anchors: HashMap<usize, Rc<Node>>,
    /// Keys and values of the present document.
    count: usize,
    has_alias: bool,
    /// The first key of the present document that stands twice in a map.
    doubled: Option<YamlError>,
}

/// A list or a map that has not ended.
struct Open {
    at: Position,
    anchor: usize,
    tag: Option<String>,
    /// Of a map keys and values in turn.
    parts: Vec<Rc<Node>>,
    is_map: bool,
}

impl<'t, 'b> Composer<'t, 'b> {
    pub(super) fn new(text: &'t str, budget: &'b mut Budget) -> Self {
        Self {
            parser: Parser::new_from_str_with_options(text, parser_options()),
            budget,
            anchors: HashMap::new(),
            count: 0,
            has_alias: false,
            doubled: None,
        }
    }

    /// Returns the next document; none at the end of the text.
    ///
    /// # Errors
    /// It is not YAML, or too much of it. What follows can be read after [`Self::skip_document`].
    pub(super) fn document(&mut self) -> Result<Option<Rc<Node>>, YamlError> {
        self.anchors.clear();
        (self.count, self.has_alias, self.doubled) = (0, false, None);
        let mut open: Vec<Open> = Vec::new();
        let mut root = None;
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| scan_error(&error))?;
            #[allow(
                clippy::wildcard_enum_match_arm,
                reason = "which variants there are depends on features that other crates ask for"
            )]
            let node = match event {
                Event::StreamEnd => return Ok(None),
                Event::DocumentEnd => break,
                Event::Alias(anchor) => self.alias(anchor, position(span.start))?,
                Event::Scalar(text, style, anchor, tag) => {
                    self.spend(&span)?;
                    let node = scalar(position(span.start), text, style, tag.as_deref());
                    self.anchored(anchor, node)
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.spend(&span)?;
                    open.push(Open::new(&span, anchor, tag.as_deref(), false));
                    continue;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.spend(&span)?;
                    open.push(Open::new(&span, anchor, tag.as_deref(), true));
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some(ended) => self.close(ended)?,
                    None => continue,
                },
                // Only where a document begins, or where the options ask for them.
                _ => continue,
            };
            match open.last_mut() {
                Some(outer) => outer.parts.push(node),
                None => root = Some(node),
            }
        }
        if let Some(root) = &root
            && self.has_alias
        {
            self.budget
                .spend_expanded(root.weight())
                .map_err(|error| error.or_at(root.at(), String::new))?;
        }
        Ok(root)
    }

    /// Returns what is wrong with keys of the last document that stand twice.
    pub(super) fn take_doubled(&mut self) -> Option<YamlError> {
        self.doubled.take()
    }

    /// Goes on behind a document that could not be read; whether there is another one.
    pub(super) fn skip_document(&mut self) -> bool {
        self.parser.proceed_next_document().unwrap_or(false)
    }

    fn spend(&mut self, span: &Span) -> Result<(), YamlError> {
        self.count = self.count.saturating_add(1);
        self.budget.spend_value(self.count, position(span.start))
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<Rc<Node>, YamlError> {
        self.has_alias = true;
        let node = self.anchors.get(&anchor).map(Rc::clone);
        node.ok_or_else(|| {
            YamlError::new("an alias (*) leads to what it is itself within", Some(at))
        })
    }

    fn anchored(&mut self, anchor: usize, node: Node) -> Rc<Node> {
        let node = Rc::new(node);
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        node
    }

    fn close(&mut self, ended: Open) -> Result<Rc<Node>, YamlError> {
        let Open { at, anchor, tag, parts, is_map } = ended;
        let content =
            if is_map { Content::Map(self.entries(parts)?) } else { Content::List(parts) };
        let node = Node::new(at, content).tagged(tag);
        if node.depth() > MAX_DEPTH {
            let what = format!("values are more than {MAX_DEPTH} levels deep in each other");
            return Err(YamlError::new(what, Some(at)));
        }
        Ok(self.anchored(anchor, node))
    }

    /// Returns the entries of a map, those that it merges behind its own.
    fn entries(&mut self, parts: Vec<Rc<Node>>) -> Result<Vec<Entry>, YamlError> {
        let (mut entries, mut merged) = (Vec::with_capacity(parts.len() / 2), Vec::new());
        let mut known: HashSet<String> = HashSet::new();
        let mut parts = parts.into_iter();
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            let Some(name) = key.text() else {
                let what = "a key is a list or a map; Kubernetes knows keys of text only";
                return Err(YamlError::new(what, Some(key.at())));
            };
            if name == MERGE && matches!(key.content(), Content::Plain(_)) {
                merged.push(value);
                continue;
            }
            if !known.insert(name.to_owned()) && self.doubled.is_none() {
                let what = format!("the key {name} stands twice in one map, the second time");
                self.doubled = Some(YamlError::new(what, Some(key.at())));
            }
            entries.push((key, value));
        }
        for source in merged {
            let one = std::slice::from_ref(&source);
            for map in source.items().unwrap_or(one) {
                if !map.is_map() {
                    let what = "<< merges what is no map";
                    return Err(YamlError::new(what, Some(map.at())));
                }
                for (key, value) in map.entries() {
                    if let Some(name) = key.text()
                        && known.insert(name.to_owned())
                    {
                        self.count = self.count.saturating_add(1);
                        self.budget.spend_value(self.count, key.at())?;
                        entries.push((Rc::clone(key), Rc::clone(value)));
                    }
                }
            }
        }
        entries.shrink_to_fit();
        Ok(entries)
    }
}

impl Open {
    fn new(span: &Span, anchor: usize, tag: Option<&Tag>, is_map: bool) -> Self {
        let tag = tag.filter(|tag| tag.core_suffix().is_none()).map(ToString::to_string);
        Self { at: position(span.start), anchor, tag, parts: Vec::new(), is_map }
    }
}

fn scalar(at: Position, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Node {
    let text = text.into_owned();
    let is_plain = matches!(style, ScalarStyle::Plain);
    match tag.map(|tag| (tag.core_suffix(), tag)) {
        None if is_plain => Node::new(at, Content::Plain(text)),
        None | Some((Some("str"), _)) => Node::new(at, Content::Text(text)),
        Some((Some(_), _)) => Node::new(at, Content::Plain(text)),
        Some((None, tag)) => Node::new(at, Content::Text(text)).tagged(Some(tag.to_string())),
    }
}

/// As libyaml reads, which kubectl and podman are built upon, where the options know a difference.
fn parser_options() -> Options {
    options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col().saturating_add(1) }
}

fn scan_error(error: &ScanError) -> YamlError {
    YamlError::new(error.info(), Some(position(*error.marker())))
}
