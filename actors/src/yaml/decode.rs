//! Makes typed values of nodes, and notes the keys that no type knows.

use std::cell::RefCell;
use std::rc::Rc;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess,
    SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::error::YamlError;
use super::flexible::{AS_WRITTEN, OR_TEXT};
use super::node::{Content, Entry, Node};
use super::path::Path;
use super::plain::{self, Plain};
use super::unread::{MAX_UNREAD, Unread, UnreadKey, nearest};

/// Reads `root` as a `T`; returns besides the keys that were not read as they are.
pub(super) fn decode<T: DeserializeOwned>(root: &Node) -> Result<(T, Vec<UnreadKey>), YamlError> {
    let unread = RefCell::new(Vec::new());
    let decoder = Decoder { node: root, path: Path::Root, unread: &unread, as_text: false };
    let value = T::deserialize(decoder);
    let mut unread = unread.into_inner();
    unread.sort_by_key(|key| key.at);
    let slip = || unread.iter().find(|key| matches!(key.what, Unread::Unknown(_))).cloned();
    match value {
        Ok(value) => Ok((value, unread)),
        Err(error) => Err(error.beside(slip())),
    }
}

#[derive(Clone, Copy)]
struct Decoder<'n> {
    node: &'n Node,
    path: Path<'n>,
    unread: &'n RefCell<Vec<UnreadKey>>,
    /// Whatever it looks like, it is wanted as it is written.
    as_text: bool,
}

impl<'n> Decoder<'n> {
    /// Names the place in an error that names none.
    fn located<T>(self, result: Result<T, YamlError>) -> Result<T, YamlError> {
        result.map_err(|error| error.or_at(self.node.at(), || self.path.to_string()))
    }

    fn fail<T>(self, what: impl Into<String>) -> Result<T, YamlError> {
        self.located(Err(YamlError::new(what, None)))
    }

    /// Refuses a value with a tag of its own: it is not what it looks like.
    fn untagged(self) -> Result<&'n Node, YamlError> {
        match self.node.foreign_tag() {
            None => Ok(self.node),
            Some(_) => self.fail("a value that starts with ! is a tag to YAML; put it in quotes"),
        }
    }

    fn unexpected<'de, V: Visitor<'de>>(self, visitor: &V) -> YamlError {
        let found = match self.node.content() {
            Content::Plain(text) => match plain::resolve(text) {
                Plain::Null => Unexpected::Unit,
                Plain::Bool(value) => Unexpected::Bool(value),
                Plain::Unsigned(_) | Plain::Signed(_) => Unexpected::Signed(0),
                Plain::Float(_) => Unexpected::Float(0.0),
                Plain::Text(_) => Unexpected::Str(""),
            },
            Content::Text(_) => Unexpected::Str(""),
            Content::List(_) => Unexpected::Seq,
            Content::Map(_) => Unexpected::Map,
        };
        YamlError::invalid_type(found, visitor)
    }

    /// Reads a whole number, which may be written with a fraction of zero.
    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        let result = match self.untagged()?.content() {
            Content::Plain(text) => match (plain::integer(text), plain::float(text)) {
                (Some(number), _) => visit_integer(number, visitor),
                #[allow(clippy::cast_possible_truncation, reason = "it is whole and small")]
                (None, Some(number)) if number.fract() == 0.0 && number.abs() < 1e15 => {
                    visit_integer(number as i128, visitor)
                }
                (None, _) => Err(self.unexpected(&visitor)),
            },
            Content::Text(text) if plain::integer(text).is_some() => {
                Err(YamlError::new("in quotes a number is text; write it without quotes", None))
            }
            Content::Text(_) | Content::List(_) | Content::Map(_) => Err(self.unexpected(&visitor)),
        };
        self.located(result)
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        let result = match self.untagged()?.content() {
            Content::Plain(text) => match (plain::float(text), plain::integer(text)) {
                (Some(number), _) => visitor.visit_f64(number),
                #[allow(clippy::cast_precision_loss, reason = "a float was asked for")]
                (None, Some(number)) => visitor.visit_f64(number as f64),
                (None, None) => Err(self.unexpected(&visitor)),
            },
            Content::Text(_) | Content::List(_) | Content::Map(_) => Err(self.unexpected(&visitor)),
        };
        self.located(result)
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        let result = match self.untagged()?.content() {
            Content::Plain(text) if plain::is_null(text) => visitor.visit_str(""),
            Content::Plain(text) | Content::Text(text) => visitor.visit_str(text),
            Content::List(_) | Content::Map(_) => Err(self.unexpected(&visitor)),
        };
        self.located(result)
    }

    fn map<'de, V: Visitor<'de>>(
        self,
        fields: Option<&'static [&'static str]>,
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        let node = self.untagged()?;
        if !node.is_map() && !node.is_null() {
            return self.located(Err(self.unexpected(&visitor)));
        }
        let entries = Entries { decoder: self, fields, rest: node.entries().iter(), value: None };
        self.located(visitor.visit_map(entries))
    }
}

