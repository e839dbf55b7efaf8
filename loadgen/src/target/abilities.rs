//! What a control lets be done with units. It does not change over a run, and stands in its first record.

use engine::cluster::How;
use serde::{Deserialize, Serialize};

/// What a control lets be done with units.
#[expect(clippy::struct_excessive_bools, reason = "each is there or not, whatever the others are")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// The ways of shifting.
    pub ways: Ways,
    /// Whether units can do both.
    pub aggregated: bool,
    /// Whether a unit changes its role itself; else its process ends, and another one starts in its place.
    pub in_place: bool,
    /// Whether units can be added and given back; else there are always as many as there were.
    #[serde(default)]
    pub counts: bool,
    /// Whether a unit that was taken out is seen until it has finished what it holds.
    #[serde(default)]
    pub drain_visible: bool,
    /// Whether the other side can be asked beforehand if it would take a shift.
    #[serde(default)]
    pub dry_run: bool,
}

impl Abilities {
    /// Everything there is.
    pub const ALL: Self = Self {
        ways: Ways::of(&How::ALL),
        aggregated: true,
        in_place: true,
        counts: true,
        drain_visible: true,
        dry_run: true,
    };
    /// What engines of ours let be done: they have as many units as they began with, and say what is wrong with a shift when they
    /// are asked for it.
    pub const ENGINE: Self = Self { counts: false, dry_run: false, ..Self::ALL };
}

/// A set of ways of shifting, written as the list of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", from = "Vec<String>")]
pub struct Ways(u8);

impl Ways {
    /// Those of a list.
    pub const fn of(ways: &[How]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < ways.len() {
            bits |= 1 << ways[at] as u8;
            at += 1;
        }
        Self(bits)
    }

    /// Whether one is among them.
    pub fn contains(self, how: How) -> bool {
        self.0 & (1 << how as u8) != 0
    }
}

impl From<Ways> for Vec<String> {
    fn from(ways: Ways) -> Self {
        How::ALL.into_iter().filter(|how| ways.contains(*how)).map(|how| how.to_string()).collect()
    }
}

/// Ways that a later version added are none of this one's.
impl From<Vec<String>> for Ways {
    fn from(names: Vec<String>) -> Self {
        let known = How::ALL.into_iter().filter(|how| names.contains(&how.to_string()));
        Self::of(&known.collect::<Vec<How>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_written_by_name_and_read_again_without_those_that_nobody_knows() {
        for ways in [Ways::of(&[]), Ways::of(&[How::Drain]), Ways::of(&[How::Migrate, How::Restart])] {
            let written = serde_json::to_string(&ways).expect("JSON");
            assert_eq!(serde_json::from_str::<Ways>(&written).expect(&written), ways);
        }
        let read: Ways = serde_json::from_str(r#"["drain", "teleport"]"#).expect("a list of names");
        assert_eq!(read, Ways::of(&[How::Drain]));
        assert!(read.contains(How::Drain) && !read.contains(How::Migrate));
    }
}
