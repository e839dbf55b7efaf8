//! The two large layouts.
//!
//! ```text
//!  header: run                       header: run
//!  header: goodput                   header: goodput
//!  PREFILL       │ DECODE            P lanes in one line
//!  TTFT          │ TPOT              D lanes in one line
//!  GOODPUT            │ SPLIT        TTFT    │ TPOT
//!  EVENTS                            GOODPUT     │ SPLIT
//!  footer                            newest event
//!                 full               footer             standard
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};

use super::figures::roles;
use super::latency::{Metric, latency};
use super::{events, footer, goodput, header, lanes, split};
use crate::model::Model;
use crate::theme::Theme;

/// Lanes may take this share of the height at most, one part in so many.
const LANES_PART: u16 = 5;
const SPLIT_WIDTH: u16 = 34;

/// From 100×30.
pub(super) fn full(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let units = &model.shown().units;
    let lanes_height = lanes::wanted_height(units).clamp(3, (area.height / LANES_PART).max(6));
    let events_height = if area.height >= 40 { 8 } else { 4 };
    let [run, headline, lanes, upper, lower, events, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(lanes_height),
        Constraint::Fill(9),
        Constraint::Fill(8),
        Constraint::Length(events_height),
        Constraint::Length(1),
    ])
    .areas(area);
    header::run(model, theme, run, buf);
    header::goodput(model, theme, headline, buf);
    lanes::panels(units, theme, lanes, buf);
    charts(model, theme, upper, lower, SPLIT_WIDTH, buf);
    events::panel(model, theme, events, buf);
    footer::footer(model, theme, keys, buf);
}

/// From 80×24.
pub(super) fn standard(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let units = &model.shown().units;
    let roles = roles(units);
    let [run, headline, lanes, upper, lower, events, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(roles.len() as u16),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(2),
        Constraint::Length(1),
    ])
    .areas(area);
    header::run(model, theme, run, buf);
    header::goodput(model, theme, headline, buf);
    for (row, role) in lanes.rows().zip(roles) {
        lanes::role_line(units, role, theme, row, buf);
    }
    charts(model, theme, upper, lower, SPLIT_WIDTH, buf);
    events::rows(model.shown(), theme, events, buf);
    footer::footer(model, theme, keys, buf);
}

fn charts(model: &Model, theme: &Theme, upper: Rect, lower: Rect, split_width: u16, buf: &mut Buffer) {
    let [ttft, tpot] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(upper);
    latency(model, theme, Metric::Ttft, ttft, buf);
    latency(model, theme, Metric::Tpot, tpot, buf);
    let [good, side] = Layout::horizontal([Constraint::Fill(1), Constraint::Length(split_width)]).areas(lower);
    goodput::goodput(model, theme, good, buf);
    split::split(model, theme, side, buf);
}
