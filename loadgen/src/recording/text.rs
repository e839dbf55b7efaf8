//! How types of other modules are written in records.
#![expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde hands over references to fields")]

use serde::{Deserialize, Deserializer};

use crate::text::{SENTENCE, cut};

/// Whether a count is left out.
pub(super) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Whether a flag is left out.
pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Letters of a name that are kept.
const NAME: usize = 256;

/// A name, as much of it as is told apart.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut name = String::deserialize(deserializer)?;
    cut(&mut name, NAME);
    Ok(name)
}

/// A text for people, as much of it as anybody reads.
pub(super) fn sentence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut text = String::deserialize(deserializer)?;
    cut(&mut text, SENTENCE);
    Ok(text)
}

/// The same for one that may be missing.
pub(super) fn sentence_option<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|mut text| {
        cut(&mut text, SENTENCE);
        text
    }))
}

/// The first of a list, as many as an engine lets wait.
pub(super) fn few<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    const MOST: usize = 64;
    let mut list = Vec::deserialize(deserializer)?;
    list.truncate(MOST);
    list.shrink_to_fit();
    Ok(list)
}

/// A type with `Display` and `FromStr`, as a string.
pub(super) mod display {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The same for an optional one, absent when there is none.
pub(super) mod display_option {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

/// A hash as 16 hexadecimal digits, because many readers of JSON lose digits of integers above 2^53.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

/// The same for an optional one.
pub(super) mod hex_option {
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::hex::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        super::hex::deserialize(deserializer).map(Some)
    }
}

/// A role as its letter.
pub(super) mod role {
    use engine::units::Role;
    use serde::{Deserialize, Deserializer, Serializer};

    const ROLES: [Role; 3] = [Role::Prefill, Role::Decode, Role::Aggregated];

    pub(crate) fn serialize<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_char(role.letter())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
        let letter = char::deserialize(deserializer)?;
        let role = ROLES.into_iter().find(|role| role.letter() == letter);
        role.ok_or_else(|| serde::de::Error::custom(format_args!("`{letter}` is not a role: P, D or A")))
    }
}

/// The same for an optional one.
pub(super) mod role_option {
    use engine::units::Role;
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
        match role {
            Some(role) => super::role::serialize(role, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
        super::role::deserialize(deserializer).map(Some)
    }
}

/// A way of shifting by its name.
pub(super) mod how {
    use engine::cluster::How;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(how: &How, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(how)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<How, D::Error> {
        let name = String::deserialize(deserializer)?;
        let how = How::ALL.into_iter().find(|how| how.to_string() == name);
        how.ok_or_else(|| {
            serde::de::Error::custom(format_args!("`{name}` is not a way to shift: drain, migrate or restart"))
        })
    }
}

/// Why an event stands in the charts, as a word.
pub(super) mod mark {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::live::MarkKind;

    const WORDS: [(MarkKind, &str); 4] =
        [(MarkKind::Shift, "shift"), (MarkKind::Load, "load"), (MarkKind::Slo, "slo"), (MarkKind::Failure, "failure")];

    pub(crate) fn serialize<S: Serializer>(mark: &Option<MarkKind>, serializer: S) -> Result<S::Ok, S::Error> {
        let word = mark.and_then(|mark| WORDS.into_iter().find(|(known, _)| *known == mark));
        match word {
            Some((_, word)) => serializer.serialize_str(word),
            None => serializer.serialize_none(),
        }
    }

    /// A reason that a later version added is none that this one could show.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MarkKind>, D::Error> {
        let word = Option::<String>::deserialize(deserializer)?;
        Ok(WORDS.into_iter().find(|(_, known)| Some(*known) == word.as_deref()).map(|(mark, _)| mark))
    }
}

/// An SLO as an object of bounds in microseconds.
pub(super) mod slo {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::slo::Slo;
    use crate::time::Micros;

    #[derive(Serialize, Deserialize)]
    struct Bounds {
        #[serde(rename = "ttft_us", skip_serializing_if = "Option::is_none", default)]
        ttft: Option<Micros>,
        #[serde(rename = "tpot_us", skip_serializing_if = "Option::is_none", default)]
        tpot: Option<Micros>,
        #[serde(rename = "itl_p99_us", skip_serializing_if = "Option::is_none", default)]
        itl_p99: Option<Micros>,
        #[serde(rename = "itl_mean_us", skip_serializing_if = "Option::is_none", default)]
        itl_mean: Option<Micros>,
        #[serde(rename = "e2e_us", skip_serializing_if = "Option::is_none", default)]
        e2e: Option<Micros>,
    }

    pub(crate) fn serialize<S: Serializer>(slo: &Option<Slo>, serializer: S) -> Result<S::Ok, S::Error> {
        let bounds =
            slo.map(|Slo { ttft, tpot, itl_p99, itl_mean, e2e }| Bounds { ttft, tpot, itl_p99, itl_mean, e2e });
        bounds.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Slo>, D::Error> {
        let bounds = Option::<Bounds>::deserialize(deserializer)?;
        Ok(bounds.map(|Bounds { ttft, tpot, itl_p99, itl_mean, e2e }| Slo { ttft, tpot, itl_p99, itl_mean, e2e }))
    }
}
