//! The units: one lane each where there is room, one line per role where there is not.

use engine::cluster::UnitState;
use engine::units::Role;
use loadgen::live::{ServerView, Snapshot, UnitView};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::figures::{role_paint, roles, side, span, state};
use super::servers;
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::{bar::bar, panel};

/// Rows, frame included, that the lanes want.
pub(super) fn wanted_height(shown: &Snapshot) -> u16 {
    let units = shown.units.as_slice();
    if units.is_empty() {
        return servers::wanted_height(shown);
    }
    let most = roles(units).into_iter().map(|role| units.iter().filter(|unit| unit.role == role).count()).max();
    (most.unwrap_or(1).max(1) as u16).saturating_add(2)
}

/// Lines that they want where there is one for each role.
pub(super) fn lines(shown: &Snapshot) -> u16 {
    let roles = roles(&shown.units).len();
    (if roles == 0 { servers::groups(shown).len() } else { roles }) as u16
}

/// Draws a panel for each role, side by side.
pub(super) fn panels(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.here();
    let units = shown.units.as_slice();
    let focus = model.focus == Panel::Units;
    let roles = roles(units);
    if roles.is_empty() && !servers::groups(shown).is_empty() {
        servers::panels(shown, focus, theme, area, buf);
        return;
    }
    if roles.is_empty() {
        let title = Line::from(span(theme, Paint::Title, "UNITS"));
        let inner = panel::panel(theme, focus, title, Line::default(), area, buf);
        let text = span(theme, Paint::Dim, "the target does not say what its units do");
        buf.set_line(inner.x, inner.y, &Line::from(text), if inner.height > 0 { inner.width } else { 0 });
        return;
    }
    let places = Layout::horizontal(vec![Constraint::Fill(1); roles.len()]).split(area);
    for (role, place) in roles.into_iter().zip(places.iter()) {
        role_panel(shown, role, focus, theme, *place, buf);
    }
}

fn role_panel(shown: &Snapshot, role: Role, focus: bool, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let units = shown.units.as_slice();
    let sums = side(units, role);
    let lanes: Vec<&UnitView> = units.iter().filter(|unit| unit.role == role).collect();
    let title = format!("{} ×{}", role.to_string().to_uppercase(), lanes.len());
    let dot = theme.symbols.dot;
    let figures = match role {
        _ if !sums.measured => servers::of_role(shown, role),
        Role::Prefill => format!("queue {} {dot} {} tok/s", sums.queue, format::number(sums.input_tps)),
        Role::Decode => format!("batch {} {dot} {} tok/s", sums.running, format::number(sums.output_tps)),
        Role::Aggregated => format!(
            "queue {} {dot} batch {} {dot} {} in, {} out tok/s",
            sums.queue,
            sums.running,
            format::number(sums.input_tps),
            format::number(sums.output_tps)
        ),
    };
    let title = Line::from(
        span(theme, role_paint(role), title).style(theme.style(role_paint(role)).patch(theme.style(Paint::Title))),
    );
    let inner = panel::panel(theme, focus, title, Line::from(span(theme, Paint::Text, figures)), area, buf);
    let (seen, folded) = fold(&lanes, usize::from(inner.height));
    let mut rows = inner.rows();
    for (unit, row) in seen.into_iter().zip(rows.by_ref()) {
        buf.set_line(row.x, row.y, &lane(unit, servers::of_unit(shown, unit.unit), theme, inner.width), row.width);
    }
    if let (Some(row), false) = (rows.next(), folded.is_empty()) {
        buf.set_line(row.x, row.y, &Line::from(span(theme, Paint::Dim, summary(&folded, role))), row.width);
    }
}

/// Splits lanes into those with a row and the rest, which shares the last row. Units that are not serving keep theirs.
fn fold<'a>(lanes: &[&'a UnitView], rows: usize) -> (Vec<&'a UnitView>, Vec<&'a UnitView>) {
    if lanes.len() <= rows {
        return (lanes.to_vec(), Vec::new());
    }
    let mut order = lanes.to_vec();
    order.sort_by_key(|unit| (unit.state == UnitState::Serving, unit.unit));
    let mut folded = order.split_off(rows.saturating_sub(1).min(order.len()));
    order.sort_by_key(|unit| unit.unit);
    folded.sort_by_key(|unit| unit.unit);
    (order, folded)
}

fn summary(folded: &[&UnitView], role: Role) -> String {
    let busy = folded.iter().map(|unit| unit.busy).sum::<f64>() / folded.len().max(1) as f64;
    let queue: u64 = folded.iter().map(|unit| u64::from(unit.queue)).sum();
    let running: u64 = folded.iter().map(|unit| u64::from(unit.running)).sum();
    let held = match role {
        Role::Prefill => format!("q{queue}"),
        Role::Decode => format!("b{running}"),
        Role::Aggregated => format!("q{queue} b{running}"),
    };
    if !folded.iter().any(|unit| unit.measured) {
        return format!("+{} more units", folded.len());
    }
    format!("+{} more units  {}% busy  {held}", folded.len(), format::percent(busy))
}

