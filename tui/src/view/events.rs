//! What happened, newest first; what must not be overlooked stands above it.

use loadgen::live::{Event, MarkKind};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use super::warnings;
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::{clip::clip, panel};

/// Draws the panel. With a cursor it starts from what had happened by then.
pub(super) fn panel(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let (all, until) = (model.shown().events.len(), known(model).len());
    let title = Line::from(span(theme, Paint::Title, "EVENTS"));
    let count = if until == all { all.to_string() } else { format!("{until} of {all}") };
    let count = Line::from(span(theme, Paint::Dim, count));
    let inner = panel::panel(theme, model.focus == Panel::Events, title, count, area, buf);
    if inner.height > 0 && self::count(model) == 0 {
        buf.set_line(inner.x, inner.y, &span(theme, Paint::Dim, " nothing has happened yet").into(), inner.width);
    }
    rows(model, theme, inner, buf);
}

/// How many rows there are to show.
pub(super) fn count(model: &Model) -> usize {
    known(model).len() + warnings::count(model)
}

/// Draws standing warnings and then events, one a row.
pub(super) fn rows(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let here = model.timeline.cursor().map(|_| model.here());
    let is_here =
        |event: &Event| here.is_some_and(|here| model.timeline.cursor() <= Some(event.at) && event.at < here.now);
    let events = known(model).iter().rev().map(|event| line(event, is_here(event), theme));
    for (row, line) in area.rows().zip(warnings::lines(model, theme).into_iter().chain(events)) {
        let line = clip(line, usize::from(row.width));
        buf.set_line(row.x, row.y, &line, row.width);
    }
}

/// The events up to the cursor.
fn known(model: &Model) -> &[Event] {
    let events = &model.shown().events;
    let until = match model.timeline.cursor() {
        Some(_) => events.partition_point(|event| event.at < model.here().now),
        None => events.len(),
    };
    events.get(..until).unwrap_or(&[])
}

fn line(event: &Event, is_here: bool, theme: &Theme) -> Line<'static> {
    let (word, paint) = match event.mark {
        Some(MarkKind::Shift) => ("shift", Paint::Mark),
        Some(MarkKind::Load) => ("load", Paint::Text),
        Some(MarkKind::Slo) => ("slo", Paint::Slo),
        Some(MarkKind::Failure) => ("failure", Paint::Bad),
        None => ("", Paint::Dim),
    };
    let (cursor, time) = if is_here { (theme.symbols.cursor, Paint::Cursor) } else { (" ", Paint::Dim) };
    Line::from_iter([
        span(theme, time, format!("{cursor}{}  ", format::clock(event.at))),
        span(theme, paint, format!("{word:<7} ")),
        span(theme, Paint::Text, event.text.clone()),
    ])
}
