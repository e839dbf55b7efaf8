//! The screen from 60×14: header, panels, footer.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::figures::{roles, span};
use super::latency::{self, Metric};
use super::layout::{Layout, is_framed, layout};
use super::{compact, events, footer, goodput, header, lanes, scrub as scrub_bar, servers, split, stages};
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::tier::Tier;
use crate::widget::target::Targets;

/// Draws it.
pub(super) fn dashboard(model: &Model, theme: &Theme, tier: Tier, area: Rect, buf: &mut Buffer) -> Targets {
    let Layout { header, panels, event, scrub, legend, footer } = layout(model, area);
    let mut targets = Targets::default();
    match (tier, header.as_slice()) {
        (Tier::Compact, lines) => compact::header(model, theme, lines, buf),
        (_, [run, headline, ..]) => {
            targets = header::run(model, theme, *run, buf);
            header::goodput(model, theme, *headline, buf);
        }
        _ => {}
    }
    for (panel, place) in panels {
        if is_framed(model, tier, panel) {
            framed(panel, model, theme, place, buf);
        } else {
            plain(panel, model, theme, place, buf);
        }
    }
    compact::event(model, theme, event, buf);
    if !scrub.is_empty() {
        scrub_bar::bar(model, theme, scrub, buf);
        scrub_bar::legend(model, theme, legend, buf);
    }
    targets.extend(footer::footer(model, theme, footer, buf));
    targets
}

fn framed(panel: Panel, model: &Model, theme: &Theme, place: Rect, buf: &mut Buffer) {
    match panel {
        Panel::Units => lanes::panels(model, theme, place, buf),
        Panel::Ttft => latency::latency(model, theme, Metric::Ttft, place, buf),
        Panel::Tpot => latency::latency(model, theme, Metric::Tpot, place, buf),
        Panel::Goodput => goodput::goodput(model, theme, place, buf),
        Panel::Split => split::split(model, theme, place, buf),
        Panel::Stages => stages::panel(model, theme, place, buf),
        Panel::Events => events::panel(model, theme, place, buf),
    }
}

/// A line for each role, and the newest events or the stages: a frame would take more than it gives.
fn plain(panel: Panel, model: &Model, theme: &Theme, place: Rect, buf: &mut Buffer) {
    match panel {
        Panel::Events => events::rows(model, theme, place, buf),
        Panel::Stages => stages::rows(model, theme, place, buf),
        _ => {
            let shown = model.here();
            for (row, role) in place.rows().zip(roles(&shown.units)) {
                lanes::role_line(shown, role, theme, row, buf);
            }
            if shown.units.is_empty() {
                for (row, group) in place.rows().zip(servers::groups(shown)) {
                    servers::line(&group, theme, row, buf);
                }
            }
        }
    }
    if model.focus == panel && !place.is_empty() {
        let cursor = span(theme, Paint::Focus, theme.symbols.cursor);
        buf.set_span(place.x, place.y, &cursor, 1);
    }
}
