//! The question whether to leave while the load runs.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::action::Action;
use crate::format;
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::target::Targets;

/// Draws the overlay.
pub(super) fn quit(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let in_flight = format::count(model.latest.counts.in_flight);
    let key = |key: &'static str, text: String| {
        Line::from_iter([span(theme, Paint::Key, format!("  {key:>3}  ")), span(theme, Paint::Text, text)])
    };
    let rows = vec![
        Row::new(1, span(theme, Paint::Text, format!(" The load is running, {in_flight} requests are in flight."))),
        Row::new(2, Line::default()),
        Row::new(0, key("q", format!("stop now: cancel the {in_flight}, print the summary")))
            .does(Action::StopAndLeave),
        Row::new(0, key("f", "finish: send no more, wait for them, then leave".to_owned()))
            .does(Action::FinishAndLeave),
        Row::new(0, key("esc", "back; the run goes on".to_owned())).does(Action::Back),
    ];
    let title = Line::from(span(theme, Paint::Title, "LEAVE?"));
    popup(theme, title, Row::new(0, Line::default()), rows, 58, area, buf)
}
