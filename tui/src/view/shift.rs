//! The shift dialog: which move, what is known now, what is predicted, what will happen. Cancel is what enter does.

use engine::cluster::{How, UnitState};
use engine::units::Role;
use loadgen::diagnose::Side;
use loadgen::live::{Snapshot, UnitView};
use loadgen::whatif::{Interval, MoveCost, SplitPrediction, Verdict, WhatIf};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures::{percentiles, role_paint, side, span};
use super::latency::Metric;
use super::predicted::{gain_words, latency, margin};
use crate::action::Action;
use crate::format;
use crate::model::Model;
use crate::model::shift::{self, Bearing, Move, ShiftDialog};
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::target::{Parts, Targets};
use crate::widget::wrap::wrap;

const WIDTH: u16 = 72;

/// Draws the overlay. It always shows the newest snapshot, even over a frozen picture: a decision needs the present.
pub(super) fn shift(model: &Model, dialog: ShiftDialog, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let now = &*model.latest;
    let moves = dialog.moves(now);
    let position = dialog.position(&moves);
    let forecast = model.forecast();
    let mut rows = move_rows(now, forecast, &moves, position, theme);
    if let Some(chosen) = moves.get(position) {
        rows.push(Row::new(6, Line::default()));
        let predicted = forecast.and_then(|forecast| forecast.of(chosen.result));
        match predicted {
            Some(predicted) => rows.extend(compared_rows(now, predicted, theme)),
            None => rows.extend(now_rows(now, theme)),
        }
        rows.extend(limit_rows(now, chosen, theme, WIDTH.min(area.width)));
        if chosen.refused.is_none() {
            rows.push(Row::new(6, Line::default()));
            let cost = predicted.and_then(|of| of.costs.iter().find(|cost| cost.how == dialog.how));
            rows.extend(step_rows(chosen, dialog, cost, theme, now));
        } else if dialog.how == How::Restart {
            // The way back to a way that may be possible.
            rows.push(how_row(chosen, dialog, None, theme, now));
        }
        rows.push(Row::new(6, Line::default()));
        rows.push(Row::new(1, advice(now, predicted, chosen, theme)));
    }
    rows.push(Row::clickable(0, buttons(model, moves.get(position), dialog.how, theme)));
    let title = Line::from_iter([
        span(theme, Paint::Title, "SHIFT"),
        span(theme, Paint::Text, format!(" from {}", shift::base(now))),
    ]);
    let cancel = Row::new(0, span(theme, Paint::Dim, "esc:cancel")).does(Action::Back);
    popup(theme, title, cancel, rows, WIDTH, area, buf)
}

fn move_rows(now: &Snapshot, forecast: Option<&WhatIf>, moves: &[Move], position: usize, theme: &Theme) -> Vec<Row> {
    let s = &theme.symbols;
    let mut rows = Vec::new();
    if let Some(shift) = now.shifts.last() {
        let text = format!(" {} starts after the shift to {} that is under way", s.moving, shift.to);
        rows.push(Row::new(2, span(theme, Paint::Warn, text)));
    }
    for (index, m) in moves.iter().enumerate() {
        let selected = index == position;
        let cursor = if selected { s.cursor } else { " " };
        let text = match m.units {
            0 | 1 => format!(" {cursor} one {} {} {}", m.from, s.arrow, m.to),
            units => format!(" {cursor} {units} units at once"),
        };
        let base = if selected { Paint::Selected } else { Paint::Text };
        let mut spans = vec![span(theme, base, format!("{text:<28}"))];
        if let Some(reason) = &m.refused {
            spans.push(span(theme, Paint::Disabled, format!(" {} {reason}", s.bad)));
        } else {
            spans.push(span(theme, Paint::Headline, format!(" {} {:<7}", s.arrow, m.result.to_string())));
            if let Some(of) = forecast.and_then(|forecast| forecast.of(m.result)) {
                let paint = verdict_paint(of.gain_rps);
                spans.push(span(theme, paint, format!(" {:>6}/s", signed(of.gain_rps.mid))));
            }
            if shift::bearing(now, m) == Bearing::Towards {
                spans.push(span(theme, Paint::Good, format!("  helps {}", side_name(now))));
            }
        }
        rows.push(Row::new(if selected { 0 } else { 3 }, Line::from(spans)).does(Action::Choose(index as u8)));
    }
    rows
}

