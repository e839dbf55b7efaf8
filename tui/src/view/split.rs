//! What is known of the split: which side limits, what other splits would give, and the figures that say so.

use engine::units::{Role, Split};
use loadgen::diagnose::{Limit, Side};
use loadgen::live::Snapshot;
use loadgen::whatif::{Score, SplitPrediction, WhatIf};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::{role_paint, roles, side, span};
use super::predicted::{margin, prediction_paint};
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::{bar::whisker, panel, wrap::wrap};

/// Draws the panel.
pub(super) fn split(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.here();
    let title = Line::from(span(theme, Paint::Title, "SPLIT"));
    let right = Line::from(span(theme, Paint::Headline, format::split(shown.split)));
    let inner = panel::panel(theme, model.focus == Panel::Split, title, right, area, buf);
    let mut lines = shifts(shown, theme);
    lines.push(limit(shown, theme));
    lines.extend(fault(shown, theme, usize::from(inner.width.saturating_sub(2))));
    if let Some(prediction) = model.prediction() {
        let room = usize::from(inner.height).saturating_sub(lines.len());
        lines.extend(predicted(prediction, &model.outlook.score, shown.split, theme, (inner.width, room)));
    }
    let mut sides = sides(shown, theme);
    let left = usize::from(inner.height).saturating_sub(lines.len());
    if model.prediction().is_some() && left < sides.len() + 2 {
        // What to do goes before figures that the lanes show, too.
        sides.clear();
    }
    let room = left.saturating_sub(sides.len());
    lines.extend(reasons(shown, theme, usize::from(inner.width.saturating_sub(2)), room));
    lines.extend(sides);
    for (row, line) in inner.rows().zip(lines) {
        buf.set_line(row.x, row.y, &line, row.width);
    }
}

/// `⟳ → 1P3D by drain, 2.1s`, then the waiting ones.
fn shifts(shown: &Snapshot, theme: &Theme) -> Vec<Line<'static>> {
    let s = &theme.symbols;
    let line = |shift: &loadgen::live::ShiftView| {
        let when = shift.since.map_or_else(|| "waiting".to_owned(), |since| format::duration(shown.now.since(since)));
        span(theme, Paint::Warn, format!(" {} {} {} by {}, {when}", s.moving, s.arrow, shift.to, shift.how)).into()
    };
    let mut lines: Vec<Line<'static>> = shown.shifts.iter().take(1).map(line).collect();
    if shown.shifts.len() > 1 {
        lines.push(span(theme, Paint::Dim, format!("   {} more waiting", shown.shifts.len() - 1)).into());
    }
    lines
}

/// Most splits that are shown; there is a screen for all.
const MOST_SPLITS: usize = 5;

/// The best few splits and the one that serves, then how sure that is.
fn predicted(
    prediction: &WhatIf,
    score: &Score,
    now: Split,
    theme: &Theme,
    (width, room): (u16, usize),
) -> Vec<Line<'static>> {
    let Some(best) = prediction.best() else { return Vec::new() };
    let mut shown: Vec<&SplitPrediction> = prediction.splits.iter().collect();
    // The one that serves is kept in any case, then the best; of equals the nearest.
    let rank = |of: &SplitPrediction| (of.split != now, of.split != best.split);
    shown.sort_by(|a, b| {
        let goodput = b.goodput_rps.mid.total_cmp(&a.goodput_rps.mid);
        rank(a).cmp(&rank(b)).then(goodput).then(a.moves.cmp(&b.moves))
    });
    shown.truncate(room.saturating_sub(1).min(MOST_SPLITS));
    let place = |of: &SplitPrediction| prediction.splits.iter().position(|other| other.split == of.split);
    shown.sort_by_key(|of| place(of));
    let names = shown.iter().map(|of| of.split.to_string().len()).max().unwrap_or(0);
    let full = prediction.splits.iter().map(|of| of.goodput_rps.hi).fold(0.0, f64::max);
    let bars = width.saturating_sub(names as u16 + 11);
    let line = |of: &&SplitPrediction| {
        let name = format!(" {:<names$} ", of.split.to_string());
        let mark = if of.split == now {
            format!(" {}", theme.symbols.here)
        } else if score.is_near(of.split) {
            String::new()
        } else {
            " ~".to_owned()
        };
        let base = if of.split == now { Paint::Headline } else { Paint::Text };
        let mut spans = vec![span(theme, base, name)];
        spans.extend(whisker(theme, of.goodput_rps, full, bars, prediction_paint(of)));
        spans.push(span(theme, base, format!(" {:>5}", format::number(of.goodput_rps.mid))));
        spans.push(span(theme, Paint::Dim, mark));
        Line::from(spans)
    };
    let mut lines: Vec<Line<'static>> = shown.iter().map(line).collect();
    let error = score
        .error()
        .map_or_else(|| "model untested".to_owned(), |error| format!("model err {}%", format::percent(error)));
    lines.push(Line::from_iter([
        span(theme, Paint::Dim, " best "),
        span(theme, Paint::Headline, best.split.to_string()),
        span(theme, Paint::Text, format!(" {}{}", theme.symbols.about, format::number(margin(best.goodput_rps)))),
        span(theme, Paint::Dim, format!("  {error}")),
    ]));
    lines
}

