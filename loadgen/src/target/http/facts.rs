//! What a server tells of its version and of the arguments that it was started with.
//!
//! | server | asked |
//! |---|---|
//! | vLLM | `/version`; `/server_info?config_format=json` in its development mode |
//! | SGLang | `/server_info`, or `/get_server_info` of older ones, with the version among the arguments |
//!
//! A server that tells nothing of the kind is asked in vain, which costs three small requests. What looks like a secret,
//! by its name or as a part of a URL, is left out, and what is kept is bounded.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::request::Requests;
use super::secrets::Secrets;
use crate::http::{HttpAddress, read_to};

/// How long each answer may take at most.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const LONGEST: usize = 1 << 20;
/// Arguments that are kept, and letters of all of them together.
const KEPT: (usize, usize) = (300, 16 * 1024);
/// How deep objects in objects are looked into.
const DEPTH: usize = 4;
/// What a name that holds a secret has in it. A number of `tokens` is none.
const SECRETS: [&str; 8] = ["api_key", "access_key", "passw", "secret", "token", "credential", "private", "auth"];

/// Asks the first of the addresses, which has no longer than `within`.
pub(super) async fn ask(requests: &Requests, within: Duration) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    let Some(address) = requests.addresses.first() else { return facts };
    let (version, told, older) = tokio::join!(
        get(requests, address, "/version", within),
        get(requests, address, "/server_info?config_format=json", within),
        get(requests, address, "/get_server_info", within),
    );
    if let Some(Value::String(version)) = version.as_ref().map(|told| &told["version"]) {
        facts.insert("server_version".to_owned(), requests.secrets.line(version));
    }
    let Some(told) = told.or(older) else { return facts };
    if let Some(version) = told["version"].as_str() {
        facts.entry("server_version".to_owned()).or_insert_with(|| requests.secrets.line(version));
    }
    let arguments = arguments(&told, &requests.secrets);
    if !arguments.is_empty() {
        facts.insert("server_arguments".to_owned(), requests.secrets.hide(&arguments));
    }
    facts
}

async fn get(requests: &Requests, address: &HttpAddress, path: &str, within: Duration) -> Option<Value> {
    let request = requests.client.get(address.at(path)).headers(requests.headers.clone());
    let body = tokio::time::timeout(within.min(TIMEOUT), async {
        let response = request.send().await.ok().filter(|response| response.status().is_success())?;
        read_to(response, LONGEST).await.ok()
    });
    let told: Value = serde_json::from_slice(&body.await.ok()??).ok()?;
    told.is_object().then_some(told)
}

/// The simple values of what a server told, as `name=value` with a blank between.
fn arguments(told: &Value, secrets: &Secrets) -> String {
    let mut all = Vec::new();
    // Of vLLM's, the environment is not the server's own business.
    collect(told.get("vllm_config").unwrap_or(told), "", DEPTH, secrets, &mut all);
    let mut text = String::new();
    for argument in all.iter().take(KEPT.0) {
        if text.len() + argument.len() >= KEPT.1 {
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text += argument;
    }
    text
}

fn collect(value: &Value, path: &str, depth: usize, secrets: &Secrets, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) if depth > 0 => {
            for (name, value) in fields {
                // What is under way is not what it was started with.
                if !is_secret(name, value) && name != "internal_states" && all.len() < KEPT.0 {
                    let dot = if path.is_empty() { "" } else { "." };
                    collect(value, &format!("{path}{dot}{name}"), depth - 1, secrets, all);
                }
            }
        }
        Value::Bool(_) | Value::Number(_) => all.push(format!("{path}={value}")),
        Value::String(text) if !text.is_empty() => match serde_json::from_str(text) {
            // Some options are objects, written as texts.
            Ok(object @ Value::Object(_)) => collect(&object, path, depth, secrets, all),
            _ if has_user(text) => all.push(format!("{path}=…")),
            // Secrets are hidden before the line is cut, which might leave the beginning of one.
            _ => all.push(format!("{path}={}", secrets.line(text))),
        },
        Value::Object(_) | Value::Array(_) | Value::String(_) | Value::Null => {}
    }
}

pub(super) fn is_secret(name: &str, value: &Value) -> bool {
    let name = name.to_lowercase();
    SECRETS.iter().any(|part| name.contains(part)) && !(value.is_number() && name.contains("tokens"))
}

/// Whether a text may have a URL in it with a user and a password, as `redis://user:password@host`.
fn has_user(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_simple_values_without_secrets_and_bounded() {
        let told = json!({
            "model_path": "qwen", "tp_size": 2, "api_key": "hunter2", "hf_token": "hunter2", "max_total_tokens": 4096,
            "disaggregation_mode": "prefill", "chat_template": null, "internal_states": [{ "load": 1 }],
            "nested": { "deep": true },
        });
        let open = Secrets::default();
        let text = arguments(&told, &open);
        let wanted = "disaggregation_mode=prefill max_total_tokens=4096 model_path=qwen nested.deep=true tp_size=2";
        assert_eq!(text, wanted);
        let env =
            json!({ "vllm_config": { "parallel_config": { "tensor_parallel_size": 1 } }, "vllm_env": { "X": "y" } });
        assert_eq!(arguments(&env, &open), "parallel_config.tensor_parallel_size=1");
        let many: serde_json::Map<_, _> = (0..10_000).map(|i| (format!("a{i}"), json!("x".repeat(1000)))).collect();
        assert!(arguments(&Value::Object(many), &open).len() < KEPT.1);
    }

    #[test]
    fn a_secret_inside_a_value_or_an_option_that_is_a_text_is_left_out() {
        let told = json!({
            "kv_transfer_config": { "kv_connector_extra_config": {
                "remote_url": "redis://:hunter2@kv:6379", "passwd": "hunter2", "access_key_id": "hunter2", "port": 1,
            } },
            "hicache_storage_backend_extra_config": r#"{"auth": "hunter2", "user_tokens": "hunter2", "size": 2}"#,
        });
        let text = arguments(&told, &Secrets::default());
        let wanted = "hicache_storage_backend_extra_config.size=2 kv_transfer_config.kv_connector_extra_config.port=1 \
            kv_transfer_config.kv_connector_extra_config.remote_url=…";
        assert_eq!(text, wanted);
        let key = crate::http::ApiKey::new("hunter2".to_owned());
        let long = json!({ "x": format!("{}hunter2", "x".repeat(197)) });
        assert!(!arguments(&long, &Secrets::new(key, Vec::new())).contains("hun"));
    }
}
