//! A request body as it is sent.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::content::Stops;
use super::error::ApiError;
use super::messages::{Message, Messages};
use super::outline::Outline;
use super::prompt::Prompts;

/// The fields of all endpoints that are looked at; others are ignored. An absent field and `null` are the same.
#[derive(Debug, Default)]
pub(super) struct Wire {
    pub(super) model: Option<String>,
    pub(super) prompt: Option<Prompts>,
    pub(super) messages: Option<Vec<Message>>,
    pub(super) add_special_tokens: Option<bool>,
    pub(super) max_tokens: Option<i64>,
    pub(super) max_completion_tokens: Option<i64>,
    pub(super) min_tokens: Option<i64>,
    pub(super) ignore_eos: Option<bool>,
    pub(super) n: Option<i64>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) seed: Option<i64>,
    pub(super) logprobs: Option<Outline>,
    pub(super) top_logprobs: Option<i64>,
    pub(super) stop: Option<Stops>,
    pub(super) stop_token_ids: Option<Vec<u32>>,
    pub(super) return_token_ids: Option<bool>,
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    response_format: Option<ResponseFormat>,
    /// Of [`UNSUPPORTED`], those that are there.
    others: Vec<(&'static str, Outline)>,
}

/// Values of a field that ask for nothing, beside `null` and what is empty.
#[derive(Clone, Copy, Debug)]
enum Neutral {
    /// `false`.
    False,
    /// `true`.
    True,
    /// These numbers, and `false`.
    Numbers(&'static [f64]),
    /// These words.
    Words(&'static [&'static str]),
}

/// What would change the answer if it were done as vLLM and OpenAI do it, and so is refused rather than ignored. (`best_of`
/// asks for nothing when it is not above `n`, too.)
const UNSUPPORTED: [(&str, Neutral); 37] = [
    ("add_generation_prompt", Neutral::True),
    ("allowed_token_ids", Neutral::False),
    ("audio", Neutral::False),
    ("bad_words", Neutral::False),
    ("best_of", Neutral::Numbers(&[1.0])),
    ("chat_template", Neutral::False),
    ("chat_template_kwargs", Neutral::False),
    ("continue_final_message", Neutral::False),
    ("documents", Neutral::False),
    ("echo", Neutral::False),
    ("frequency_penalty", Neutral::Numbers(&[0.0])),
    ("function_call", Neutral::Words(&["auto", "none"])),
    ("functions", Neutral::False),
    ("guided_choice", Neutral::False),
    ("guided_grammar", Neutral::False),
    ("guided_json", Neutral::False),
    ("guided_regex", Neutral::False),
    ("include_stop_str_in_output", Neutral::False),
    ("logit_bias", Neutral::False),
    ("logits_processors", Neutral::False),
    ("min_p", Neutral::Numbers(&[0.0])),
    ("presence_penalty", Neutral::Numbers(&[0.0])),
    ("prompt_embeds", Neutral::False),
    ("prompt_logprobs", Neutral::False),
    ("repetition_penalty", Neutral::Numbers(&[1.0])),
    ("return_tokens_as_token_ids", Neutral::False),
    ("skip_special_tokens", Neutral::True),
    ("structural_tag", Neutral::False),
    ("structured_outputs", Neutral::False),
    ("suffix", Neutral::False),
    ("thinking_token_budget", Neutral::False),
    ("tool_choice", Neutral::Words(&["auto", "none"])),
    ("tools", Neutral::False),
    ("top_k", Neutral::Numbers(&[-1.0, 0.0])),
    ("truncate_prompt_tokens", Neutral::False),
    ("use_beam_search", Neutral::False),
    ("web_search_options", Neutral::False),
];

impl Neutral {
    fn is_asked(self, outline: &Outline) -> bool {
        match (outline, self) {
            (Outline::Nothing, _) => false,
            (Outline::Flag(flag), Self::True) => !flag,
            (Outline::Flag(flag), _) => *flag,
            (Outline::Number(number), Self::Numbers(neutral)) => !neutral.contains(number),
            (Outline::Word(word), Self::Words(neutral)) => !neutral.contains(&word.as_str()),
            (Outline::Number(_) | Outline::Word(_) | Outline::Filled, _) => true,
        }
    }
}

