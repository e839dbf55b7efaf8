//! How much of a synthetic prompt others have had before it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::Malformed;

/// The share of every prompt, from its start, that is the same in all prompts of the load: a system prompt, tools, a document
/// that everybody asks about.
///
/// A cache holds it from the first request on each unit on, and hits it by whole KV blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct PrefixHit(f64);

impl Eq for PrefixHit {}

impl PrefixHit {
    /// The most that can be shared: something of a prompt is its own.
    const MOST: f64 = 0.99;

    /// A share from 0 to 0.99; what is beyond is cut.
    pub fn clamped(share: f64) -> Self {
        Self(if share.is_nan() { 0.0 } else { share.clamp(0.0, Self::MOST) })
    }

    /// The share.
    pub fn share(self) -> f64 {
        self.0
    }

    /// Whether nothing is shared.
    pub fn is_none(&self) -> bool {
        self.0 <= 0.0
    }

    /// Tokens of a prompt of `tokens`, at least 1, that are shared; one at least is its own.
    pub fn shared_tokens(self, tokens: u32) -> u32 {
        ((f64::from(tokens) * self.0).round() as u32).min(tokens.saturating_sub(1))
    }
}

impl TryFrom<f64> for PrefixHit {
    type Error = Malformed;

    fn try_from(share: f64) -> Result<Self, Malformed> {
        if (0.0..=Self::MOST).contains(&share) {
            return Ok(Self(share));
        }
        Err(Malformed::new("a share of shared prompt tokens", &share.to_string(), "a number from 0 to 0.99"))
    }
}

impl From<PrefixHit> for f64 {
    fn from(hit: PrefixHit) -> Self {
        hit.0
    }
}

impl FromStr for PrefixHit {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::new("a share of shared prompt tokens", text, "a number from 0 to 0.99");
        text.parse::<f64>().map_err(|_| malformed())?.try_into().map_err(|_| malformed())
    }
}

impl fmt::Display for PrefixHit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_and_leaves_a_token_of_its_own() {
        let hit: PrefixHit = "0.3".parse().expect("a share");
        assert_eq!((hit.shared_tokens(5_400), hit.shared_tokens(1), hit.to_string().as_str()), (1_620, 0, "0.3"));
        assert_eq!(PrefixHit::clamped(7.0).shared_tokens(2), 1);
        assert!(PrefixHit::default().is_none() && !hit.is_none());
        for wrong in ["1", "-0.1", "NaN", "half"] {
            let error = wrong.parse::<PrefixHit>().expect_err(wrong).to_string();
            assert!(error.ends_with("a number from 0 to 0.99"), "{error}");
        }
    }
}
