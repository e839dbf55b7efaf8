//! What happened, newest first; what must not be overlooked stands above it.

use loadgen::live::{Event, MarkKind, Phase};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::{is_down, span};
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::panel;

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
    known(model).len() + warnings_of(model).len()
}

/// Draws standing warnings and then events, one a row.
pub(super) fn rows(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let here = model.timeline.cursor().map(|_| model.here());
    let is_here =
        |event: &Event| here.is_some_and(|here| model.timeline.cursor() <= Some(event.at) && event.at < here.now);
    let events = known(model).iter().rev().map(|event| line(event, is_here(event), theme));
    for (row, line) in area.rows().zip(warnings(model, theme).into_iter().chain(events)) {
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

/// What holds as long as it holds, whatever the cursor looks at: a target that is down, a lost recording, a client that is
/// itself the limit.
fn warnings_of(model: &Model) -> Vec<(Paint, String)> {
    let now = model.standing();
    let mut texts = of_the_recording(model);
    if let Some(outage) = now.outage.as_ref().filter(|_| is_down(now)) {
        // Nobody waits before trying again: every request that is due is a try.
        let tries = match now.phase {
            Phase::Loading if now.rate_rps > 0.0 => format!("; tried again {}/s", format::rate(now.rate_rps)),
            _ => "; not tried now".to_owned(),
        };
        let since = format::duration(now.now.since(outage.since));
        let failed = format::count(outage.failed);
        texts.push((Paint::Alert, format!("target down for {since}: {failed} failed{tries}: {} ", outage.error)));
    }
    if let Some(reason) = &now.health.recording_lost {
        texts.push((Paint::Alert, format!("recording lost: {reason} ")));
    }
    if let Some(verdict) = &now.health.verdict {
        texts.push((Paint::Warn, format!("the client is the limit: {verdict}")));
    }
    texts
}

/// What the operator should know about the file.
fn of_the_recording(model: &Model) -> Vec<(Paint, String)> {
    let Some(recording) = model.recording() else { return Vec::new() };
    let incomplete = recording
        .incomplete
        .as_ref()
        .map(|why| format!("incomplete: what was in flight at its end is missing ({why}) "));
    let unknown = (recording.unknown > 0)
        .then(|| format!("{} records of kinds from a later version are not shown", format::count(recording.unknown)));
    incomplete.map(|text| (Paint::Alert, text)).into_iter().chain(unknown.map(|text| (Paint::Warn, text))).collect()
}

fn warnings(model: &Model, theme: &Theme) -> Vec<Line<'static>> {
    let sign = |paint| if paint == Paint::Alert { theme.symbols.bad } else { theme.symbols.warn };
    let line = |(paint, text): (Paint, String)| span(theme, paint, format!(" {} {text}", sign(paint))).into();
    warnings_of(model).into_iter().map(line).collect()
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