fn visit_integer<'de, V: Visitor<'de>>(number: i128, visitor: V) -> Result<V::Value, YamlError> {
    match (u64::try_from(number), i64::try_from(number)) {
        (Ok(number), _) => visitor.visit_u64(number),
        (Err(_), Ok(number)) => visitor.visit_i64(number),
        (Err(_), Err(_)) => Err(YamlError::new("a number is too large", None)),
    }
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = YamlError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        let node = self.untagged()?;
        match node.content() {
            Content::List(_) => self.deserialize_seq(visitor),
            Content::Map(_) => self.map(None, visitor),
            Content::Plain(_) | Content::Text(_) if self.as_text => self.text(visitor),
            Content::Text(text) => self.located(visitor.visit_str(text)),
            Content::Plain(text) => self.located(match plain::resolve(text) {
                Plain::Null => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Unsigned(number) => visitor.visit_u64(number),
                Plain::Signed(number) => visitor.visit_i64(number),
                Plain::Float(number) => visitor.visit_f64(number),
                Plain::Text(text) => visitor.visit_str(text),
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        let result = match self.untagged()?.content() {
            Content::Plain(text) => match plain::boolean(text) {
                Some(value) => visitor.visit_bool(value),
                None => Err(self.unexpected(&visitor)),
            },
            Content::Text(text) if plain::boolean(text).is_some() => {
                Err(YamlError::new("in quotes a boolean is text; write true or false", None))
            }
            Content::Text(_) | Content::List(_) | Content::Map(_) => Err(self.unexpected(&visitor)),
        };
        self.located(result)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.float(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        match self.node.is_null() {
            true => self.located(visitor.visit_none()),
            false => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        match (name, self.node.content()) {
            (AS_WRITTEN, _) | (OR_TEXT, Content::Plain(_) | Content::Text(_)) => self.text(visitor),
            (OR_TEXT, Content::List(_) | Content::Map(_)) => visitor.visit_some(self),
            // Read as a number it would not be what its author wrote.
            ("Quantity", _) => visitor.visit_newtype_struct(Self { as_text: true, ..self }),
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        let node = self.untagged()?;
        let items = match node.items() {
            Some(items) => items,
            None if node.is_null() => &[],
            None => return self.located(Err(self.unexpected(&visitor))),
        };
        self.located(visitor.visit_seq(Items { decoder: self, rest: items.iter().enumerate() }))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        self.map(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        self.map(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, YamlError> {
        let result = match self.untagged()?.text() {
            Some(text) => visitor.visit_enum(StrDeserializer::<YamlError>::new(text)),
            None => Err(self.unexpected(&visitor)),
        };
        self.located(result)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, YamlError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple_struct
    }
}

struct Items<'n> {
    decoder: Decoder<'n>,
    rest: std::iter::Enumerate<std::slice::Iter<'n, Rc<Node>>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = YamlError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, YamlError> {
        let Some((index, node)) = self.rest.next() else { return Ok(None) };
        let path = Path::Index(&self.decoder.path, index);
        let decoder = Decoder { node, path, unread: self.decoder.unread, as_text: false };
        seed.deserialize(decoder).map(Some)
    }
}

struct Entries<'n> {
    decoder: Decoder<'n>,
    /// Those of the wanted struct; none where keys are free.
    fields: Option<&'static [&'static str]>,
    rest: std::slice::Iter<'n, Entry>,
    value: Option<(&'n Node, &'n str)>,
}

impl<'n> Entries<'n> {
    /// Returns the field that `key` stands for, and notes it where that is another or none.
    fn field(&self, key: &'n Node, name: &'n str) -> &'n str {
        let Some(fields) = self.fields else { return name };
        if fields.contains(&name) {
            return name;
        }
        let what = match self.other_case(fields, name) {
            Some(meant) => Unread::ReadAs(meant),
            None => Unread::Unknown(nearest(name, fields)),
        };
        let mut unread = self.decoder.unread.borrow_mut();
        if unread.len() < MAX_UNREAD {
            let path = Path::Key(&self.decoder.path, name).to_string();
            unread.push(UnreadKey { at: key.at(), path, key: name.to_owned(), what });
        }
        match what {
            Unread::ReadAs(meant) => meant,
            Unread::Unknown(_) => name,
        }
    }

    /// Returns the field that differs from `name` in case only, unless two of the map's keys would
    /// be read as it.
    fn other_case(&self, fields: &[&'static str], name: &str) -> Option<&'static str> {
        let meant = fields.iter().copied().find(|field| field.eq_ignore_ascii_case(name))?;
        let keys = self.decoder.node.entries().iter().filter_map(|(key, _)| key.text());
        (keys.filter(|key| key.eq_ignore_ascii_case(meant)).count() == 1).then_some(meant)
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = YamlError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, YamlError> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        let name = key.text().unwrap_or_default();
        let field = self.field(key, name);
        self.value = Some((value, name));
        let deserializer: StrDeserializer<'_, YamlError> = field.into_deserializer();
        let read = seed.deserialize(deserializer);
        read.map(Some).map_err(|error| error.or_at(key.at(), || self.decoder.path.to_string()))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, YamlError> {
        let Some((node, name)) = self.value.take() else {
            return Err(YamlError::new("a key has no value", None));
        };
        let path = Path::Key(&self.decoder.path, name);
        seed.deserialize(Decoder { node, path, unread: self.decoder.unread, as_text: false })
    }
}
