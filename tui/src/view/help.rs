//! Every key and what it does, read from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::action::{self, Place};
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};

const LEGEND: [&str; 6] = [
    "lag: sent − due, the delay that is the client's own; TTFT counts from due",
    "goodput: requests per second that completed and met every bound of the SLO",
    "lanes: % of the last second in steps, q waiting, b in the batch, kv held",
    "lines: p95 above p50 over 10 s, a gap: nothing completed",
    "charts: ┄ SLO or offered, ┊ event, ┃ cursor",
    "heatmaps: every request, · few to █ many; rows from ┄ up miss the SLO",
];

/// How far the list of a screen can be scrolled.
pub fn last_row(screen: Place) -> usize {
    action::help(screen).count() + LEGEND.len()
}

/// Draws the overlay from row `from` on, or as far down as there is anything to show.
pub(super) fn help(screen: Place, theme: &Theme, from: usize, area: Rect, buf: &mut Buffer) {
    let keys = action::help(screen).map(|row| {
        Line::from_iter([span(theme, Paint::Key, format!(" {:>6}  ", row.keys)), span(theme, Paint::Text, row.help)])
    });
    let legend = LEGEND.map(|text| Line::from(span(theme, Paint::Dim, format!(" {text}"))));
    let all: Vec<Line<'static>> = keys.chain([Line::default()]).chain(legend).collect();
    let seen = usize::from(area.height.saturating_sub(2)).max(1);
    let from = from.min(all.len().saturating_sub(seen));
    let place = if all.len() > seen {
        format!("↑↓:{}-{} of {}  ", from + 1, from + seen, all.len())
    } else {
        String::new()
    };
    let rows = all.into_iter().skip(from).map(|line| Row::new(0, line)).collect();
    let title = Line::from(span(theme, Paint::Title, "HELP"));
    let close = Line::from(span(theme, Paint::Dim, format!("{place}esc:close")));
    popup(theme, title, close, rows, 92, area, buf);
}
