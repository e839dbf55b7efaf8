//! Every key and what it does, read from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::action::{self, Action, Place};
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::target::{Parts, Targets};

const LEGEND: [&str; 8] = [
    "lag: sent − due, the delay that is the client's own; TTFT counts from due",
    "goodput: requests per second that completed and met every bound of the SLO",
    "lanes: % of the last second in steps, q waiting, b in the batch, kv held",
    "lines: p95 above p50 over 10 s, a gap: nothing completed",
    "charts: ┄ SLO or offered, ┊ event, ┃ cursor",
    "stages: q prefill queue, P prefill, w hand-off wait, C copy, d decode queue, u unknown,",
    "  l client lag, i and b the way there and back; p99+: the mean of those at p99 and above",
    "heatmaps: every request, · few to █ many; rows from ┄ up miss the SLO",
];

/// How far the list of a screen of `height` rows can be scrolled.
pub fn last_row(screen: Place, height: u16) -> usize {
    (action::help(screen).count() + 1 + LEGEND.len()).saturating_sub(seen(height))
}

/// The rows that are seen at once.
fn seen(height: u16) -> usize {
    usize::from(height.saturating_sub(2)).max(1)
}

/// Draws the overlay from row `from` on, or as far down as there is anything to show.
pub(super) fn help(screen: Place, theme: &Theme, from: usize, area: Rect, buf: &mut Buffer) -> Targets {
    let keys = action::help(screen).map(|row| {
        Line::from_iter([span(theme, Paint::Key, format!(" {:>6}  ", row.keys)), span(theme, Paint::Text, row.help)])
    });
    let legend = LEGEND.map(|text| Line::from(span(theme, Paint::Dim, format!(" {text}"))));
    let all: Vec<Line<'static>> = keys.chain([Line::default()]).chain(legend).collect();
    let seen = seen(area.height);
    let from = from.min(last_row(screen, area.height));
    let mut close = Parts::default();
    if all.len() > seen {
        let place = format!(":{}-{} of {}  ", from + 1, from + seen, all.len());
        close = close
            .button([span(theme, Paint::Dim, "↑")], Action::Previous)
            .button([span(theme, Paint::Dim, "↓")], Action::Next)
            .text(span(theme, Paint::Dim, place));
    }
    let close = close.button([span(theme, Paint::Dim, "esc:close")], Action::Back);
    let rows = all.into_iter().skip(from).map(|line| Row::new(0, line)).collect();
    let title = Line::from(span(theme, Paint::Title, "HELP"));
    popup(theme, title, Row::clickable(0, close), rows, 92, area, buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolling_ends_where_the_last_row_is_seen() {
        for screen in [Place::Live, Place::View] {
            let all = action::help(screen).count() + 1 + LEGEND.len();
            assert_eq!(last_row(screen, 24), all - 22);
            assert_eq!(last_row(screen, 0), all - 1);
            assert_eq!(last_row(screen, 500), 0);
        }
    }
}
