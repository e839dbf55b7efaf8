//! Headers of the user's.

use std::fmt;
use std::str::FromStr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use crate::text::Malformed;

/// Values shorter than this are not looked for in what a server says: they would be found everywhere.
const SECRET: usize = 4;
/// Nor are words of a value that are shorter than this.
const SECRET_WORD: usize = 8;

/// A header sent with every request. Its value may be a secret, and is never shown or recorded.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtraHeader {
    name: HeaderName,
    value: HeaderValue,
}

impl ExtraHeader {
    /// A header.
    ///
    /// # Errors
    /// When there can be no such header, or it is one that this program itself sets.
    pub fn new(name: &str, value: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("a header", name, allowed);
        let parsed: HeaderName = name.trim().parse().map_err(|_| malformed("a name of letters, digits and hyphens"))?;
        if OURS.contains(&parsed.as_str()) {
            return Err(malformed("this one is set here"));
        }
        let mut value: HeaderValue = value.trim().parse().map_err(|_| malformed("its value cannot be sent"))?;
        value.set_sensitive(true);
        Ok(Self { name: parsed, value })
    }

    pub(crate) fn add_to(&self, headers: &mut HeaderMap) {
        headers.append(self.name.clone(), self.value.clone());
    }

    /// Takes the value out of a text of the server's, which may repeat it, or of `Bearer KEY` the key alone.
    pub(crate) fn hide_in(&self, text: String) -> String {
        let Some(value) = self.value.to_str().ok().filter(|value| value.len() >= SECRET) else { return text };
        let words = value.split_whitespace().filter(|word| word.len() >= SECRET_WORD);
        words.fold(text.replace(value, "…"), |text, word| text.replace(word, "…"))
    }
}

/// What the load itself is told by, or the connection works with.
const OURS: [&str; 8] = [
    "accept",
    "connection",
    "content-length",
    "content-type",
    "host",
    "traceparent",
    "transfer-encoding",
    "x-request-id",
];

impl FromStr for ExtraHeader {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::new("a header", "…", "write NAME:VALUE");
        let (name, value) = text.split_once(':').ok_or_else(malformed)?;
        Self::new(name, value)
    }
}

impl fmt::Debug for ExtraHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:…", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_never_printed_with_its_value() {
        let header: ExtraHeader = "X-Team: hunter2".parse().expect("a header");
        assert_eq!(format!("{header:?}"), "x-team:…");
        assert_eq!(header.hide_in("team hunter2 is unknown".to_owned()), "team … is unknown");
        let header: ExtraHeader = "Authorization: Bearer sk-hunter2".parse().expect("a header");
        assert_eq!(header.hide_in("sk-hunter2 bears no key".to_owned()), "… bears no key");
        for text in ["hunter2", "a b:hunter2", ":hunter2", "host:hunter2", "x:hunter2\n"] {
            if let Err(error) = text.parse::<ExtraHeader>() {
                assert!(!error.to_string().contains("hunter2"), "{error}");
            } else {
                assert_eq!(text, "x:hunter2\n", "what stands around a value is not part of it");
            }
        }
    }
}
