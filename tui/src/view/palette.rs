//! The command palette: what was typed, and the actions that match.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures::span;
use crate::action::{self, Action, Binding};
use crate::model::{Model, Palette};
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::target::Targets;

/// Rows of matches that are seen at once.
const SEEN: usize = 12;

/// Draws the overlay. What cannot be done now is dim and says why.
pub(super) fn palette(model: &Model, palette: &Palette, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let matches = palette.matches();
    let selected = palette.selected.min(matches.len().saturating_sub(1));
    let typed = Line::from_iter([
        span(theme, Paint::Key, " :"),
        span(theme, Paint::Text, palette.text.clone()),
        span(theme, Paint::Selected, " "),
    ]);
    let mut rows = vec![Row::new(0, typed)];
    let seen = SEEN.min(usize::from(area.height.saturating_sub(4)).max(1));
    let first = selected.saturating_sub(seen - 1);
    for (index, row) in matches.iter().enumerate().skip(first).take(seen) {
        let rank = u8::from(index != selected);
        let choose = Action::Choose(u8::try_from(index).unwrap_or(u8::MAX));
        rows.push(Row::new(rank, line(model, row, index == selected, theme)).does(choose));
    }
    if matches.is_empty() {
        rows.push(Row::new(0, span(theme, Paint::Warn, " no command has these letters in this order")));
    } else {
        rows.extend((rows.len()..=seen).map(|_| Row::new(2, Line::default())));
    }
    let title = Line::from(span(theme, Paint::Title, "COMMANDS"));
    let count = Line::from(span(
        theme,
        Paint::Dim,
        format!("{} of {}", matches.len(), action::commands(palette.screen).count()),
    ));
    popup(theme, title, Row::new(0, count), rows, 78, area, buf)
}

fn line(model: &Model, row: &Binding, selected: bool, theme: &Theme) -> Line<'static> {
    let refused = action::refusal(model, row.action);
    let cursor = if selected { theme.symbols.cursor } else { " " };
    let base = match (&refused, selected) {
        (_, true) => Paint::Selected,
        (Some(_), false) => Paint::Disabled,
        (None, false) => Paint::Text,
    };
    let mut spans = vec![
        span(theme, base, format!(" {cursor} {:<22}", row.name)),
        Span::raw(" "),
        span(theme, if refused.is_some() { Paint::Disabled } else { Paint::Key }, format!("{:>9}", row.keys)),
        Span::raw("  "),
    ];
    spans.push(match refused {
        Some(reason) => span(theme, Paint::Warn, format!("{} {reason}", theme.symbols.bad)),
        None => span(theme, Paint::Dim, row.help),
    });
    Line::from(spans)
}
