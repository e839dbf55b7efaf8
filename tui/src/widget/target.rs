//! Where a click does something. Whatever draws a key that can be pressed tells where, so that a click lands on what is seen.

use std::ops::Range;

use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use crate::action::Action;

/// A part of a line that can be clicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// Its columns, from the start of the line.
    pub columns: Range<u16>,
    /// What it does.
    pub action: Action,
}

impl Click {
    /// Those columns of a line do `action`.
    pub fn new(columns: Range<u16>, action: Action) -> Self {
        Self { columns, action }
    }
}

/// A line of texts, some of which can be clicked.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The line so far.
    pub line: Line<'static>,
    /// What of it can be clicked.
    pub clicks: Vec<Click>,
}

impl Parts {
    /// Appends a text that is only read.
    #[must_use]
    pub fn text(mut self, span: Span<'static>) -> Self {
        self.line.push_span(span);
        self
    }

    /// Appends texts that do `action`.
    #[must_use]
    pub fn button(mut self, spans: impl IntoIterator<Item = Span<'static>>, action: Action) -> Self {
        let start = self.line.width() as u16;
        self.line.extend(spans);
        self.clicks.push(Click::new(start..self.line.width() as u16, action));
        self
    }
}

/// The places of a drawn screen that can be clicked. What is drawn later lies above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets(Vec<(Rect, Option<Action>)>);

impl Targets {
    /// What a click at `position` does.
    pub fn at(&self, position: Position) -> Option<Action> {
        self.0.iter().rev().find(|(place, _)| place.contains(position)).and_then(|(_, action)| *action)
    }

    /// Every place and what it does, those below first.
    pub fn iter(&self) -> impl Iterator<Item = (Rect, Action)> {
        self.0.iter().filter_map(|(place, action)| Some((*place, (*action)?)))
    }

    /// Nothing below `place` can be clicked any more.
    pub fn cover(&mut self, place: Rect) {
        self.0.push((place, None));
    }

    /// A line was drawn at `place`.
    pub fn line(&mut self, place: Rect, clicks: &[Click]) {
        for Click { columns, action } in clicks {
            let x = place.x.saturating_add(columns.start);
            let width = columns.end.saturating_sub(columns.start);
            let part = Rect { x, width, ..place }.intersection(place);
            if !part.is_empty() {
                self.0.push((part, Some(*action)));
            }
        }
    }

    /// What was drawn after these.
    pub fn extend(&mut self, above: Self) {
        self.0.extend(above.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_above_is_hit_and_what_is_covered_is_not() {
        let mut targets = Targets::default();
        targets.line(Rect::new(2, 5, 10, 1), &[Click::new(0..3, Action::Help), Click::new(4..90, Action::Quit)]);
        let at = |targets: &Targets, x, y| targets.at(Position::new(x, y));
        assert_eq!(
            [1, 2, 4, 5, 6, 11, 12].map(|x| at(&targets, x, 5)),
            [None, Some(Action::Help), Some(Action::Help), None, Some(Action::Quit), Some(Action::Quit), None]
        );
        assert_eq!(at(&targets, 2, 4), None);
        let mut above = Targets::default();
        above.cover(Rect::new(0, 0, 8, 8));
        above.line(Rect::new(3, 5, 1, 1), &[Click::new(0..1, Action::Back)]);
        targets.extend(above);
        assert_eq!([2, 3, 11].map(|x| at(&targets, x, 5)), [None, Some(Action::Back), Some(Action::Quit)]);
    }
}
