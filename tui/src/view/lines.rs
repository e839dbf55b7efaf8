//! Below 60×14: plain lines, the most important first, the keys last.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{compact, events, figures, footer, header, split};
use crate::format;
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::fit::{self, Segment};
use crate::widget::target::Targets;

/// Draws as many lines as there are rows.
pub(super) fn lines(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let shown = model.here();
    let mut rows: Vec<Vec<Segment>> = vec![vec![Segment::new(0, header::headline(model, theme, "/s"))]];
    rows.extend(compact::latencies(shown, theme).into_iter().take(2).map(|segment| vec![segment]));
    let mut state = vec![Segment::new(1, [header::state(model, theme)])];
    state.extend(header::not_now(model, theme));
    state.push(Segment::new(2, [figures::span(theme, Paint::Text, format::split(shown.split))]));
    state.push(Segment::new(3, [figures::span(theme, Paint::Text, format::clock(shown.now))]));
    rows.push(state);
    rows.push(compact::busy(shown, theme));
    let found = shown.diagnosis.words();
    rows.push(vec![
        Segment::new(0, [figures::span(theme, split::limit_paint(shown.diagnosis.limit), found.name)]),
        Segment::new(1, [figures::span(theme, Paint::Dim, found.why)]),
    ]);
    rows.push(vec![header::errors(shown, theme)]);
    let with_keys = area.height >= 3;
    let body = Rect { height: area.height - u16::from(with_keys), ..area };
    let used = (rows.len() as u16).min(body.height);
    for (place, segments) in body.rows().zip(rows) {
        fit::draw(segments, None, place, buf);
    }
    events::rows(model, theme, Rect { y: body.y + used, height: body.height - used, ..body }, buf);
    let keys = Rect { y: area.bottom() - 1, height: 1, ..area };
    if with_keys { footer::footer(model, theme, keys, buf) } else { Targets::default() }
}
