//! A dialog in the middle of the screen, or all of it when the screen is small.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget};

use super::panel;
use super::target::{Click, Parts, Targets};
use crate::action::Action;
use crate::theme::{Paint, Theme};

/// A line of a dialog; those of the highest rank go first when there are too many.
#[derive(Clone, Debug)]
pub struct Row {
    /// 0 is kept the longest.
    pub rank: u8,
    /// Its text.
    pub line: Line<'static>,
    /// What of it can be clicked.
    pub clicks: Vec<Click>,
}

impl Row {
    /// A row of `rank`.
    pub fn new(rank: u8, line: impl Into<Line<'static>>) -> Self {
        Self { rank, line: line.into(), clicks: Vec::new() }
    }

    /// A row of `rank` of which parts can be clicked.
    pub fn clickable(rank: u8, parts: Parts) -> Self {
        Self { rank, line: parts.line, clicks: parts.clicks }
    }

    /// The same row; all of it does `action`.
    #[must_use]
    pub fn does(self, action: Action) -> Self {
        Self { clicks: vec![Click::new(0..u16::MAX, action)], ..self }
    }
}

/// Below this size a frame would take more than it gives.
const FRAMED: (u16, u16) = (30, 8);

/// Draws a dialog `width` columns wide and as high as its rows, `right` in its upper edge. Returns where it can be clicked.
pub fn popup(
    theme: &Theme,
    title: Line<'static>,
    right: Row,
    rows: Vec<Row>,
    width: u16,
    area: Rect,
    buf: &mut Buffer,
) -> Targets {
    let mut targets = Targets::default();
    if area.is_empty() {
        return targets;
    }
    let framed = area.width >= FRAMED.0 && area.height >= FRAMED.1;
    let frame = if framed { 2 } else { 0 };
    let rows = keep(rows, usize::from(area.height.saturating_sub(frame)));
    let inside = if framed {
        let height = (rows.len() as u16).saturating_add(frame).min(area.height);
        let outer = area.centered(Constraint::Length(width.min(area.width)), Constraint::Length(height));
        clear(theme, outer, buf);
        targets.cover(outer);
        if let Some(place) = panel::right_place(&title, &right.line, outer) {
            targets.line(place, &right.clicks);
        }
        panel::panel(theme, false, title, right.line, outer, buf)
    } else {
        clear(theme, area, buf);
        targets.cover(area);
        area
    };
    for (place, row) in inside.rows().zip(rows) {
        targets.line(place, &row.clicks);
        buf.set_line(place.x, place.y, &row.line, place.width);
    }
    targets
}

/// What is cleared still has the background of the theme.
fn clear(theme: &Theme, area: Rect, buf: &mut Buffer) {
    Clear.render(area, buf);
    buf.set_style(area, theme.style(Paint::Text));
}

/// Drops rows of the highest rank, the last one first, until `height` are left.
fn keep(mut rows: Vec<Row>, height: usize) -> Vec<Row> {
    while rows.len() > height {
        let least = rows.iter().enumerate().max_by_key(|(_, row)| row.rank).map_or(0, |(index, _)| index);
        rows.remove(least);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_survives_a_low_screen() {
        let rows = [(0, "move"), (3, "why"), (1, "now"), (0, "keys")].map(|(rank, text)| Row::new(rank, text)).to_vec();
        let left: Vec<String> = keep(rows, 2).into_iter().map(|row| row.line.to_string()).collect();
        assert_eq!(left, ["move", "keys"]);
    }
}