/// ` 3 serving`, of a unit whose figures nobody tells; ` 3 q2  b16  kv █████░ 62%` where its engine tells of itself.
fn plain_lane(unit: &UnitView, server: Option<&ServerView>, theme: &Theme, width: u16) -> Line<'static> {
    let mut line = Line::from(span(theme, Paint::Text, format!("{:>2} ", unit.unit.0)));
    let moving = state(theme, unit);
    let room = width.saturating_sub(3 + moving.as_ref().map_or(0, |moving| moving.width() as u16 + 2));
    match server {
        Some(server) => line.extend(servers::beside(server, theme, room)),
        None if moving.is_none() => line.push_span(span(theme, Paint::Dim, "serving")),
        None => {}
    }
    line.extend(moving);
    line
}

/// ` 3 ██████░░░░  71%  b16  kv █████░ 62%  1.2k t/s`. A unit on its way shows its state in place of its rate.
fn lane(unit: &UnitView, server: Option<&ServerView>, theme: &Theme, width: u16) -> Line<'static> {
    if !unit.measured {
        return plain_lane(unit, server, theme, width);
    }
    let wide = width >= 44;
    let gap = if wide { "  " } else { " " };
    let moving = state(theme, unit);
    let [filled, rest] = bar(theme, unit.busy, (width / 5).clamp(4, 16), role_paint(unit.role));
    let mut spans = vec![
        span(theme, Paint::Text, format!("{:>2} ", unit.unit.0)),
        filled,
        rest,
        span(theme, Paint::Text, format!(" {:>3}%{gap}", format::percent(unit.busy))),
    ];
    if unit.state == UnitState::Failed || (!wide && moving.is_some()) {
        spans.extend(moving);
        return Line::from(spans);
    }
    if unit.role.can_prefill() {
        spans.push(span(theme, Paint::Text, format!("q{:<2}{gap}", unit.queue)));
    }
    if unit.role.can_decode() {
        spans.push(span(theme, Paint::Text, format!("b{:<2}{gap}", unit.running)));
    }
    if moving.is_none() {
        spans.push(span(theme, Paint::Dim, "kv "));
        if wide && unit.role == Role::Decode {
            spans.extend(bar(theme, unit.kv_used, 6, Paint::Text));
        }
        spans.push(span(theme, Paint::Text, format!("{:>3}%{gap}", format::percent(unit.kv_used))));
    }
    let tps = if unit.role == Role::Prefill { unit.input_tps } else { unit.output_tps };
    let last = moving.unwrap_or_else(|| span(theme, Paint::Dim, format!("{:>5} t/s", format::number(tps))));
    // Half a number would be a wrong number.
    if spans.iter().map(Span::width).sum::<usize>() + last.width() <= usize::from(width) {
        spans.push(last);
    }
    Line::from(spans)
}

/// One line for a role: ` P 0███████ 1██████░ 5██░░░░⟳  q9  31.2k tok/s`.
pub(super) fn role_line(shown: &Snapshot, role: Role, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let units = shown.units.as_slice();
    let sums = side(units, role);
    let figures = match role {
        _ if !sums.measured => servers::of_role(shown, role),
        Role::Prefill => format!("q{}  {} tok/s", sums.queue, format::number(sums.input_tps)),
        Role::Decode => {
            format!("b{}  kv {}%  {} tok/s", sums.running, format::percent(sums.kv), format::number(sums.output_tps))
        }
        Role::Aggregated => format!(
            "q{} b{}  kv {}%  {} tok/s",
            sums.queue,
            sums.running,
            format::percent(sums.kv),
            format::number(sums.output_tps)
        ),
    };
    let figures = Line::from(span(theme, Paint::Text, figures));
    let room = usize::from(area.width).saturating_sub(figures.width() + 6);
    let lanes: Vec<&UnitView> = units.iter().filter(|unit| unit.role == role).collect();
    let digits = lanes.last().map_or(1, |unit| unit.unit.0.to_string().len());
    let bar_width = (room / lanes.len().max(1)).saturating_sub(digits + 2).clamp(2, 7);
    let each = digits + bar_width + 2;
    let fits = room / each;
    let (seen, folded) = fold(&lanes, if lanes.len() > fits { fits } else { lanes.len() });
    let mut spans = vec![Span::raw(" "), span(theme, role_paint(role), format!("{} ", role.letter()))];
    for unit in seen {
        spans.push(span(theme, Paint::Dim, format!("{:>digits$}", unit.unit.0)));
        if unit.measured {
            spans.extend(bar(theme, unit.busy, bar_width as u16, role_paint(role)));
        }
        spans.push(badge(unit, theme));
        spans.push(Span::raw(" "));
    }
    if !folded.is_empty() {
        spans.push(span(theme, Paint::Dim, format!("+{}", folded.len())));
    }
    buf.set_line(area.x, area.y, &Line::from(spans), area.width);
    let width = (figures.width() as u16).min(area.width.saturating_sub(1));
    buf.set_line(area.right().saturating_sub(width + 1), area.y, &figures, width);
}

/// One glyph for what a unit does about its role.
pub(super) fn badge(unit: &UnitView, theme: &Theme) -> Span<'static> {
    match unit.state {
        UnitState::Serving => Span::raw(" "),
        UnitState::Failed => span(theme, Paint::Bad, theme.symbols.bad),
        _ => span(theme, Paint::Warn, theme.symbols.moving),
    }
}
