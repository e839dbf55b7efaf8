//! The key that a server wants to see.

use std::fmt;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};

/// A secret, sent as `Authorization: Bearer KEY`. It is never printed or recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key; `None` for an empty text, and for one that no header can carry.
    pub fn new(key: String) -> Option<Self> {
        (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(key))
    }

    /// The header that presents it; `None` for a key that no header can carry, which [`new`](Self::new) has refused.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The key itself, for where it must stand in a body.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Takes the key out of a text of the server's, which may repeat it.
    pub(crate) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.0, "…")
    }
}

/// Presents the key, if there is one.
pub(crate) fn with_key(request: RequestBuilder, key: Option<&ApiKey>) -> RequestBuilder {
    match key.and_then(ApiKey::header) {
        Some(value) => request.header(AUTHORIZATION, value),
        None => request,
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        let key = ApiKey::new("hunter2".to_owned()).expect("a key");
        assert!(!format!("{key:?} {:?}", key.header()).contains("hunter2"));
        assert_eq!(key.hide_in("the key hunter2 is wrong"), "the key … is wrong");
        assert_eq!(ApiKey::new("two words".to_owned()), None);
        assert_eq!(ApiKey::new(String::new()), None);
    }
}
