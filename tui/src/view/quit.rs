//! The question whether to leave while the load runs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::format;
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};

/// Draws the overlay.
pub(super) fn quit(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let in_flight = format::count(model.latest.counts.in_flight);
    let key = |key: &'static str, text: String| {
        Line::from_iter([span(theme, Paint::Key, format!("  {key:>3}  ")), span(theme, Paint::Text, text)])
    };
    let rows = vec![
        Row::new(1, span(theme, Paint::Text, format!(" The load is running, {in_flight} requests are in flight."))),
        Row::new(2, Line::default()),
        Row::new(0, key("q", format!("stop now: cancel the {in_flight}, print the summary"))),
        Row::new(0, key("f", "finish: send no more, wait for them, then leave".to_owned())),
        Row::new(0, key("esc", "back; the run goes on".to_owned())),
    ];
    let title = Line::from(span(theme, Paint::Title, "LEAVE?"));
    popup(theme, title, Line::default(), rows, 58, area, buf);
}
