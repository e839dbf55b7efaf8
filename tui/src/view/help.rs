//! Every key and what it does, read from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::action;
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};

const LEGEND: [&str; 4] = [
    "lag: sent − due; a late client blames the server for its own delay",
    "TTFT counts from due; goodput: requests per second that met every bound of the SLO",
    "q waiting requests, b sequences in the batch, kv blocks held, busy: share of the last second in steps",
    "charts: bright p95, other p50, ┄ SLO or offered, ┊ event; an empty second is a gap",
];

/// Draws the overlay.
pub(super) fn help(theme: &Theme, area: Rect, buf: &mut Buffer) {
    let keys = action::help().map(|row| {
        let line = Line::from_iter([
            span(theme, Paint::Key, format!(" {:>6}  ", row.keys)),
            span(theme, Paint::Text, row.help),
        ]);
        Row::new(u8::from(row.place != action::Place::Live), line)
    });
    let mut rows: Vec<Row> = keys.collect();
    rows.push(Row::new(3, Line::default()));
    rows.extend(LEGEND.map(|text| Row::new(2, span(theme, Paint::Dim, format!(" {text}")))));
    let title = Line::from(span(theme, Paint::Title, "HELP"));
    let close = Line::from(span(theme, Paint::Dim, "esc:close"));
    popup(theme, title, close, rows, 92, area, buf);
}
