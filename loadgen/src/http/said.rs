//! What servers say of errors.

use std::error::Error;

use engine::remote::one_line;
use serde::Deserialize;
use serde_json::Value;
use serde_json::error::Category;

use super::{ApiKey, TlsFailure};

/// The innermost reason, in one line; those around it repeat the address.
pub(crate) fn root(error: &reqwest::Error) -> String {
    if let Some(tls) = TlsFailure::find(error) {
        return tls.why();
    }
    if error.is_connect() && error.is_timeout() {
        return "no connection in time".to_owned();
    }
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    one_line(&innermost.to_string())
}

/// Why a server could not be reached, in one line, with a hint on another where there is something to be done about it.
pub(crate) fn unreachable(error: &reqwest::Error) -> String {
    let hint = TlsFailure::find(error).map_or("", |tls| tls.hint());
    root(error) + hint
}

/// What a server says of an error, in one line: the message of OpenAI's shape, else the beginning of the text. It may repeat
/// keys, which are taken out.
pub(crate) fn message<'k>(body: &[u8], keys: impl IntoIterator<Item = &'k ApiKey>) -> String {
    one_line(&keys.into_iter().fold(said(body), |text, key| key.hide_in(&text)))
}

/// The same as it was said, with whatever it may repeat.
pub(crate) fn said(body: &[u8]) -> String {
    let said = Said::read(body).and_then(Said::message);
    said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// Why an answer is not the JSON that it was to be, in one line. The value that stands where another was to be is left out: it
/// may repeat what nobody shall see, and be as long as the whole answer.
pub(crate) fn misread(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let expected = text.rsplit_once(", expected ").map(|(_, expected)| format!("expected {expected}"));
    let names_a_field = text.starts_with("missing field") || text.starts_with("duplicate field");
    one_line(&match (error.classify(), expected) {
        (Category::Data, Some(expected)) => expected,
        (Category::Data, None) if !names_a_field => {
            format!("another value than expected at line {} column {}", error.line(), error.column())
        }
        _ => text,
    })
}

/// An error as servers write it: `{"error": {"message": …, "code": …}}`, or the inner object alone.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Said {
    #[serde(default)]
    error: Option<Inner>,
    #[serde(default)]
    message: Option<String>,
    /// What FastAPI calls the message.
    #[serde(default)]
    detail: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Inner {
    Text(String),
    Object {
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        code: Option<Value>,
    },
}

impl Said {
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    fn message(self) -> Option<String> {
        let detail =
            || self.detail.as_ref().map(|detail| detail.as_str().map_or_else(|| detail.to_string(), str::to_owned));
        self.text().map(str::to_owned).or_else(detail)
    }

    fn text(&self) -> Option<&str> {
        let inner = match &self.error {
            Some(Inner::Text(text)) => Some(text),
            Some(Inner::Object { message, .. }) => message.as_ref(),
            None => None,
        };
        inner.or(self.message.as_ref()).map(String::as_str)
    }

    /// Whether its message has these words in it.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.text().is_some_and(|text| text.contains(words))
    }

    pub(crate) fn is_code(&self, asked: &str) -> bool {
        matches!(&self.error, Some(Inner::Object { code: Some(code), .. }) if code == asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Told {
        #[expect(dead_code, reason = "only its type counts")]
        size: u32,
    }

    fn why(text: &str) -> String {
        misread(&serde_json::from_str::<Told>(text).expect_err(text))
    }

    #[test]
    fn what_is_no_json_is_told_without_the_value_that_was_there() {
        assert_eq!(why(r#"{"size": "hunter2"}"#), "expected u32 at line 1 column 18");
        assert_eq!(why(r#"{"size": "a, expected hunter2"}"#), "expected u32 at line 1 column 30");
        assert_eq!(why("{}"), "missing field `size` at line 1 column 2");
        assert_eq!(why("{"), "EOF while parsing an object at line 1 column 1");
        assert!(why(&format!(r#"{{"size": "{}"}}"#, "x".repeat(300_000))).len() < 60);
    }
}
