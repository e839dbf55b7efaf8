//! What requests carry and nobody may see.

use engine::remote::one_line;
use reqwest::header::{AUTHORIZATION, HeaderMap};

use crate::http::{ApiKey, ExtraHeader, said};

/// The key and the headers of the user's.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    key: Option<ApiKey>,
    headers: Vec<ExtraHeader>,
}

impl Secrets {
    pub(super) fn new(key: Option<ApiKey>, headers: Vec<ExtraHeader>) -> Self {
        Self { key, headers }
    }

    /// As they are sent. A header of the user's goes before the key.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            header.add_to(&mut headers);
        }
        if let Some(value) = self.key.as_ref().and_then(ApiKey::header) {
            headers.entry(AUTHORIZATION).or_insert(value);
        }
        headers
    }

    /// Takes them out of a text of the server's.
    pub(super) fn hide(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.hide_in(text));
        self.headers.iter().fold(text, |text, header| header.hide_in(text))
    }

    /// Takes them out of a text of the server's, and makes one line of it.
    pub(super) fn line(&self, text: &str) -> String {
        one_line(&self.hide(text))
    }

    /// What a server says of an error, in one line without them.
    pub(super) fn message(&self, body: &[u8]) -> String {
        self.line(&said(body))
    }
}
