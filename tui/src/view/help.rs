//! Every key and what it does, read from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::action;
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};

const LEGEND: [&str; 4] = [
    "lag: sent − due, the delay that is the client's own; TTFT counts from due",
    "goodput: requests per second that completed and met every bound of the SLO",
    "lanes: % of the last second in steps, q waiting, b in the batch, kv held",
    "charts: p95 above p50, ┄ SLO or offered, ┊ event, a gap: nothing completed",
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
