//! Values that matter only by whether they ask for something.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Bytes of a text that may be a word with a meaning.
const WORD: usize = 16;

/// The outline of a value that is looked at only to see whether it asks for something.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outline {
    Nothing,
    Flag(bool),
    Number(f64),
    /// A short text.
    Word(String),
    /// A longer text, a list or an object with something in it.
    Filled,
}

struct OutlineVisitor;

impl<'de> Visitor<'de> for OutlineVisitor {
    type Value = Outline;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Outline, E> {
        Ok(Outline::Nothing)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Outline, E> {
        Ok(Outline::Flag(flag))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Outline, E> {
        Ok(Outline::Number(number as f64))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Outline, E> {
        Ok(Outline::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Outline, E> {
        Ok(Outline::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Outline, E> {
        Ok(match text.len() {
            0 => Outline::Nothing,
            1..=WORD => Outline::Word(text.to_owned()),
            _ => Outline::Filled,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Outline, A::Error> {
        let mut outline = Outline::Nothing;
        while list.next_element::<IgnoredAny>()?.is_some() {
            outline = Outline::Filled;
        }
        Ok(outline)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outline, A::Error> {
        let mut outline = Outline::Nothing;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            outline = Outline::Filled;
        }
        Ok(outline)
    }
}

impl<'de> Deserialize<'de> for Outline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OutlineVisitor)
    }
}
