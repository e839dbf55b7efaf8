//! What a request says beside its prompt: which fields there are, and what of it is the user's.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::text::Malformed;

/// Fields that the load itself sets.
const OURS: [&str; 8] = ["max_completion_tokens", "max_tokens", "messages", "model", "n", "prompt", "stream", "suffix"];

/// A field of the user's, as `NAME=JSON`; `null` leaves out one that would be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct BodyField {
    name: String,
    value: Value,
}

impl FromStr for BodyField {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("a field of requests", text, allowed);
        let (name, value) = text.split_once('=').ok_or_else(|| malformed("write NAME=JSON, such as top_p=0.9"))?;
        if name.is_empty() || OURS.contains(&name) {
            return Err(malformed("the load sets this field itself"));
        }
        let value = serde_json::from_str(value);
        let value = value.map_err(|error| malformed(&format!("its value is no JSON: {error}; texts are in quotes")))?;
        Ok(Self { name: name.to_owned(), value })
    }
}

impl fmt::Display for BodyField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// The fields of every request beside prompt and lengths.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    /// Those with their values.
    pub(super) all: Map<String, Value>,
    /// Whether the length is bounded by `max_completion_tokens`, as `OpenAI`'s newer models want it, and not by `max_tokens`.
    pub(super) renamed: bool,
    /// Those that the server will not have.
    pub(super) left_out: Vec<String>,
}

/// Fields beyond `OpenAI`'s protocol.
const BEYOND: [&str; 2] = ["ignore_eos", "return_token_ids"];
/// Fields that a request is good without.
const DISPENSABLE: [&str; 5] = ["ignore_eos", "nvext", "return_token_ids", "stream_options", "temperature"];

impl Fields {
    /// For a model; `strict` leaves out what is beyond `OpenAI`'s protocol, unless the user names it.
    pub(super) fn new(model: &str, strict: bool, users: &[BodyField]) -> Self {
        let mut all = Map::new();
        // A load test wants the length it asked for. `min_tokens` says no more than `ignore_eos`, and is left out: proxies that have
        // a prompt computed as a request of one token (Ray 2.60's) pass it on, and the engine refuses more than `max_tokens`.
        for (name, value) in [
            ("model", json!(model)),
            ("ignore_eos", json!(true)),
            ("temperature", json!(0.0)),
            ("stream", json!(true)),
            ("stream_options", json!({ "include_usage": true })),
            ("return_token_ids", json!(true)),
        ] {
            if !strict || !BEYOND.contains(&name) {
                all.insert(name.to_owned(), value);
            }
        }
        let mut fields = Self { all, renamed: false, left_out: Vec::new() };
        for BodyField { name, value } in users {
            match value {
                Value::Null => _ = fields.all.remove(name),
                value => _ = fields.all.insert(name.clone(), value.clone()),
            }
        }
        fields
    }

    /// Asks the frontend of NVIDIA Dynamo who serves a request, and what took how long. It refuses fields that it does not know.
    pub(super) fn ask_dynamo(&mut self) {
        self.all.remove("return_token_ids");
        let nvext = self.all.entry("nvext").or_insert_with(|| json!({}));
        if let Some(nvext) = nvext.as_object_mut() {
            nvext.entry("extra_fields").or_insert_with(|| json!(["timing", "worker_id"]));
        }
    }

    /// Leaves out a field that this message complains of; `false` where it names none that can be.
    pub(super) fn leave_out(&mut self, message: &str) -> bool {
        let message = message.to_lowercase();
        if !self.renamed && message.contains("max_completion_tokens") {
            self.renamed = true;
            return true;
        }
        let sent = |name: &&str| self.all.contains_key(*name);
        let Some(name) = DISPENSABLE.into_iter().filter(sent).find(|name| message.contains(*name)) else {
            return false;
        };
        self.all.remove(name);
        self.left_out.push(name.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_json_and_not_one_of_the_loads() {
        let field: BodyField = r#"chat_template_kwargs={"enable_thinking": false}"#.parse().expect("a field");
        assert_eq!(field.to_string(), r#"chat_template_kwargs={"enable_thinking":false}"#);
        for (text, why) in [
            ("top_p", "write NAME=JSON"),
            ("=1", "sets this field itself"),
            ("prompt=\"x\"", "sets this field itself"),
            ("stop=x", "texts are in quotes"),
        ] {
            let error = text.parse::<BodyField>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn fields_of_the_users_go_before_ours_and_null_leaves_one_out() {
        let field = |text: &str| text.parse::<BodyField>().expect(text);
        let users = [field("temperature=0.7"), field("ignore_eos=null"), field("top_k=5")];
        let fields = Fields::new("m", false, &users);
        let wanted = json!({ "model": "m", "temperature": 0.7, "stream": true, "return_token_ids": true, "top_k": 5,
            "stream_options": { "include_usage": true } });
        assert_eq!(Value::Object(fields.all), wanted);
        let strict = Fields::new("m", true, &[]);
        let names: Vec<&str> = strict.all.keys().map(String::as_str).collect();
        assert_eq!(names, ["model", "stream", "stream_options", "temperature"]);
    }

    #[test]
    fn dynamo_is_asked_who_serves_beside_what_the_user_asks_it() {
        let users: Vec<BodyField> = vec![r#"nvext={"annotations": []}"#.parse().expect("a field")];
        let mut fields = Fields::new("m", false, &users);
        fields.ask_dynamo();
        assert!(!fields.all.contains_key("return_token_ids"));
        assert_eq!(fields.all["nvext"], json!({ "annotations": [], "extra_fields": ["timing", "worker_id"] }));
        assert!(fields.leave_out("Unsupported parameter: nvext"), "another server of the same owner");
    }

    #[test]
    fn what_a_server_complains_of_is_left_out_one_after_another() {
        let mut fields = Fields::new("m", false, &[]);
        assert!(fields.leave_out("Unrecognized request argument supplied: ignore_eos"));
        assert!(fields.leave_out("Unrecognized request argument supplied: return_token_ids"));
        assert!(!fields.leave_out("Unrecognized request argument supplied: ignore_eos"), "it is not sent any more");
        assert!(fields.leave_out("'max_tokens' is not supported. Use 'max_completion_tokens' instead."));
        assert!(!fields.leave_out("no such model"));
        assert_eq!(
            (fields.left_out, fields.renamed),
            (vec!["ignore_eos".to_owned(), "return_token_ids".to_owned()], true)
        );
    }
}
