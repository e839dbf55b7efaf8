//! Colours by role: the views name what a cell means, a theme says how that looks.

mod environment;
mod palette;

use ratatui::style::Style;

use crate::picture::Paper;
use crate::symbols::{SymbolSet, Symbols};

pub use environment::{Choice, Environment};
pub use palette::Depth;

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Plain figures and words.
    Text,
    /// Labels and what is of less weight.
    Dim,
    /// Frames and axes.
    Border,
    /// Names of panels.
    Title,
    /// The one number that matters.
    Headline,
    /// A key that can be pressed.
    Key,
    /// A key that cannot be pressed now.
    Disabled,
    /// The prefill side.
    Prefill,
    /// The decode side.
    Decode,
    /// Units that do both.
    Aggregated,
    /// A prompt being computed, in a bar of stages: work is filled, waiting is not.
    PrefillWork,
    /// Tokens being decoded, in a bar of stages.
    DecodeWork,
    /// KV being copied, in a bar of stages.
    CopyWork,
    /// Within bounds.
    Good,
    /// Out of bounds, failed, lost.
    Bad,
    /// Needs attention.
    Warn,
    /// A bound of the SLO.
    Slo,
    /// The offered rate.
    Offered,
    /// An event in a chart.
    Mark,
    /// The median in a chart.
    Median,
    /// The 95th percentile in a chart.
    Tail,
    /// The selected line of a dialog.
    Selected,
    /// A banner.
    Alert,
    /// The frame of the panel in focus.
    Focus,
    /// The time cursor and what stands at it.
    Cursor,
    /// Requests in a heatmap.
    Heat,
    /// Requests in a heatmap that missed the bound.
    HeatOver,
}

impl Paint {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 27] = [
        Self::Text,
        Self::Dim,
        Self::Border,
        Self::Title,
        Self::Headline,
        Self::Key,
        Self::Disabled,
        Self::Prefill,
        Self::Decode,
        Self::Aggregated,
        Self::PrefillWork,
        Self::DecodeWork,
        Self::CopyWork,
        Self::Good,
        Self::Bad,
        Self::Warn,
        Self::Slo,
        Self::Offered,
        Self::Mark,
        Self::Median,
        Self::Tail,
        Self::Selected,
        Self::Alert,
        Self::Focus,
        Self::Cursor,
        Self::Heat,
        Self::HeatOver,
    ];
}

/// How each [`Paint`] looks, and which glyphs are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// The glyphs.
    pub symbols: Symbols,
    /// What the terminal can show of them.
    pub set: SymbolSet,
    /// What it is meant to stand on, for pictures: on a terminal that is the terminal's own.
    pub paper: Paper,
    styles: [Style; Paint::ALL.len()],
}

impl Theme {
    /// A theme from a function of roles.
    pub fn new(style: impl Fn(Paint) -> Style) -> Self {
        let styles = Paint::ALL.map(style);
        Self { symbols: Symbols::UNICODE, set: SymbolSet::default(), paper: Paper::DARK, styles }
    }

    /// The same colours on another ground.
    #[must_use]
    fn on(self, paper: Paper) -> Self {
        Self { paper, ..self }
    }

    /// The same colours with other glyphs.
    #[must_use]
    pub fn with_symbols(self, set: SymbolSet) -> Self {
        Self { set, ..self }
    }

    /// How `paint` looks.
    pub fn style(&self, paint: Paint) -> Style {
        self.styles.get(paint as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_paints_is_in_declaration_order() {
        for (index, paint) in Paint::ALL.into_iter().enumerate() {
            assert_eq!(paint as usize, index, "{paint:?}");
        }
    }
}
