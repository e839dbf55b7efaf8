//! The scrub bar over a recording: the whole run with its events as numbered marks, and what they are.
//!
//! ```text
//!  00:00 ├────────①②──────────────┃──────────③────────────┤ 10:00
//!         ① →2P2D 01:48  ② 2P2D ok 01:50  ③ 18/s 08:01
//! ```

use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures::span;
use crate::chart::TimeAxis;
use crate::format;
use crate::model::{Model, source::marks};
use crate::theme::{Paint, Theme};

/// The first number of marks that has no glyph of its own.
const NUMBERED: usize = 20;

/// The part of the bar that spans the run, and the run it spans.
fn track(model: &Model, bar: Rect) -> Option<(Rect, TimeAxis)> {
    let end = model.recording()?.end();
    let label = format::clock(end).len() as u16;
    let track = Rect { x: bar.x + label + 3, width: bar.width.saturating_sub(2 * label + 6), ..bar };
    (!track.is_empty()).then_some((track, TimeAxis { from: Micros::ZERO, to: end.max(Micros(1)) }))
}

/// The instant that the bar shows at a column; its ends are those of the run.
pub fn instant(model: &Model, bar: Rect, column: u16) -> Option<Micros> {
    let (track, run) = track(model, bar)?;
    Some(match column.checked_sub(track.x) {
        None | Some(0) => run.from,
        Some(column) if column + 1 >= track.width => run.to,
        Some(column) => run.instant(usize::from(column), usize::from(track.width)),
    })
}

/// Draws the bar.
pub(super) fn bar(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some((track, run)) = track(model, area) else { return };
    let shown = model.shown();
    let ends = [format::clock(run.from), format::clock(run.to)];
    buf.set_span(area.x + 1, area.y, &span(theme, Paint::Dim, &*ends[0]), track.x - area.x);
    buf.set_span(track.right() + 2, area.y, &span(theme, Paint::Dim, &*ends[1]), area.right() - track.right() - 2);
    let mut put = |x: u16, glyph: &str, paint| {
        buf.set_span(x, area.y, &span(theme, paint, glyph), 1);
    };
    for x in track.x..track.right() {
        put(x, theme.symbols.line, Paint::Border);
    }
    put(track.x - 1, theme.symbols.line_start, Paint::Border);
    put(track.right(), theme.symbols.tick, Paint::Border);
    let column = |at| run.column(at, usize::from(track.width)).map(|column| track.x + column as u16);
    for (number, event) in marks(shown).enumerate() {
        if let Some(x) = column(event.at) {
            put(x, &glyph(number, theme), Paint::Mark);
        }
    }
    if let Some(x) = column(model.timeline.cursor().unwrap_or(run.to)) {
        put(x, theme.symbols.now, Paint::Cursor);
    }
}

/// Draws the legend: the mark at the cursor or the last one before it, and as many of those around it as there is room for.
pub(super) fn legend(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let until = model.here().now;
    let entries: Vec<(bool, Line<'static>)> = marks(shown)
        .enumerate()
        .map(|(number, event)| {
            let text = format!(" {} {}", event.label, format::clock(event.at));
            let past = event.at < until;
            let paint = if past { Paint::Text } else { Paint::Dim };
            (past, Line::from_iter([span(theme, Paint::Mark, glyph(number, theme)), span(theme, paint, text)]))
        })
        .collect();
    let current = entries.iter().rposition(|(past, _)| *past).unwrap_or(0);
    let widths: Vec<usize> = entries.iter().map(|(_, line)| line.width() + 2).collect();
    let (first, last) = around(&widths, current, usize::from(area.width.saturating_sub(2)));
    let mut line = Line::from(Span::raw(" "));
    for (_, entry) in entries.into_iter().take(last).skip(first) {
        line.push_span(Span::raw("  "));
        line.extend(entry);
    }
    if line.spans.len() > 1 {
        line.spans.remove(1);
    }
    buf.set_line(area.x, area.y, &line, area.width);
}

/// Which neighbours of `current` fit into `room` together with it: those before and after in turn.
fn around(widths: &[usize], current: usize, room: usize) -> (usize, usize) {
    let (mut first, mut last) = (current, (current + 1).min(widths.len()));
    let mut used = widths.get(current).copied().unwrap_or(0);
    loop {
        let before = first.checked_sub(1).filter(|at| used + widths[*at] <= room);
        if let Some(at) = before {
            (first, used) = (at, used + widths[at]);
        }
        let after = widths.get(last).filter(|width| used + *width <= room);
        if let Some(width) = after {
            (last, used) = (last + 1, used + width);
        }
        if before.is_none() && after.is_none() {
            return (first, last);
        }
    }
}

/// `①`, and from the twenty-first on an event as in the charts.
fn glyph(number: usize, theme: &Theme) -> String {
    match char::from_u32('①' as u32 + number as u32) {
        Some(glyph) if number < NUMBERED => glyph.to_string(),
        _ => theme.symbols.mark.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legend_grows_from_the_current_mark_to_both_sides() {
        let widths = [10, 10, 10, 10, 10];
        assert_eq!(around(&widths, 2, 100), (0, 5));
        assert_eq!(around(&widths, 2, 35), (1, 4));
        assert_eq!(around(&widths, 0, 20), (0, 2));
        assert_eq!(around(&widths, 4, 5), (4, 5), "the current one always");
        assert_eq!(around(&[], 0, 50), (0, 0));
    }
}
