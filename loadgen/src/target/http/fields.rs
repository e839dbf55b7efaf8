//! What a request says beside its prompt: which fields there are, and what of it is the user's.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::complaint::Complaint;
use super::facts::is_secret;
use super::secrets::Secrets;
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

impl BodyField {
    /// As it may be shown and recorded: in one line, and without secrets, as far as they are known or called so.
    pub(super) fn shown(&self, secrets: &Secrets) -> String {
        let mut value = self.value.clone();
        conceal(&self.name, false, &mut value);
        secrets.line(&format!("{}={value}", self.name))
    }
}

/// Takes out texts whose name says that they are secrets.
fn conceal(name: &str, is_within: bool, value: &mut Value) {
    let secret = is_within || is_secret(name, value);
    match value {
        Value::String(text) if secret => "…".clone_into(text),
        Value::Array(all) => all.iter_mut().for_each(|value| conceal(name, secret, value)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| conceal(name, secret, value)),
        _ => {}
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
    /// Those that the user gave.
    users: Vec<String>,
}

/// What there is to be done about a complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// It is done: the next request is another one.
    Done,
    /// It is about this field, which the user wants.
    Users(String),
    /// Nothing.
    None,
}

/// Fields beyond `OpenAI`'s protocol.
const BEYOND: [&str; 2] = ["ignore_eos", "return_token_ids"];
/// What bounds the length of an answer, in both names that there are.
const LENGTHS: [&str; 2] = ["max_tokens", "max_completion_tokens"];
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
        let mut fields = Self { all, renamed: false, left_out: Vec::new(), users: Vec::new() };
        for BodyField { name, value } in users {
            match value {
                Value::Null => _ = fields.all.remove(name),
                value => {
                    fields.all.insert(name.clone(), value.clone());
                    fields.users.push(name.clone());
                }
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

    /// Leaves out what a server complains of, where a request is good without it and the user has not asked for it.
    pub(super) fn leave_out(&mut self, complaint: &Complaint) -> Remedy {
        let sent = |name: &str| self.all.contains_key(name) || OURS.contains(&name);
        let is_users = |name: &str| self.users.iter().any(|given| given == name);
        let words = DISPENSABLE.iter().copied().chain(self.users.iter().map(String::as_str)).filter(|name| sent(name));
        let Some(name) = complaint.place(sent).or_else(|| complaint.word(words.chain(LENGTHS))) else {
            return Remedy::None;
        };
        if LENGTHS.contains(&name) && !self.renamed && complaint.has("max_completion_tokens") {
            self.renamed = true;
            return Remedy::Done;
        }
        if is_users(name) {
            return Remedy::Users(name.to_owned());
        }
        if !DISPENSABLE.contains(&name) || !self.all.contains_key(name) {
            return Remedy::None;
        }
        let name = name.to_owned();
        self.all.remove(&name);
        self.left_out.push(name);
        Remedy::Done
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
        let told = said("Unsupported parameter: nvext");
        assert_eq!(fields.leave_out(&told), Remedy::Users("nvext".to_owned()), "another server of the same owner");
        let mut fields = Fields::new("m", false, &[]);
        fields.ask_dynamo();
        assert_eq!(fields.leave_out(&told), Remedy::Done);
    }

    fn said(text: &str) -> Complaint {
        Complaint::read(text.as_bytes())
    }

    #[test]
    fn what_a_server_complains_of_is_left_out_one_after_another() {
        let mut fields = Fields::new("m", false, &[]);
        let unknown = |name: &str| said(&format!("Unrecognized request argument supplied: {name}"));
        assert_eq!(fields.leave_out(&unknown("ignore_eos")), Remedy::Done);
        assert_eq!(fields.leave_out(&unknown("return_token_ids")), Remedy::Done);
        assert_eq!(fields.leave_out(&unknown("ignore_eos")), Remedy::None, "it is not sent any more");
        let renamed = said("'max_tokens' is not supported. Use 'max_completion_tokens' instead.");
        assert_eq!(fields.leave_out(&renamed), Remedy::Done);
        assert_eq!(fields.leave_out(&renamed), Remedy::None);
        assert_eq!(fields.leave_out(&said("no such model")), Remedy::None);
        let place = r#"{"detail": [{"loc": ["body", "prompt"], "msg": "no ids", "input": {"temperature": 0}}]}"#;
        assert_eq!(fields.leave_out(&said(place)), Remedy::None, "it is about the prompt");
        assert_eq!(
            (fields.left_out, fields.renamed),
            (vec!["ignore_eos".to_owned(), "return_token_ids".to_owned()], true)
        );
    }

    #[test]
    fn what_the_user_asks_for_is_not_left_out() {
        let users: Vec<BodyField> = ["temperature=0.7", "top_k=5"].map(|text| text.parse().expect("a field")).to_vec();
        let mut fields = Fields::new("m", false, &users);
        for name in ["temperature", "top_k"] {
            let told = said(&format!(r#"{{"error": {{"message": "no", "param": "{name}"}}}}"#));
            assert_eq!(fields.leave_out(&told), Remedy::Users(name.to_owned()));
        }
        assert!(fields.left_out.is_empty() && fields.all.contains_key("temperature"));
    }

    #[test]
    fn a_field_is_shown_without_secrets_and_in_one_short_line() {
        let secrets = Secrets::new(crate::http::ApiKey::new("hunter2".to_owned()), Vec::new());
        let shown = |text: &str| text.parse::<BodyField>().expect("a field").shown(&secrets);
        assert_eq!(shown(r#"user="hunter2 and co""#), r#"user="… and co""#);
        assert_eq!(
            shown(r#"x={"api_key": "k", "list": {"tokens": ["t"]}, "n": 1}"#),
            r#"x={"api_key":"…","list":{"tokens":["…"]},"n":1}"#
        );
        assert_eq!(shown("stop_token_ids=[1,2]"), "stop_token_ids=[1,2]");
        assert!(shown(&format!(r#"x="{}""#, "y".repeat(100_000))).chars().count() < 210);
    }
}
