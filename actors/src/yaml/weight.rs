//! How much memory the aliases of a YAML text would take, before any is taken.
//!
//! A few bytes of YAML can stand for gigabytes: a list that is named once and repeated by its alias
//! a thousand times, each repetition in a list of that kind.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess,
    VariantAccess as _, Visitor,
};

/// What a value weighs besides its text, in bytes.
const NODE: usize = 32;

/// Returns how many bytes of `limit` are left when `text` is expanded, `None` when that is not
/// enough. What is no YAML passes: its reader says why.
pub(super) fn left(text: &str, limit: usize) -> Option<usize> {
    // Without an anchor and an alias no value is there twice.
    if !(text.contains('&') && text.contains('*')) {
        return Some(limit);
    }
    let left = Cell::new(Some(limit));
    for document in serde_yaml::Deserializer::from_str(text) {
        if Scales(&left).deserialize(document).is_err() {
            break;
        }
    }
    left.get()
}

/// Weighs values as they are visited, and keeps none. `None` is left when there was too much.
struct Scales<'a>(&'a Cell<Option<usize>>);

impl Scales<'_> {
    fn weigh<E: Error>(&self, text: usize) -> Result<(), E> {
        let left = self.0.get().and_then(|left| left.checked_sub(text)?.checked_sub(NODE));
        self.0.set(left);
        left.map(drop).ok_or_else(|| E::custom("it is too heavy"))
    }
}

impl<'de> DeserializeSeed<'de> for Scales<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scales<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.weigh(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.weigh(text.len())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.weigh(0)?;
        while seq.next_element_seed(Scales(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.weigh(0)?;
        while map.next_key_seed(Scales(self.0))?.is_some() {
            map.next_value_seed(Scales(self.0))?;
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<(), A::Error> {
        let (_, content) = data.variant::<IgnoredAny>()?;
        content.newtype_variant_seed(Scales(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any of the texts has without its aliases.
    const LIMIT: usize = 8 * 1024 * 1024;

    #[test]
    fn aliases_that_multiply_are_refused_and_those_that_save_typing_are_not() {
        let list = |item: &str, count: usize| format!("[{}]", format!("{item},").repeat(count));
        let flat = format!("a: &a {}\nb: {}\n", list("1", 10_000), list("*a", 10_000));
        let text = format!("a: &a {}\nb: {}\n", "x".repeat(1_000_000), list("*a", 20));
        let keys = format!("a: &a {{{}: 1}}\nb: {}\n", "k".repeat(1_000), list("*a", 10_000));
        let tagged = format!("a: &a !t {}\nb: {}\n", list("1", 10_000), list("*a", 10_000));
        let second = format!("x: 1\n---\n{flat}");
        for bomb in [flat, text, keys, tagged, second] {
            assert_eq!(left(&bomb, LIMIT), None, "{}", &bomb[..80]);
        }
        for good in [
            "a: &a {x: 1}\nb: *a\n".to_owned(),
            format!("a: &a [1, 2]\nb: {}\n", list("*a", 10_000)),
            "cron: */5 * * * *\nargs: [a && b]\n".to_owned(),
            "a: &a [*a]\n".to_owned(),
            "&".to_owned(),
        ] {
            assert!(left(&good, LIMIT).is_some(), "{good}");
        }
    }

    #[test]
    fn the_same_text_takes_the_same_each_time() {
        let text = "a: &a [xy, z]\nb: [*a, *a]\n";
        // A map with two keys and two lists; the first list stands for itself and for two aliases.
        let weight = LIMIT - left(text, LIMIT).unwrap();
        assert_eq!(weight, 13 * NODE + "ab".len() + 3 * "xyz".len());
        assert_eq!(left(text, weight), Some(0));
        assert_eq!(left(text, weight - 1), None);
    }
}
