//! The words of the engine as types: instants, units, requests, roles and splits.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

/// An instant or a duration in nanoseconds. Instants count from the start of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The instant at which the engine started, and the empty duration.
    pub const ZERO: Self = Self(0);

    /// The duration from `earlier` to `self`, zero when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// The duration in seconds, for axes and messages only.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl Add for Nanos {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.since(other)
    }
}

/// A unit of the cluster: the smallest thing that has a role. Numbered from 0, never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitId(pub u16);

impl UnitId {
    /// The position of the unit in every per-unit table.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unit {}", self.0)
    }
}

/// A request, numbered by whoever submits it; unique among the requests in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a unit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Computes prompts and the first token, then hands the KV cache to a decode unit.
    Prefill,
    /// Continues sequences whose prompt was computed elsewhere.
    Decode,
    /// Does both, mixing prompt chunks into decode steps.
    Aggregated,
}

impl Role {
    /// Whether new requests may be routed to a unit of this role.
    pub fn can_prefill(self) -> bool {
        matches!(self, Self::Prefill | Self::Aggregated)
    }

    /// Whether a unit of this role may continue a sequence.
    pub fn can_decode(self) -> bool {
        matches!(self, Self::Decode | Self::Aggregated)
    }

    /// `P`, `D` or `A`.
    pub fn letter(self) -> char {
        match self {
            Self::Prefill => 'P',
            Self::Decode => 'D',
            Self::Aggregated => 'A',
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::Aggregated => "aggregated",
        })
    }
}

/// How many units have which role: `2P6D`, `4A`, or a mixture such as `1P2D1A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Split {
    /// Prefill units.
    pub prefill: u16,
    /// Decode units.
    pub decode: u16,
    /// Aggregated units.
    pub aggregated: u16,
}

/// Why a text is not a split, or a split cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// The text is not of the form `xPyD` or `nA`.
    #[error("`{0}` is not a split: write xPyD (2P2D) or nA (4A)")]
    Malformed(String),
    /// More units than an engine may have.
    #[error("split {0} has too many units: {max} at most", max = Split::MAX_UNITS)]
    TooMany(String),
    /// No unit could compute prompts.
    #[error("split {0} has no unit that can prefill")]
    NoPrefill(Split),
    /// No unit could continue a sequence.
    #[error("split {0} has no unit that can decode")]
    NoDecode(Split),
}

impl Split {
    /// Most units of a split that is read from text.
    pub const MAX_UNITS: u16 = 1024;

    /// The number of units.
    pub fn units(self) -> u16 {
        self.prefill.saturating_add(self.decode).saturating_add(self.aggregated)
    }

    /// How many units have `role`.
    pub fn count(self, role: Role) -> u16 {
        match role {
            Role::Prefill => self.prefill,
            Role::Decode => self.decode,
            Role::Aggregated => self.aggregated,
        }
    }

    /// Checks that requests can be served at all.
    ///
    /// # Errors
    /// When no unit can prefill or none can decode.
    pub fn check(self) -> Result<Self, SplitError> {
        if self.prefill == 0 && self.aggregated == 0 {
            return Err(SplitError::NoPrefill(self));
        }
        if self.decode == 0 && self.aggregated == 0 {
            return Err(SplitError::NoDecode(self));
        }
        Ok(self)
    }

    /// The roles of the units in order: prefill units first, then decode, then aggregated.
    pub fn roles(self) -> impl Iterator<Item = Role> {
        [Role::Prefill, Role::Decode, Role::Aggregated]
            .into_iter()
            .flat_map(move |role| std::iter::repeat_n(role, usize::from(self.count(role))))
    }

    /// Counts the roles of units.
    pub fn of(roles: impl IntoIterator<Item = Role>) -> Self {
        let mut split = Self { prefill: 0, decode: 0, aggregated: 0 };
        for role in roles {
            match role {
                Role::Prefill => split.prefill += 1,
                Role::Decode => split.decode += 1,
                Role::Aggregated => split.aggregated += 1,
            }
        }
        split
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefill > 0 || self.decode > 0 || self.aggregated == 0 {
            write!(f, "{}P{}D", self.prefill, self.decode)?;
        }
        if self.aggregated > 0 {
            write!(f, "{}A", self.aggregated)?;
        }
        Ok(())
    }
}

impl FromStr for Split {
    type Err = SplitError;

    fn from_str(text: &str) -> Result<Self, SplitError> {
        let malformed = || SplitError::Malformed(text.to_owned());
        let mut split = Self { prefill: 0, decode: 0, aggregated: 0 };
        let mut rest = text;
        for (letter, count) in [('P', &mut split.prefill), ('D', &mut split.decode), ('A', &mut split.aggregated)] {
            let Some(end) = rest.find([letter, letter.to_ascii_lowercase()]) else { continue };
            *count = rest[..end].parse().map_err(|_| malformed())?;
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() || split.units() == 0 {
            return Err(malformed());
        }
        if split.units() > Self::MAX_UNITS {
            return Err(SplitError::TooMany(text.to_owned()));
        }
        split.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_reads_back_what_it_prints() {
        for text in ["2P2D", "1P7D", "4A", "1P2D1A"] {
            let split: Split = text.parse().expect("a split");
            assert_eq!(split.to_string(), text);
        }
        assert_eq!("2p6d".parse::<Split>().map(|s| s.to_string()), Ok("2P6D".to_owned()));
    }

    #[test]
    fn a_split_that_cannot_serve_is_refused_with_the_missing_side() {
        assert!(matches!("3P0D".parse::<Split>(), Err(SplitError::NoDecode(_))));
        assert!(matches!("0P4D".parse::<Split>(), Err(SplitError::NoPrefill(_))));
        for text in ["65535P65535D", "2000A"] {
            assert!(matches!(text.parse::<Split>(), Err(SplitError::TooMany(_))), "{text}");
        }
        for text in ["", "P", "2P2", "2D2P", "x", "-1P2D", "99999P1D", "2P2D "] {
            assert!(matches!(text.parse::<Split>(), Err(SplitError::Malformed(_))), "{text}");
        }
    }
}