/// The side that one more unit would help.
fn side_name(now: &Snapshot) -> &'static str {
    match now.diagnosis.limit.side() {
        Some(Side::Prefill) => "prefill",
        Some(Side::Decode) => "decode",
        None => "",
    }
}

fn label(text: &'static str, theme: &Theme) -> Span<'static> {
    span(theme, Paint::Dim, format!(" {text:<10}"))
}

/// What is measured now beside what is predicted.
fn compared_rows(now: &Snapshot, predicted: &SplitPrediction, theme: &Theme) -> Vec<Row> {
    let s = &theme.symbols;
    let head = format!(" {:<10}{:<7}{:>8}   predicted {}range", "", "", "now", s.about);
    let mut rows = vec![Row::new(5, span(theme, Paint::Dim, head))];
    let goodput = now.recent.goodput_rps.map_or_else(|| s.none.to_owned(), format::number);
    let word = match predicted.gain_rps.verdict() {
        Verdict::Gains => format!("{} better", s.up),
        Verdict::Loses => format!("{} worse", s.down),
        Verdict::Even => format!("{} even", s.level),
        Verdict::Unsure => "unsure".to_owned(),
    };
    let figure = predicted.goodput_rps;
    rows.push(Row::new(
        1,
        Line::from_iter([
            label("goodput", theme),
            span(theme, Paint::Text, format!("{:<7}{goodput:>8}   ", "req/s")),
            span(theme, Paint::Headline, format!("{:<7}", format::number(figure.mid))),
            span(theme, Paint::Text, format!("{:<7}", format!("{}{}", s.about, format::number(margin(figure))))),
            span(theme, verdict_paint(predicted.gain_rps), word),
        ]),
    ));
    for (metric, value) in [(Metric::Ttft, predicted.ttft_p95_ms), (Metric::Tpot, predicted.tpot_p95_ms)] {
        let measured = metric.recent(now).p95.map_or_else(|| s.none.to_owned(), format::millis);
        let bound = metric.bound(now);
        let value = latency(value, bound, theme);
        let width = value.content.chars().count();
        let mut spans = vec![
            label(if metric == Metric::Ttft { "TTFT p95" } else { "TPOT p95" }, theme),
            span(theme, Paint::Text, format!("{:<7}{measured:>8}   ", "ms")),
            value,
        ];
        if let Some(bound) = bound {
            let gap = " ".repeat(14_usize.saturating_sub(width));
            spans.push(span(theme, Paint::Slo, format!("{gap}SLO {}", format::millis(bound))));
        }
        rows.push(Row::new(3, Line::from(spans)));
    }
    rows
}

fn verdict_paint(gain: Interval) -> Paint {
    match gain.verdict() {
        Verdict::Gains => Paint::Good,
        Verdict::Loses => Paint::Bad,
        Verdict::Even | Verdict::Unsure => Paint::Dim,
    }
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "+" };
    format!("{sign}{}", format::number(value.abs()))
}

fn now_rows(now: &Snapshot, theme: &Theme) -> Vec<Row> {
    let label = |text| label(text, theme);
    let mut rows = Vec::new();
    let goodput = now.recent.goodput_rps.map_or_else(|| theme.symbols.none.to_owned(), format::number);
    let mut spans = vec![
        label("now"),
        span(theme, Paint::Text, format!("goodput {goodput}/s of {} offered", format::number(now.recent.offered_rps))),
    ];
    rows.push(Row::new(2, Line::from(std::mem::take(&mut spans))));
    for metric in [Metric::Ttft, Metric::Tpot] {
        let mut spans = vec![label(""), span(theme, Paint::Text, format!("{} ms  ", metric.name()))];
        spans.extend(percentiles(theme, metric.recent(now), metric.bound(now), &["p50", "p95"]));
        if let Some(bound) = metric.bound(now) {
            spans.push(span(theme, Paint::Slo, format!("  SLO {}", format::millis(bound))));
        }
        rows.push(Row::new(4, Line::from(spans)));
    }
    rows
}

