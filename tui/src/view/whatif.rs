//! The what-if screen: what every split would give under the traffic that was just observed, and why.

mod changes;
mod curve;
mod table;

use loadgen::whatif::{Fit, Grounds, WhatIf, findings};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget};

use super::figures::{NO_SLO, span};
use super::{footer, header};
use crate::model::{Model, WhatIfScreen};
use crate::theme::{Paint, Theme};
use crate::widget::panel;
use crate::widget::target::Targets;
use crate::widget::wrap::wrap;

/// Below this size there is room for the table alone, without frames.
const FRAMED: (u16, u16) = (50, 11);
/// Lines of the chart and of what changes, frames included.
const MIDDLE: u16 = 9;
/// Fewest lines of the reasons, frame included.
const WHY: u16 = 3;

/// Draws the screen over everything.
pub(super) fn whatif(model: &Model, screen: WhatIfScreen, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    Clear.render(area, buf);
    buf.set_style(area, theme.style(Paint::Text));
    let mut targets = Targets::default();
    targets.cover(area);
    let framed = area.width >= FRAMED.0 && area.height >= FRAMED.1;
    if !framed {
        let [body, keys] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        match model.forecast() {
            Some(of) => table::rows(model, of, screen, theme, body, &mut targets, buf),
            None => nothing(model, theme, body, buf),
        }
        targets.extend(footer::footer(model, theme, keys, buf));
        return targets;
    }
    let [run, headline, body, keys] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)])
            .areas(area);
    targets.extend(header::run(model, theme, run, buf));
    header::goodput(model, theme, headline, buf);
    if let Some(of) = model.forecast() {
        predicted(model, of, screen, theme, body, &mut targets, buf);
    } else {
        let title = Line::from(span(theme, Paint::Title, "WHAT IF"));
        let inner = panel::panel(theme, false, title, Line::default(), body, buf);
        nothing(model, theme, inner, buf);
    }
    targets.extend(footer::footer(model, theme, keys, buf));
    targets
}

fn predicted(
    model: &Model,
    of: &WhatIf,
    screen: WhatIfScreen,
    theme: &Theme,
    area: Rect,
    targets: &mut Targets,
    buf: &mut Buffer,
) {
    // Head, foot and frame of the table.
    let wanted = of.splits.len() as u16 + 4;
    let most = if area.height >= 20 { area.height.saturating_sub(MIDDLE + WHY) } else { area.height };
    let table = wanted.min(most).min(area.height);
    let left = area.height - table;
    let middle = if left >= MIDDLE + WHY { MIDDLE } else { 0 };
    let why = if left - middle >= WHY { left - middle } else { 0 };
    let [table, middle, why] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(middle), Constraint::Length(why)]).areas(area);
    table::panel(model, of, screen, theme, table, targets, buf);
    if !middle.is_empty() {
        let [curve, changes] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle);
        curve::panel(model, of, theme, curve, buf);
        changes::panel(of, theme, changes, buf);
    }
    if !why.is_empty() {
        reasons(of, screen, theme, why, buf);
    }
}

/// Why the selected split is better or worse.
fn reasons(of: &WhatIf, screen: WhatIfScreen, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let title = Line::from(span(theme, Paint::Title, "WHY"));
    let right = Line::from(span(theme, Paint::Dim, grounds(of)));
    let inner = panel::panel(theme, false, title, right, area, buf);
    let selected = screen.chosen(of).unwrap_or(of.now);
    let width = usize::from(inner.width.saturating_sub(2));
    let (doubt, assumed) = match &of.grounds {
        Grounds::Profile(_) => (None, &[][..]),
        Grounds::Fitted(fit) => (fit.doubt(), &fit.assumed[..]),
    };
    let findings = findings(of, selected).into_iter().map(|finding| finding.to_string());
    let assumed = assumed.iter().map(|line| format!("assumed: {line}"));
    let lines = doubt.into_iter().chain(findings).chain(assumed).flat_map(|line| wrap(&line, width, 2));
    for (row, line) in inner.rows().zip(lines) {
        buf.set_span(row.x + 1, row.y, &span(theme, Paint::Text, line), row.width.saturating_sub(1));
    }
}

/// How the times of steps are known, and what ranges are of.
fn grounds(of: &WhatIf) -> String {
    match &of.grounds {
        Grounds::Profile(name) => format!("times by the profile {name}, ranges of {} draws", of.draws),
        Grounds::Fitted(Fit { requests, window, residual, .. }) => {
            let (seconds, off) = (window.as_secs_f64(), residual * 100.0);
            let past = if (50.0..65.0).contains(&seconds) { "minute".to_owned() } else { format!("{seconds:.0} s") };
            format!("fitted to {requests} requests of the last {past}, each ±{off:.0}%; ranges of {} draws", of.draws)
        }
    }
}

/// Why there is no prediction.
fn nothing(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let why = match &model.outlook.missing {
        _ if model.standing().slo.is_none() => NO_SLO.to_owned(),
        Some(why) => format!("no prediction: {why}"),
        None if model.recording().is_none() && !model.latest.shifts.is_empty() => {
            "units are moving: predictions come when they serve".to_owned()
        }
        None => "predicting".to_owned(),
    };
    let lines = wrap(&why, usize::from(area.width.saturating_sub(2)), usize::from(area.height));
    for (row, line) in area.rows().zip(lines) {
        buf.set_span(row.x + 1, row.y, &span(theme, Paint::Dim, line), row.width.saturating_sub(1));
    }
}