/// `PREFILL-BOUND`.
fn limit(shown: &Snapshot, theme: &Theme) -> Line<'static> {
    let text = format!(" {}", shown.diagnosis.words().name.to_uppercase());
    span(theme, limit_paint(shown.diagnosis.limit), text).into()
}

/// `✗ 3 KV transfers failed: …`, whatever limits.
fn fault(shown: &Snapshot, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let text = shown.diagnosis.fault.map(|fault| format!("{} {fault}", theme.symbols.bad));
    let lines = text.map(|text| wrap(&text, width, 2)).unwrap_or_default();
    lines.into_iter().map(|text| Line::from(span(theme, Paint::Bad, format!(" {text}")))).collect()
}

/// How the name of a limit is painted.
pub(super) fn limit_paint(limit: Limit) -> Paint {
    match (limit, limit.side()) {
        (Limit::Nothing, _) => Paint::Good,
        (Limit::Failing, _) => Paint::Bad,
        (Limit::TooFew | Limit::NotTold, _) => Paint::Dim,
        (_, Some(Side::Prefill)) => Paint::Prefill,
        (_, Some(Side::Decode)) => Paint::Decode,
        _ => Paint::Warn,
    }
}

/// The figures that say so, and what to do: of the two the latter keeps its line.
fn reasons(shown: &Snapshot, theme: &Theme, width: usize, room: usize) -> Vec<Line<'static>> {
    let words = shown.diagnosis.words();
    let line = |paint| move |text: String| Line::from(span(theme, paint, format!("  {text}")));
    let advice = words.advice.map(|advice| wrap(&format!("{} {advice}", theme.symbols.arrow), width, room.min(2)));
    let advice = advice.unwrap_or_default();
    let why = wrap(&words.why, width, room - advice.len());
    why.into_iter().map(line(Paint::Dim)).chain(advice.into_iter().map(line(Paint::Text))).collect()
}

/// One line of depths per role.
fn sides(shown: &Snapshot, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for role in roles(&shown.units) {
        let sums = side(&shown.units, role);
        let busy = format::percent(sums.busy);
        let kv = format::percent(sums.kv);
        let text = match role {
            _ if !sums.measured => format!(" {} serving", sums.units),
            Role::Prefill if sums.handing_off > 0 => {
                format!(" queue {}  busy {busy}%  hand-off {}", sums.queue, sums.handing_off)
            }
            Role::Prefill => format!(" queue {}  busy {busy}%", sums.queue),
            Role::Decode => format!(" batch {}  busy {busy}%  kv {kv}%", sums.running),
            Role::Aggregated => format!(" q{} b{} busy {busy}% kv {kv}%", sums.queue, sums.running),
        };
        lines.push(Line::from_iter([
            span(theme, role_paint(role), format!(" {}", role.letter())),
            span(theme, Paint::Text, text),
        ]));
    }
    lines
}