fn limit_rows(now: &Snapshot, chosen: &Move, theme: &Theme, width: u16) -> Vec<Row> {
    let label = |text| label(text, theme);
    let mut rows = Vec::new();
    let room = usize::from(width.saturating_sub(22));
    let words = now.diagnosis.words();
    let mut why = wrap(&format!("{}: {}", words.name, words.why), room, 2).into_iter();
    let first = Line::from_iter([label("limit"), span(theme, Paint::Headline, why.next().unwrap_or_default())]);
    rows.push(Row::new(2, first));
    rows.extend(why.map(|text| Row::new(4, span(theme, Paint::Text, format!("{:11}{text}", "")))));
    rows.push(Row::new(
        1,
        Line::from_iter([label("in flight"), span(theme, Paint::Text, in_flight(&now.units, chosen.from))]),
    ));
    rows
}

/// What the units that could move hold now. The cluster picks one of them, so that of several only the least and the most are
/// of use, and fit however they are called.
fn in_flight(units: &[UnitView], role: Role) -> String {
    if !units.is_empty() && units.iter().all(|unit| !unit.measured) {
        return "not told by this control plane".to_owned();
    }
    let could: Vec<&UnitView> =
        units.iter().filter(|unit| unit.role == role && unit.state == UnitState::Serving).collect();
    let held = || could.iter().filter(|unit| unit.measured).map(|unit| shift::held(unit));
    match (could.as_slice(), held().min(), held().max()) {
        ([], ..) => format!("no {role} unit is serving now"),
        ([unit], None, _) => unit.unit.to_string(),
        ([unit], Some(held), _) => format!("{held} on {}", unit.unit),
        (_, Some(least), Some(most)) if least < most => {
            format!("{least} to {most} on each of {} units; the cluster picks one", could.len())
        }
        (_, Some(held), _) => format!("{held} on each of {} units; the cluster picks one", could.len()),
        _ => format!("not told for these {} units; the cluster picks one", could.len()),
    }
}

fn step_rows(chosen: &Move, dialog: ShiftDialog, cost: Option<&MoveCost>, theme: &Theme, now: &Snapshot) -> Vec<Row> {
    let one = chosen.units <= 1;
    let late = cost.map_or_else(
        || ", then takes requests; the charts mark start and end".to_owned(),
        |cost| format!("; ~{} in all, {} late", format::duration(cost.total), plural(cost.late)),
    );
    let step = |number: &'static str, text: String| {
        Row::new(5, Line::from_iter([span(theme, Paint::Key, format!(" {number} ")), span(theme, Paint::Text, text)]))
    };
    let change = match dialog.how {
        How::Drain if !now.abilities.in_place && one => {
            format!("its process ends; another starts as a {} unit", chosen.to)
        }
        How::Drain if !now.abilities.in_place => {
            format!("their processes end; others start and make {}", chosen.result)
        }
        How::Drain | How::Migrate if one => format!("it becomes a {} unit", chosen.to),
        How::Drain | How::Migrate => format!("the units become {}", chosen.result),
        How::Restart if one => format!("it loads the weights as a {} unit, with nothing cached", chosen.to),
        How::Restart => format!("they load the weights and become {}, with nothing cached", chosen.result),
    };
    vec![
        step(
            "1",
            if one {
                format!("one {} unit takes no new requests", chosen.from)
            } else if dialog.how == How::Restart {
                format!("{} units take no new requests, while others can serve", chosen.units)
            } else {
                format!("{} units take no new requests", chosen.units)
            },
        ),
        how_row(chosen, dialog, cost, theme, now),
        step("3", change),
        step("4", format!("{} up{late}", if one { "it warms" } else { "they warm" })),
    ]
}

