//! How much of the screen there is room for.

use ratatui::layout::Rect;

/// A layout, chosen by the size of the terminal alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Below 60×14: plain lines, most important first.
    Lines,
    /// From 60×14: three lines and the goodput chart.
    Compact,
    /// From 80×24: all charts, one line per role.
    Standard,
    /// From 100×30: everything, one line per unit.
    Full,
}

impl Tier {
    /// The richest layout that fits into `area`.
    pub fn of(area: Rect) -> Self {
        match (area.width, area.height) {
            (100.., 30..) => Self::Full,
            (80.., 24..) => Self::Standard,
            (60.., 14..) => Self::Compact,
            _ => Self::Lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_must_reach_a_tier() {
        for (width, height, tier) in [
            (100, 30, Tier::Full),
            (250, 80, Tier::Full),
            (99, 30, Tier::Standard),
            (100, 29, Tier::Standard),
            (80, 24, Tier::Standard),
            (79, 60, Tier::Compact),
            (60, 14, Tier::Compact),
            (250, 13, Tier::Lines),
            (59, 80, Tier::Lines),
            (0, 0, Tier::Lines),
        ] {
            assert_eq!(Tier::of(Rect::new(0, 0, width, height)), tier, "{width}x{height}");
        }
    }
}
