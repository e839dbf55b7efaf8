//! What the small layouts say in a line: goodput, latencies, units, the newest event.

use loadgen::live::Snapshot;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::figures::{millis, role_paint, roles, span};
use super::latency::Metric;
use super::{events, header, lanes, split};
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::fit::{self, Segment};

/// Draws as many of the three lines as there are places for.
pub(super) fn header(model: &Model, theme: &Theme, lines: &[Rect], buf: &mut Buffer) {
    if let Some(place) = lines.first() {
        top(model, theme, *place, buf);
    }
    if let Some(place) = lines.get(1) {
        fit::draw(latencies(model.here(), theme), None, *place, buf);
    }
    if let Some(place) = lines.get(2) {
        let mut segments = busy(model.here(), theme);
        segments.push(Segment::new(1, [limit(model.here(), theme)]));
        fit::draw(segments, None, *place, buf);
    }
}

/// The newest event, or why the screen shows so little.
pub(super) fn event(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    if events::count(model) == 0 {
        let text = format!("{} panels one by one: tab; all of them from 80×24", Panel::ALL.len());
        fit::draw(vec![Segment::new(0, [span(theme, Paint::Dim, text)])], None, area, buf);
    } else {
        events::rows(model, theme, area, buf);
    }
}

/// `GOODPUT 14.6/s ▲  attain 96%  2P2D  02:31`, and the state when it is not the plain one.
pub(super) fn top(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.here();
    let mut left = vec![Segment::new(0, header::headline(model, theme, "/s"))];
    if let Some(attainment) = shown.recent.attainment {
        let text = format!("{}%", format::percent(attainment));
        left.push(Segment::new(3, [span(theme, header::attainment_paint(attainment), text)]));
    }
    left.push(Segment::new(2, [span(theme, Paint::Headline, format::split(shown.split))]));
    left.push(Segment::new(4, [span(theme, Paint::Text, format::clock(shown.now))]));
    left.extend(header::not_now(model, theme).map(|segment| Segment { rank: 1, ..segment }));
    left.push(Segment::new(1, [header::state(model, theme)]));
    fit::draw(left, None, area, buf);
}

/// `TTFT p95 318/400`, `TPOT p95 23.6/25.0`, `err 0`.
pub(super) fn latencies(shown: &Snapshot, theme: &Theme) -> Vec<Segment> {
    let mut segments: Vec<Segment> = [Metric::Ttft, Metric::Tpot]
        .into_iter()
        .map(|metric| {
            let p95 = metric.recent(shown).p95;
            let bound = metric.bound(shown);
            let over = p95.zip(bound).is_some_and(|(p95, bound)| p95 > bound);
            let mut spans = vec![
                span(theme, Paint::Dim, format!("{} p95 ", metric.name())),
                span(theme, if over { Paint::Bad } else { Paint::Text }, millis(theme, p95)),
            ];
            if let Some(bound) = bound {
                spans.push(span(theme, Paint::Dim, format!("/{}", format::millis(bound))));
            }
            if over {
                spans.push(span(theme, Paint::Bad, theme.symbols.bad));
            }
            Segment::new(0, spans)
        })
        .collect();
    segments.push(header::errors(shown, theme));
    let offered = format!("{}/s", format::number(shown.recent.offered_rps));
    segments.push(Segment::new(4, [span(theme, Paint::Dim, "offered "), span(theme, Paint::Text, offered)]));
    segments
}

/// `prefill-bound`.
fn limit(shown: &Snapshot, theme: &Theme) -> Span<'static> {
    span(theme, split::limit_paint(shown.diagnosis.limit), shown.diagnosis.words().name)
}

/// `P 93 88 34⟳` per role: how busy each unit is, in percent.
pub(super) fn busy(shown: &Snapshot, theme: &Theme) -> Vec<Segment> {
    let segment = |role| {
        let mut spans = vec![span(theme, role_paint(role), role.letter().to_string())];
        for unit in shown.units.iter().filter(|unit| unit.role == role) {
            spans.push(Span::raw(" "));
            let busy = if unit.measured { format::percent(unit.busy).to_string() } else { unit.unit.0.to_string() };
            spans.push(span(theme, Paint::Text, busy));
            spans.push(lanes::badge(unit, theme));
        }
        Segment::new(0, spans)
    };
    roles(&shown.units).into_iter().map(segment).collect()
}