/// How the units are emptied, and what is offered instead.
fn how_row(chosen: &Move, dialog: ShiftDialog, cost: Option<&MoveCost>, theme: &Theme, now: &Snapshot) -> Row {
    let one = chosen.units <= 1;
    let empty = match dialog.how {
        How::Drain if !now.abilities.in_place => "drain: it may end what it holds, in a given time",
        How::Drain if one => "drain: it finishes what it holds",
        How::Drain => "drain: they finish what they hold",
        How::Migrate if one => "migrate: its KV moves to its peers",
        How::Migrate => "migrate: their KV moves to their peers",
        How::Restart if one => "restart: it drains, then starts anew",
        How::Restart => "restart: they drain, then start anew",
    };
    let empty = match cost {
        Some(cost) => format!("{empty}, ~{}", format::duration(cost.drain)),
        None if now.abilities.in_place => format!("{empty}; nothing is lost"),
        None => empty.to_owned(),
    };
    let next = dialog.next_how(now);
    let parts = Parts::default().text(span(theme, Paint::Key, " 2 ")).text(span(theme, Paint::Text, empty));
    if next == dialog.how {
        return Row::clickable(2, parts);
    }
    let other = [span(theme, Paint::Dim, format!("(k: {next})"))];
    Row::clickable(2, parts.text(Span::raw("  ")).button(other, Action::ToggleHow))
}

fn plural(requests: u64) -> String {
    match requests {
        0 => "no request".to_owned(),
        1 => "1 request".to_owned(),
        _ => format!("{} requests", format::count(requests)),
    }
}

fn advice(now: &Snapshot, predicted: Option<&SplitPrediction>, chosen: &Move, theme: &Theme) -> Span<'static> {
    let s = &theme.symbols;
    if let Some(reason) = &chosen.refused {
        return span(theme, Paint::Bad, format!(" {} not possible: it {reason}", s.bad));
    }
    if let Some(of) = predicted {
        let words = gain_words(of.gain_rps, theme);
        return match of.gain_rps.verdict() {
            Verdict::Gains => span(theme, Paint::Good, format!(" {} the model says this {words}", s.ok)),
            Verdict::Loses => span(theme, Paint::Warn, format!(" {} the model says this {words}", s.warn)),
            Verdict::Even | Verdict::Unsure => span(theme, Paint::Text, format!(" the model says this {words}")),
        };
    }
    let limiting = now.diagnosis.words().name;
    match shift::bearing(now, chosen) {
        Bearing::Towards => span(theme, Paint::Good, format!(" this gives a unit to the side that limits: {limiting}")),
        Bearing::Away => {
            span(theme, Paint::Warn, format!(" {} this takes a unit from the side that limits: {limiting}", s.warn))
        }
        Bearing::Neutral => {
            let units = side(&now.units, chosen.from).units;
            span(theme, Paint::Dim, format!(" no side limits that this would help; {units} {} units now", chosen.from))
        }
    }
}

fn buttons(model: &Model, chosen: Option<&Move>, how: How, theme: &Theme) -> Parts {
    if let Some(notice) = &model.notice {
        return Parts::default().text(span(theme, Paint::Warn, format!(" {}", notice.text)));
    }
    let possible = chosen.filter(|m| m.refused.is_none());
    let shift = possible.map_or_else(
        || span(theme, Paint::Disabled, "y: shift"),
        |m| span(theme, role_paint(m.to), format!("y: shift to {} ({how})", m.result)),
    );
    Parts::default()
        .text(Span::raw(" "))
        .button([span(theme, Paint::Selected, "[ Cancel ]")], Action::Back)
        .text(Span::raw("  "))
        .button([shift], Action::ConfirmShift)
        .text(Span::raw("   "))
        .button([span(theme, Paint::Dim, "↑")], Action::Previous)
        .button([span(theme, Paint::Dim, "↓: pick")], Action::Next)
}