/// What a stream contains beyond the text.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    pub(super) include_usage: Option<bool>,
    pub(super) continuous_usage_stats: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Wire {
    /// Reads a body for a model with a context of so many tokens.
    pub(super) fn read(body: &[u8], context: u32) -> Result<Self, ApiError> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let mut field = None;
        let wire =
            Reader { field: &mut field, context }.deserialize(&mut json).map_err(|error| match error.classify() {
                Category::Data => match field {
                    Some(field) => ApiError::field(&field, format!("`{field}`: {error}")),
                    None => ApiError::invalid(format!("the request body: {error}")),
                },
                Category::Syntax | Category::Eof | Category::Io => malformed(&error),
            })?;
        json.end().map_err(|error| malformed(&error))?;
        wire.refuse_unsupported()?;
        Ok(wire)
    }

    /// Refuses what is asked for and cannot be done. Values that ask for nothing (a penalty of 0) are fine.
    fn refuse_unsupported(&self) -> Result<(), ApiError> {
        let n = self.n.unwrap_or(1) as f64;
        for (name, outline) in &self.others {
            let neutral =
                UNSUPPORTED.iter().find(|(known, _)| known == name).map_or(Neutral::False, |(_, known)| *known);
            let no_more = *name == "best_of" && matches!(outline, Outline::Number(number) if *number <= n);
            if neutral.is_asked(outline) && !no_more {
                return Err(ApiError::field(*name, format!("`{name}` is not supported by this server")));
            }
        }
        match self.response_format.as_ref().and_then(|format| format.kind.as_deref()) {
            None | Some("text") => Ok(()),
            Some(_) => Err(ApiError::field("response_format", "`response_format` other than text is not supported")),
        }
    }
}

fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::invalid(format!("the request body is not valid JSON: {error}"))
}

