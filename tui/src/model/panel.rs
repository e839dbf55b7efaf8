//! The parts of the screen that can have the focus.

/// A part of the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panel {
    /// The lanes.
    Units,
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
    /// Goodput.
    #[default]
    Goodput,
    /// What limits the split.
    Split,
    /// Where the time of TTFT goes.
    Stages,
    /// What happened.
    Events,
}

impl Panel {
    /// All of them, as the focus walks over them.
    pub const ALL: [Self; 7] =
        [Self::Units, Self::Ttft, Self::Tpot, Self::Goodput, Self::Split, Self::Stages, Self::Events];

    /// The next one, or after the last the first.
    #[must_use]
    pub fn next(self) -> Self {
        self.moved(1)
    }

    /// The one before, or before the first the last.
    #[must_use]
    pub fn previous(self) -> Self {
        self.moved(Self::ALL.len() - 1)
    }

    fn moved(self, by: usize) -> Self {
        Self::ALL.get((self as usize + by) % Self::ALL.len()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_focus_walks_in_a_circle_both_ways() {
        for (index, panel) in Panel::ALL.into_iter().enumerate() {
            assert_eq!(panel as usize, index);
            assert_eq!(panel.next().previous(), panel);
        }
        assert_eq!(Panel::Events.next(), Panel::Units);
    }
}
