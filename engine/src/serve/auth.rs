//! The key that clients present.

use std::fmt;

use axum::http::{HeaderMap, header};

/// A secret that every request but `/health` has to carry as `Authorization: Bearer KEY`. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key; `None` for an empty text, and for one that no header can carry.
    pub fn new(key: String) -> Option<Self> {
        (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic())).then_some(Self(key))
    }

    /// Whether `headers` carry the key.
    pub fn opens(&self, headers: &HeaderMap) -> bool {
        let presented = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked(7));
        presented.is_some_and(|(scheme, key)| scheme.eq_ignore_ascii_case(b"bearer ") && self.equals(key))
    }

    /// Takes as long for a key that is nearly right as for any other of its length.
    fn equals(&self, key: &[u8]) -> bool {
        let own = self.0.as_bytes();
        own.len() == key.len() && own.iter().zip(key).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
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

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().expect("a header"))])
    }

    #[test]
    fn only_the_key_opens_and_it_is_not_printed() {
        let key = ApiKey::new("s3cret".to_owned()).expect("a key");
        assert!(key.opens(&headers("Bearer s3cret")) && key.opens(&headers("bearer s3cret")));
        for wrong in ["Bearer s3creT", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret", "Bearer", ""] {
            assert!(!key.opens(&headers(wrong)), "{wrong}");
        }
        assert!(!key.opens(&HeaderMap::new()));
        assert!(!format!("{key:?}").contains("s3cret"));
        assert!(ApiKey::new(String::new()).is_none() && ApiKey::new("a b".to_owned()).is_none());
    }
}