/// Reads a body and leaves in `field` where it was when something was wrong.
struct Reader<'a> {
    field: &'a mut Option<String>,
    context: u32,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Wire;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Wire, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Wire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wire, A::Error> {
        let mut wire = Wire::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            // As long as a name that means something.
            *self.field = Some(key.chars().take(64).collect());
            match &*key {
                "model" => wire.model = map.next_value()?,
                "prompt" => wire.prompt = map.next_value()?,
                "messages" => wire.messages = map.next_value_seed(Messages { context: self.context })?,
                "add_special_tokens" => wire.add_special_tokens = map.next_value()?,
                "max_tokens" => wire.max_tokens = map.next_value()?,
                "max_completion_tokens" => wire.max_completion_tokens = map.next_value()?,
                "min_tokens" => wire.min_tokens = map.next_value()?,
                "ignore_eos" => wire.ignore_eos = map.next_value()?,
                "n" => wire.n = map.next_value()?,
                "temperature" => wire.temperature = map.next_value()?,
                "top_p" => wire.top_p = map.next_value()?,
                "seed" => wire.seed = map.next_value()?,
                "logprobs" => wire.logprobs = map.next_value()?,
                "top_logprobs" => wire.top_logprobs = map.next_value()?,
                "stop" => wire.stop = map.next_value()?,
                "stop_token_ids" => wire.stop_token_ids = map.next_value()?,
                "return_token_ids" => wire.return_token_ids = map.next_value()?,
                "stream" => wire.stream = map.next_value()?,
                "stream_options" => wire.stream_options = map.next_value()?,
                "response_format" => wire.response_format = map.next_value()?,
                key => match UNSUPPORTED.iter().find(|(known, _)| *known == key) {
                    Some((known, _)) if wire.others.len() < UNSUPPORTED.len() => {
                        wire.others.push((known, map.next_value()?));
                    }
                    _ => _ = map.next_value::<IgnoredAny>()?,
                },
            }
            *self.field = None;
        }
        Ok(wire)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONTEXT: u32 = 100;

    proptest! {
        /// Pieces of bodies in any order, so that many get past the first brace.
        #[test]
        fn any_body_is_read_or_refused(pieces in prop::collection::vec(prop_oneof![
            Just(b"{".to_vec()), Just(b"}".to_vec()), Just(b"[".to_vec()), Just(b"]".to_vec()), Just(b",".to_vec()),
            Just(br#"{"model":"m","#.to_vec()), Just(br#""prompt":"#.to_vec()), Just(br#""stop":"#.to_vec()),
            Just(br#""messages":[{"role":"user","content":"#.to_vec()), Just(br#""logit_bias":"#.to_vec()),
            Just(br#""text""#.to_vec()), Just(b"-1".to_vec()), Just(b"1e99".to_vec()), Just(b"null".to_vec()),
            prop::collection::vec(any::<u8>(), 0..6),
        ], 0..14)) {
            if let Err(error) = Wire::read(&pieces.concat(), CONTEXT) {
                prop_assert_eq!(error.status, 400);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&error.body()).is_ok());
            }
        }
    }

    fn refused(body: &str) -> (u16, String) {
        let error = Wire::read(body.as_bytes(), CONTEXT).expect_err(body);
        (error.status, error.body())
    }

    #[test]
    fn unknown_fields_and_nulls_are_nothing() {
        let wire =
            Wire::read(br#"{"model": "m", "n": null, "user": {"a": [1]}, "logprobs": null, "top_k": -1}"#, CONTEXT);
        let wire = wire.expect("a body");
        assert_eq!((wire.model.as_deref(), wire.n), (Some("m"), None));
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        for (field, value) in [
            ("model", "3"),
            ("prompt", "{}"),
            ("messages", r#"[{"role": 3}]"#),
            ("max_tokens", r#""many""#),
            ("max_tokens", "1.5"),
            ("max_tokens", "1e400"),
            ("n", "99999999999999999999"),
            ("temperature", r#""hot""#),
            ("stop", "[1]"),
            ("stream", r#""yes""#),
            ("stop_token_ids", "[-1]"),
        ] {
            let (status, body) = refused(&format!(r#"{{"model": "m", "{field}": {value}}}"#));
            assert_eq!(status, 400, "{field}: {body}");
            // A number beyond all numbers is no JSON to begin with.
            assert!(body.contains(&format!(r#""param":"{field}""#)) || value == "1e400", "{field}: {body}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "{", "[]", "3", r#"{"model": "m"} x"#, "\u{FEFF}{}", r#"{"model": }"#, "{model: 1}"] {
            let (status, error) = refused(body);
            assert!(status == 400 && error.contains("the request body"), "{body}: {error}");
        }
        let deep = format!(r#"{{"user": {}}}"#, "[".repeat(100_000));
        assert_eq!(refused(&deep).0, 400);
    }

    #[test]
    fn what_would_be_ignored_wrongly_is_refused() {
        for field in ["truncate_prompt_tokens", "best_of", "top_k", "presence_penalty", "min_p"] {
            let (status, body) = refused(&format!(r#"{{"{field}": 3}}"#));
            assert!(status == 400 && body.contains("not supported"), "{body}");
        }
        for value in [
            r#"{"tools": [{}]}"#,
            r#"{"echo": true}"#,
            r#"{"response_format": {"type": "json_object"}}"#,
            r#"{"tool_choice": "required"}"#,
            r#"{"tool_choice": {"type": "function"}}"#,
            r#"{"guided_json": {"type": "object"}}"#,
            r#"{"guided_regex": "a+b+c+d+e+f+g+h+"}"#,
            r#"{"logit_bias": {"5": -100}}"#,
            r#"{"skip_special_tokens": false}"#,
            r#"{"n": 2, "best_of": 3}"#,
        ] {
            assert_eq!(refused(value).0, 400, "{value}");
        }
        for value in [
            r#"{"tools": [], "tool_choice": "auto"}"#,
            r#"{"echo": false, "suffix": "", "logit_bias": {}}"#,
            r#"{"n": 3, "best_of": 3}"#,
            r#"{"skip_special_tokens": true, "response_format": {"type": "text"}}"#,
            r#"{"user": "me", "metadata": {"a": "b"}, "reasoning_effort": "low"}"#,
        ] {
            assert!(Wire::read(value.as_bytes(), CONTEXT).is_ok(), "{value}");
        }
    }

    #[test]
    fn messages_are_counted_while_they_are_read() {
        let body =
            |messages: usize| format!(r#"{{"messages": [{}]}}"#, vec![r#"{"role": "user"}"#; messages].join(","));
        let wire = Wire::read(body(100).as_bytes(), CONTEXT).expect("a body");
        assert_eq!(wire.messages.map(|messages| messages.len()), Some(100));
        let (status, error) = refused(&body(101));
        assert!(status == 400 && error.contains("more messages than the 100 tokens"), "{error}");
        // What comes after them is not even looked at.
        assert!(refused(&body(101).replace("]}", ",nonsense")).1.contains("more messages"));
        assert!(Wire::read(br#"{"messages": null}"#, CONTEXT).is_ok_and(|wire| wire.messages.is_none()));
    }
}
