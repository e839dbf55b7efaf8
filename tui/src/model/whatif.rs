//! The what-if screen: which split is selected.

use engine::units::Split;
use loadgen::whatif::WhatIf;

/// The screen's own state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WhatIfScreen {
    /// The selected split; `None` is the best one, whichever that is.
    pub selected: Option<Split>,
}

impl WhatIfScreen {
    /// The place of the selected split in the table.
    pub fn position(self, of: &WhatIf) -> usize {
        let selected = self.selected.or_else(|| of.best().map(|best| best.split));
        of.splits.iter().position(|other| Some(other.split) == selected).unwrap_or(0)
    }

    /// The selected split.
    pub fn chosen(self, of: &WhatIf) -> Option<Split> {
        of.splits.get(self.position(of)).map(|other| other.split)
    }
}
