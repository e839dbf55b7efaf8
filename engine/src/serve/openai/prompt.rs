//! The shapes of a prompt. Checked while they are read, so that a body full of brackets does not become many times its size
//! in memory.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// Prompts of one body at most.
pub(super) const PROMPTS: usize = 1024;

/// One prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
}

/// The prompts of one body: a string, a list of strings, token ids, or a list of lists of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompts(pub(super) Vec<Prompt>);

/// One thing in the list that a prompt may be.
enum Item {
    Text(String),
    Token(u32),
    Tokens(Vec<u32>),
}

struct Token(u32);

fn token<E: Error>(id: impl TryInto<u32> + Copy + fmt::Display) -> Result<u32, E> {
    id.try_into().map_err(|_| E::custom(format_args!("{id} is no token id")))
}

struct TokenVisitor;

impl Visitor<'_> for TokenVisitor {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token id")
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<u32, E> {
        token(id)
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<u32, E> {
        token(id)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(TokenVisitor).map(Self)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a token id, or a list of token ids")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Item, E> {
        Ok(Item::Text(text))
    }

    fn visit_u64<E: Error>(self, id: u64) -> Result<Item, E> {
        token(id).map(Item::Token)
    }

    fn visit_i64<E: Error>(self, id: i64) -> Result<Item, E> {
        token(id).map(Item::Token)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item, A::Error> {
        let mut tokens = Vec::new();
        while let Some(Token(id)) = list.next_element()? {
            tokens.push(id);
        }
        Ok(Item::Tokens(tokens))
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct PromptsVisitor;

impl<'de> Visitor<'de> for PromptsVisitor {
    type Value = Prompts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a list of strings, a list of token ids, or a list of such lists")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prompts, E> {
        Ok(Prompts(vec![Prompt::Text(text.to_owned())]))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Prompts, E> {
        Ok(Prompts(vec![Prompt::Text(text)]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Prompts, A::Error> {
        let mixed = || A::Error::custom("strings, token ids and lists of token ids cannot be mixed");
        let mut prompts = Vec::new();
        let mut tokens = Vec::new();
        while let Some(item) = list.next_element()? {
            let text = matches!(item, Item::Text(_));
            let other_kind = prompts.last().is_some_and(|last| matches!(last, Prompt::Text(_)) != text);
            match item {
                Item::Token(id) if prompts.is_empty() => tokens.push(id),
                Item::Text(text) if tokens.is_empty() && !other_kind => prompts.push(Prompt::Text(text)),
                Item::Tokens(ids) if tokens.is_empty() && !other_kind => prompts.push(Prompt::Tokens(ids)),
                Item::Token(_) | Item::Text(_) | Item::Tokens(_) => return Err(mixed()),
            }
            if prompts.len() > PROMPTS {
                return Err(A::Error::custom(format_args!("more than {PROMPTS} prompts in one request")));
            }
        }
        if prompts.is_empty() {
            prompts.push(Prompt::Tokens(tokens));
        }
        Ok(Prompts(prompts))
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Prompt>, String> {
        serde_json::from_str::<Prompts>(json).map(|prompts| prompts.0).map_err(|error| error.to_string())
    }

    #[test]
    fn all_four_shapes_are_read() {
        let text = |text: &str| Prompt::Text(text.to_owned());
        assert_eq!(read(r#""a\nb""#), Ok(vec![text("a\nb")]));
        assert_eq!(read(r#"["a", "b"]"#), Ok(vec![text("a"), text("b")]));
        assert_eq!(read("[1, 2]"), Ok(vec![Prompt::Tokens(vec![1, 2])]));
        assert_eq!(read("[[1, 2], [3]]"), Ok(vec![Prompt::Tokens(vec![1, 2]), Prompt::Tokens(vec![3])]));
        assert_eq!(read("[]"), Ok(vec![Prompt::Tokens(vec![])]));
    }

    #[test]
    fn other_shapes_are_refused() {
        for (json, why) in [
            (r#"["a", 1]"#, "cannot be mixed"),
            (r#"[1, "a"]"#, "cannot be mixed"),
            ("[[1], 2]", "cannot be mixed"),
            (r#"["a", [1]]"#, "cannot be mixed"),
            ("[-1]", "-1 is no token id"),
            ("[4294967296]", "is no token id"),
            ("[1.5]", "expected a string, a token id"),
            ("[[1.5]]", "expected a token id"),
            ("{}", "expected a string, a list of strings"),
            ("3", "expected a string, a list of strings"),
        ] {
            let error = read(json).expect_err(json);
            assert!(error.contains(why), "{json}: {error}");
        }
        let many = format!("[{}]", vec![r#""""#; PROMPTS + 1].join(","));
        assert!(read(&many).expect_err("too many").contains("more than 1024 prompts"));
    }
}
