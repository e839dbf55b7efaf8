//! What happened, newest first; what must not be overlooked stands above it.

use loadgen::live::{Event, MarkKind, Snapshot};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::span;
use crate::format;
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::panel;

/// Draws the panel.
pub(super) fn panel(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let title = Line::from(span(theme, Paint::Title, "EVENTS"));
    let count = Line::from(span(theme, Paint::Dim, shown.events.len().to_string()));
    let inner = panel::panel(theme, title, count, area, buf);
    rows(shown, theme, inner, buf);
}

/// Draws standing warnings and then events, one a row.
pub(super) fn rows(shown: &Snapshot, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let events = shown.events.iter().rev().map(|event| line(event, theme));
    for (row, line) in area.rows().zip(warnings(shown, theme).into_iter().chain(events)) {
        buf.set_line(row.x, row.y, &line, row.width);
    }
}

/// What holds as long as it holds: a lost recording, a client that is itself the limit.
fn warnings(shown: &Snapshot, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(reason) = &shown.health.recording_lost {
        lines.push(span(theme, Paint::Alert, format!(" {} recording lost: {reason} ", theme.symbols.bad)).into());
    }
    if let Some(verdict) = &shown.health.verdict {
        lines.push(
            span(theme, Paint::Warn, format!(" {} the client is the limit: {verdict}", theme.symbols.warn)).into(),
        );
    }
    lines
}

fn line(event: &Event, theme: &Theme) -> Line<'static> {
    let (word, paint) = match event.mark {
        Some(MarkKind::Shift) => ("shift", Paint::Mark),
        Some(MarkKind::Load) => ("load", Paint::Text),
        Some(MarkKind::Slo) => ("slo", Paint::Slo),
        Some(MarkKind::Failure) => ("failure", Paint::Bad),
        None => ("", Paint::Dim),
    };
    Line::from_iter([
        span(theme, Paint::Dim, format!(" {}  ", format::clock(event.at))),
        span(theme, paint, format!("{word:<7} ")),
        span(theme, Paint::Text, event.text.clone()),
    ])
}
