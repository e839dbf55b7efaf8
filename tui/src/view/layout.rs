//! Where everything is: one function for drawing and for the mouse, so that a click lands on what is seen.
//!
//! ```text
//!  header: run                       header: run                      header: goodput
//!  header: goodput                   header: goodput                  latencies
//!  PREFILL       │ DECODE            P lanes in one line              units
//!  TTFT          │ TPOT              D lanes in one line              the panel in focus
//!  GOODPUT            │ SPLIT        TTFT    │ TPOT                   newest event
//!  EVENTS             │ STAGES       GOODPUT     │ SPLIT              footer
//!  footer                            newest events, or stages
//!                 full               footer             standard                          compact
//! ```
//!
//! Zoomed, the panel in focus takes everything between header and footer.

use ratatui::layout::{Constraint, Layout as Cut, Margin, Rect};

use super::{lanes, stages};
use crate::model::{Model, Panel};
use crate::tier::Tier;
use crate::widget::plot;

/// Lanes may take this share of the height at most, one part in so many.
const LANES_PART: u16 = 5;
const SPLIT_WIDTH: u16 = 34;

/// The places of a screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// One line each, from the top.
    pub header: Vec<Rect>,
    /// The panels that are seen.
    pub panels: Vec<(Panel, Rect)>,
    /// The line of the newest event, where there is no panel for events.
    pub event: Rect,
    /// The scrub bar, over a recording.
    pub scrub: Rect,
    /// The line below it that says what its marks are.
    pub legend: Rect,
    /// The last line.
    pub footer: Rect,
}

/// The layout of `area`. Below the compact tier there are no panels.
pub fn layout(model: &Model, area: Rect) -> Layout {
    let tier = Tier::of(area);
    let rows = match tier {
        _ if model.recording().is_none() => 0,
        Tier::Full | Tier::Standard => 2,
        Tier::Compact => 1,
        Tier::Lines => 0,
    };
    if rows == 0 {
        return of_tier(model, tier, area);
    }
    // The scrub bar and its legend stand where the footer of the rest would be, and the footer below them.
    let places = of_tier(model, tier, Rect { height: area.height - rows, ..area });
    let from_below = |rows: u16| Rect { y: area.bottom() - rows, height: 1, ..area };
    let legend = if rows == 2 { from_below(2) } else { Rect::default() };
    Layout { scrub: from_below(rows + 1), legend, footer: from_below(1), ..places }
}

fn of_tier(model: &Model, tier: Tier, area: Rect) -> Layout {
    match tier {
        Tier::Full | Tier::Standard if model.look.zoomed => zoomed(model, area, 2),
        Tier::Compact if model.look.zoomed => zoomed(model, area, 1),
        Tier::Full => full(model, area),
        Tier::Standard => standard(model, area),
        Tier::Compact => compact(model, area),
        Tier::Lines => Layout::default(),
    }
}

/// Whether a panel has a frame around it.
pub fn is_framed(model: &Model, tier: Tier, panel: Panel) -> bool {
    tier != Tier::Standard || model.look.zoomed || !matches!(panel, Panel::Units | Panel::Events | Panel::Stages)
}

/// The part of a panel that the time axis spans, if it has one.
pub fn time_area(panel: Panel, place: Rect) -> Option<Rect> {
    let chart = match panel {
        Panel::Ttft | Panel::Tpot | Panel::Goodput => Some(place.inner(Margin::new(1, 1))),
        Panel::Stages => stages::chart_place(place),
        Panel::Units | Panel::Split | Panel::Events => None,
    };
    chart.and_then(plot::body)
}

fn zoomed(model: &Model, area: Rect, header: u16) -> Layout {
    let [top, panel, footer] =
        Cut::vertical([Constraint::Length(header), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    Layout { header: top.rows().collect(), panels: vec![(model.focus, panel)], footer, ..Layout::default() }
}

fn full(model: &Model, area: Rect) -> Layout {
    let lanes_height = lanes::wanted_height(model.here()).clamp(3, (area.height / LANES_PART).max(6));
    let events_height = if area.height >= 40 { 8 } else { 4 };
    let [top, lanes, upper, lower, events, footer] = Cut::vertical([
        Constraint::Length(2),
        Constraint::Length(lanes_height),
        Constraint::Fill(9),
        Constraint::Fill(8),
        Constraint::Length(events_height),
        Constraint::Length(1),
    ])
    .areas(area);
    let mut panels = vec![(Panel::Units, lanes)];
    panels.extend(charts(upper, lower));
    // Under SPLIT, which says what the bars mean.
    let [events, stages] = Cut::horizontal([Constraint::Fill(1), Constraint::Length(SPLIT_WIDTH)]).areas(events);
    panels.extend([(Panel::Stages, stages), (Panel::Events, events)]);
    Layout { header: top.rows().collect(), panels, footer, ..Layout::default() }
}

fn standard(model: &Model, area: Rect) -> Layout {
    let [top, lanes, upper, lower, events, footer] = Cut::vertical([
        Constraint::Length(2),
        Constraint::Length(lanes::lines(model.here())),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(2),
        Constraint::Length(1),
    ])
    .areas(area);
    let mut panels = vec![(Panel::Units, lanes)];
    panels.extend(charts(upper, lower));
    // There is room for one of them: the stages show when they have the focus.
    panels.push((if model.focus == Panel::Stages { Panel::Stages } else { Panel::Events }, events));
    Layout { header: top.rows().collect(), panels, footer, ..Layout::default() }
}

fn compact(model: &Model, area: Rect) -> Layout {
    let [top, panel, event, footer] =
        Cut::vertical([Constraint::Length(3), Constraint::Fill(1), Constraint::Length(1), Constraint::Length(1)])
            .areas(area);
    Layout { header: top.rows().collect(), panels: vec![(model.focus, panel)], event, footer, ..Layout::default() }
}

fn charts(upper: Rect, lower: Rect) -> [(Panel, Rect); 4] {
    let [ttft, tpot] = Cut::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(upper);
    let [goodput, split] = Cut::horizontal([Constraint::Fill(1), Constraint::Length(SPLIT_WIDTH)]).areas(lower);
    [(Panel::Ttft, ttft), (Panel::Tpot, tpot), (Panel::Goodput, goodput), (Panel::Split, split)]
}
