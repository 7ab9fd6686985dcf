//! Bounds for what is kept of podman's answers: the podman of another user may answer anything.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::pod_manifest::{BOOT_ID, CONTAINERS, DEVICE, ID, WORKLOAD};

/// Rows of a listing of everything.
pub(in crate::podman_executor) const MAX_ROWS: usize = 4096;
/// Rows of a listing of one pod.
pub(in crate::podman_executor) const MAX_ROWS_OF_ONE: usize = 256;
/// Bytes of a name, an id, or the value of a label. Kubernetes allows names of 253.
const MAX_TEXT: usize = 1024;
/// Bytes of a path; the kernel allows no more.
const MAX_PATH: usize = 4096;
/// Bytes that are kept of podman's texts; readers cut them further.
pub(in crate::podman_executor) const MAX_WORDS: usize = 4096;
/// Texts in a list of them.
const MAX_TEXTS: usize = 64;

/// The rows of a listing, at most `MAX` of them. podman writes `null` for none.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::podman_executor) struct Rows<T, const MAX: usize>(
    pub(in crate::podman_executor) Vec<T>,
);

impl<T, const MAX: usize> Default for Rows<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: DeserializeOwned, const MAX: usize> Deserialize<'de> for Rows<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RowsVisitor(PhantomData))
    }
}

struct RowsVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: DeserializeOwned, const MAX: usize> Visitor<'de> for RowsVisitor<T, MAX> {
    type Value = Rows<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Rows::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while rows.len() < MAX {
            match list.next_element()? {
                Some(row) => rows.push(row),
                None => return Ok(Rows(rows)),
            }
        }
        match list.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::custom(format!("it lists more than {MAX}"))),
            None => Ok(Rows(rows)),
        }
    }
}

/// A text of at most `MAX` bytes.
struct Text<const MAX: usize>(String);

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor::<MAX>).map(Self)
    }
}

struct TextVisitor<const MAX: usize>;

impl<const MAX: usize> Visitor<'_> for TextVisitor<MAX> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of at most {MAX} bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        if text.len() > MAX {
            return Err(E::custom(format!("a text in it has more than {MAX} bytes")));
        }
        Ok(text.to_owned())
    }
}

/// What podman says in words, cut.
#[derive(Default)]
struct Words(String);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Cut;
        impl Visitor<'_> for Cut {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(cut(text, MAX_WORDS).to_owned()))
            }
        }
        deserializer.deserialize_str(Cut)
    }
}

/// Returns the beginning of `text`, at most that many bytes of whole characters.
pub(in crate::podman_executor) fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// Reads a name, an id or the like.
pub(in crate::podman_executor) fn text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    Text::<MAX_TEXT>::deserialize(deserializer).map(|text| text.0)
}

/// Reads a path.
pub(in crate::podman_executor) fn path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    Text::<MAX_PATH>::deserialize(deserializer).map(|text| text.0)
}

/// Reads what podman says in words; what is too long is cut.
pub(in crate::podman_executor) fn words<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<String, D::Error> {
    Words::deserialize(deserializer).map(|words| words.0)
}

/// Reads a list of names; podman writes `null` for none.
pub(in crate::podman_executor) fn texts<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let texts = Rows::<Text<MAX_TEXT>, MAX_TEXTS>::deserialize(deserializer)?;
    Ok(texts.0.into_iter().map(|text| text.0).collect())
}

/// Reads a list of what podman says in words, the first of them; podman writes `null` for none.
pub(in crate::podman_executor) fn several_words<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    struct First;
    impl<'de> Visitor<'de> for First {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while all.len() < MAX_TEXTS {
                match list.next_element::<Words>()? {
                    Some(words) => all.push(words.0),
                    None => return Ok(all),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(all)
        }
    }
    deserializer.deserialize_any(First)
}

/// Reads the labels by which the agent knows its own pods, and no others; podman writes `null` for none.
pub(in crate::podman_executor) fn labels<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Own;
    impl<'de> Visitor<'de> for Own {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("labels")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut labels = BTreeMap::new();
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                if [ID, WORKLOAD, DEVICE, BOOT_ID, CONTAINERS].contains(&key.as_ref()) {
                    let value = map.next_value::<Text<MAX_TEXT>>()?;
                    labels.insert(key.into_owned(), value.0);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(labels)
        }
    }
    deserializer.deserialize_any(Own)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::podman_executor::libpod::types::{ContainerRow, ErrorAnswer};

    fn rows<const MAX: usize>(text: &str) -> Result<Vec<ContainerRow>, String> {
        let rows = serde_json::from_str::<Rows<ContainerRow, MAX>>(text);
        rows.map(|rows| rows.0).map_err(|error| error.to_string())
    }

    #[test]
    fn a_listing_has_no_more_rows_than_it_may() {
        assert_eq!(rows::<2>("null"), Ok(Vec::new()));
        assert_eq!(rows::<2>("[]"), Ok(Vec::new()));
        assert_eq!(rows::<2>("[{}, {}]").unwrap().len(), 2);
        let error = rows::<2>("[{}, {}, {}]").unwrap_err();
        assert!(error.contains("it lists more than 2"), "{error}");
        for wrong in ["{}", "1", "\"x\"", "[1]", "[{}", "[{},"] {
            assert!(rows::<2>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_in_a_row_have_no_more_bytes_than_they_may() {
        let long = "x".repeat(MAX_TEXT + 1);
        for (row, is_taken) in [
            (json!({"Id": &long[1..], "Names": [&long[1..]]}), true),
            (json!({"Id": long}), false),
            (json!({"PodName": long}), false),
            (json!({"State": long}), false),
            (json!({"Names": [long]}), false),
            (json!({"Names": vec!["x"; MAX_TEXTS + 1]}), false),
            (json!({"Labels": {"device-worker-ng/id": long}}), false),
        ] {
            let read = rows::<2>(&json!([row]).to_string());
            assert_eq!(read.is_ok(), is_taken, "{read:?}");
        }
    }

    #[test]
    fn of_labels_only_those_are_kept_that_say_whose_a_pod_is() {
        let long = "x".repeat(MAX_TEXT + 1);
        let mut labels = json!({ID: "web-1", WORKLOAD: "web", DEVICE: "d", BOOT_ID: "b"});
        labels[CONTAINERS] = json!("1");
        let kept: BTreeMap<String, String> = serde_json::from_value(labels.clone()).unwrap();
        labels[&long] = json!(long);
        labels["other"] = Value::Null;
        let read = rows::<2>(&json!([{"Labels": labels}]).to_string()).unwrap();
        assert_eq!(read[0].labels, kept);
    }

    #[test]
    fn what_podman_says_in_words_is_cut_and_not_refused() {
        // Two bytes each: the cut is between two letters.
        let long = "ä".repeat(MAX_WORDS);
        let error: ErrorAnswer = serde_json::from_value(
            json!({"cause": format!("x{long}"), "message": "m", "Errs": vec![long; MAX_TEXTS + 5]}),
        )
        .unwrap();
        assert_eq!(error.cause.len(), MAX_WORDS - 1);
        assert_eq!((error.errs.len(), error.errs[0].len()), (MAX_TEXTS, MAX_WORDS));
    }
}
