//! Texts that people write and read back: on the command line, in profiles and in recordings.
//!
//! Every such type has `FromStr` and `Display` that are inverses of each other, and serialises as that text, so that a
//! recording shows what was typed.

use std::fmt;

use crate::time::Micros;

/// A text that could not be read: what was found and what is allowed, in one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {what}: {allowed}")]
pub struct Malformed {
    /// What the text should have been, with its article.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub allowed: String,
}

impl Malformed {
    pub(crate) fn new(what: &'static str, found: &str, allowed: impl Into<String>) -> Self {
        Self { what, found: found.to_owned(), allowed: allowed.into() }
    }
}

/// Letters of a sentence for people that are kept. Nobody reads on, and what somebody else wrote may have no end.
pub(crate) const SENTENCE: usize = 1_000;

/// Cuts a text behind so many letters and marks that it goes on; what it held beyond is given back.
pub(crate) fn cut(text: &mut String, letters: usize) {
    if text.len() > letters
        && let Some((end, _)) = text.char_indices().nth(letters)
    {
        text.truncate(end);
        text.push('…');
        text.shrink_to_fit();
    }
}

/// Units of durations with their microseconds, the longest first. `ms` and `us` end in `s`: they are looked for by the
/// whole tail of the text, never by its last letter.
const UNITS: [(&str, u64); 5] = [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// Reads `250ms`, `1.5s`, `30s`, `2m` or `1h`; microseconds are the finest there is. Zero is allowed.
///
/// # Errors
/// When the text is not a number followed by a unit, is finer than a microsecond or longer than ten years.
pub fn parse_duration(text: &str) -> Result<Micros, Malformed> {
    let malformed = || Malformed::new("a duration", text, "write a number with a unit, such as 250ms, 30s, 2m or 1h");
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(malformed)?;
    let (number, unit) = text.split_at(digits);
    let &(_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| malformed())?;
    // Nine digits tell an hour to less than a microsecond's remainder; more would be finer than the type.
    if fraction.is_empty() || fraction.len() > 9 {
        return Err(malformed());
    }
    let divisor = 10_u64.pow(fraction.len() as u32);
    let parts: u64 = fraction.parse().map_err(|_| malformed())?;
    // scale is at most 3.6e9 and parts below 1e9, so the product stays below 2^64.
    let parts = parts * scale;
    if !parts.is_multiple_of(divisor) {
        return Err(malformed());
    }
    let micros = whole.checked_mul(scale).and_then(|w| w.checked_add(parts / divisor)).ok_or_else(malformed)?;
    if micros > LONGEST.0 {
        return Err(Malformed::new("a duration", text, "at most 87600h (ten years)"));
    }
    Ok(Micros(micros))
}

/// Longest duration that can be written. It keeps sums of durations far from overflow.
const LONGEST: Micros = Micros(87_600 * 3_600_000_000);

/// Shows a duration in the longest unit that divides it: what [`parse_duration`] reads back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationText(
    /// The duration.
    pub Micros,
);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.0;
        match UNITS.iter().find(|(_, scale)| micros > 0 && micros.is_multiple_of(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", micros / scale),
            None => f.write_str("0s"),
        }
    }
}

/// Serialises types by the text of their `Display` and reads them with their `FromStr`.
macro_rules! serde_as_text {
    ($($type:ty),+ $(,)?) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize<'de>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use serde_as_text;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, micros) in [
            ("250ms", 250_000),
            ("30s", 30_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("1.5s", 1_500_000),
            ("0.25ms", 250),
            ("7us", 7),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "30",
            "s",
            "1.s",
            ".5s",
            "-1s",
            "1e3s",
            "1 s",
            "1d",
            "0.5us",
            "1.0000000001h",
            "99999999999h",
            "1.2.3s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(
            parse_duration("30").expect_err("no unit").to_string(),
            "`30` is not a duration: write a number with a unit, such as 250ms, 30s, 2m or 1h"
        );
    }

    proptest! {
        #[test]
        fn a_duration_reads_back_what_it_prints(micros in 0..LONGEST.0) {
            let text = DurationText(Micros(micros)).to_string();
            prop_assert_eq!(parse_duration(&text), Ok(Micros(micros)));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_letters_and_gives_its_memory_back() {
        let cut = |text: &str, letters| {
            let mut text = text.to_owned();
            cut(&mut text, letters);
            text
        };
        assert_eq!((cut("grün", 4), cut("grün", 3), cut("", 0)), ("grün".to_owned(), "grü…".to_owned(), String::new()));
        let long = cut(&"ü".repeat(1 << 20), SENTENCE);
        assert_eq!(long.chars().count(), SENTENCE + 1);
        assert!(long.capacity() < 4 * SENTENCE);
    }
}
