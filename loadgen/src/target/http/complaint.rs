//! What a server that refuses a request complains of. Pure.
//!
//! Servers of FastAPI tell the place (`loc`) of what they will not have, as JSON or, vLLM's, as the text of Python's tuples inside
//! a message; `OpenAI`'s and those that follow it tell its name (`param`). Others say it in words. Any of them may repeat the whole
//! request beside it, before or after: a field that stands there with its value is not what is meant.

use serde_json::Value;

/// A refusal, as it was said.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    /// Names of fields, from where servers tell the place.
    places: Vec<String>,
    /// All that was said, in lower case.
    text: String,
}

impl Complaint {
    /// Of the body of an answer, which is of bounded size.
    pub(super) fn read(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body).to_lowercase();
        let mut places = Vec::new();
        match serde_json::from_slice(body) {
            Ok(told) => look(&told, &mut places),
            Err(_) => look_in(&text, &mut places),
        }
        Self { places, text }
    }

    /// The first of the fields `sent` that the server tells the place of.
    pub(super) fn place(&self, sent: impl Fn(&str) -> bool) -> Option<&str> {
        self.places.iter().map(String::as_str).find(|name| sent(name))
    }

    /// The first of `names` that its words are about.
    pub(super) fn word<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let mut words: Vec<(bool, usize, &str)> = names
            .into_iter()
            .filter_map(|name| self.mention(name).map(|(repeated, at)| (repeated, at, name)))
            .collect();
        words.sort_unstable();
        match words[..] {
            [(false, _, name), ..] | [(true, _, name)] => Some(name),
            // What repeats several fields with their values tells nothing.
            _ => None,
        }
    }

    /// Whether a name stands anywhere in it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.text.contains(name)
    }

    /// Where a name stands, and whether it stands there, or everywhere, with a value.
    fn mention(&self, name: &str) -> Option<(bool, usize)> {
        let mentions = self.text.match_indices(name).filter_map(|(at, _)| {
            let (before, behind) = (&self.text[..at], &self.text[at + name.len()..]);
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let whole = !before.ends_with(is_part) && !behind.starts_with(is_part);
            let past_quotes = behind.trim_start_matches(['\\', '"', '\'']);
            let quoted = past_quotes.len() < behind.len();
            whole.then(|| (quoted && past_quotes.trim_start().starts_with(':'), at))
        });
        mentions.min()
    }
}

/// Looks for places in JSON, and in the texts in it.
fn look(told: &Value, places: &mut Vec<String>) {
    match told {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("loc", Value::Array(path)) => {
                        places.extend(path.iter().filter_map(Value::as_str).map(str::to_lowercase));
                    }
                    ("param", Value::String(name)) => places.push(name.to_lowercase()),
                    // What was sent, repeated.
                    ("input" | "body", _) => {}
                    _ => look(value, places),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| look(value, places)),
        Value::String(text) => look_in(&text.to_lowercase(), places),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Looks for places in a text: `'loc': ('body', 'ignore_eos')`.
fn look_in(text: &str, places: &mut Vec<String>) {
    for (at, name) in text.match_indices("loc") {
        let rest = text[at + name.len()..].trim_start_matches(['\\', '"', '\'']).trim_start();
        let Some(rest) = rest.strip_prefix(':').map(str::trim_start) else { continue };
        let Some(path) = rest.strip_prefix(['(', '[']) else { continue };
        let path = path.split([')', ']']).next().unwrap_or_default();
        places.extend(path.split(',').map(|part| part.trim().trim_matches(['\\', '"', '\'']).to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 4] = ["ignore_eos", "return_token_ids", "stream_options", "temperature"];

    /// What a body is about: by its place, else by its words.
    fn about(body: &str) -> Option<String> {
        let complaint = Complaint::read(body.as_bytes());
        let place = complaint.place(|name| FIELDS.contains(&name));
        place.or_else(|| complaint.word(FIELDS)).map(str::to_owned)
    }

    #[test]
    fn the_place_that_is_told_goes_before_what_is_repeated() {
        let long = "x".repeat(1000);
        for body in [
            format!(
                r#"{{"detail": [{{"input": {{"ignore_eos": true, "prompt": "{long}", "temperature": 0}}, "loc": ["body", "return_token_ids"],
                    "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}}]}}"#
            ),
            format!(
                r#"{{"error": {{"message": "[{{'input': {{'ignore_eos': True, 'x': '{long}'}}, 'loc': ('body', 'return_token_ids'), 'msg': 'no'}}]"}}}}"#
            ),
            format!(r#"{{"error": {{"message": "{{\"ignore_eos\": true}} {long}", "param": "return_token_ids"}}}}"#),
            format!(
                r#"{{"message": "in {{\"ignore_eos\":true,\"x\":\"{long}\"}}: unknown field `return_token_ids`"}}"#
            ),
            format!("{{'ignore_eos': True, 'x': '{long}'}} has return_token_ids, which is unknown"),
            "unknown field `return_token_ids`, expected one of `ignore_eos`, `temperature`".to_owned(),
            r#"{"errors": {"return_token_ids": ["unknown"]}}"#.to_owned(),
        ] {
            assert_eq!(about(&body).as_deref(), Some("return_token_ids"), "{body}");
        }
    }

    #[test]
    fn what_repeats_several_fields_or_parts_of_names_names_none() {
        for body in [
            r#"{"message": "cannot serve {\"ignore_eos\": true, \"temperature\": 0}"}"#,
            "no ignore_eos_tokens, please",
            r#"{"detail": "no such model"}"#,
            "",
            "\"loc\": 'loc': (",
        ] {
            assert_eq!(about(body), None, "{body}");
        }
    }
}
