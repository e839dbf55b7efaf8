//! Where the time of TTFT goes: the median and the slow requests as bars of stages, with figures where there is room, and over
//! time where there is more.

use loadgen::live::{Slot, Snapshot, TtftStages};
use loadgen::measure::{MeanStages, Stage, StageTimes};
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Margin, Rect};
use ratatui::text::{Line, Span};

use super::figures::span;
use super::goodput::{empty, marks};
use super::latency::Metric;
use super::servers;
use crate::chart::{ChartSpec, Mark, Unit, ValueAxis, column, stack};
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::{panel, plot, stages};

/// Below this width a figure gets a letter in place of a name.
const WIDE: u16 = 46;
/// From this width on, what servers tell has room.
const TABLE: u16 = 78;
/// Rows that bars, figures and a chart over time need together.
const TALL: u16 = 18;
/// Rows of the chart over time at least.
const CHART: u16 = 8;

/// Draws the panel.
pub(super) fn panel(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let stages = model.here().recent.stages;
    let title = Line::from(span(theme, Paint::Title, "WHERE p99 TTFT GOES"));
    let inner =
        panel::panel(theme, model.focus == Panel::Stages, title, most(stages.p99, theme, area.width), area, buf);
    if stages.all.is_none() {
        empty(theme, "no answer yet", inner, buf);
        return;
    }
    let (upper, lower) = split(inner);
    rows(model, theme, upper, buf);
    if let Some(chart) = lower {
        over_time(model, theme, chart, buf);
    }
}

/// The part of a panel at `place` that shows stages over time, if there is one.
pub(super) fn chart_place(place: Rect) -> Option<Rect> {
    split(place.inner(Margin::new(1, 1))).1
}

fn split(inner: Rect) -> (Rect, Option<Rect>) {
    if inner.height < TALL {
        return (inner, None);
    }
    let figures = (3 + Stage::TTFT.len() as u16).min(inner.height - CHART);
    let [upper, lower] = Layout::vertical([Constraint::Length(figures), Constraint::Fill(1)]).areas(inner);
    (upper, Some(lower))
}

/// `prefill queue 81%`: the longest stage.
fn most(stages: Option<MeanStages>, theme: &Theme, width: u16) -> Line<'static> {
    let Some((times, stage)) = stages.and_then(|mean| Some((mean.times, mean.times.longest()?))) else {
        return Line::default();
    };
    let name = if width < WIDE { stages::letter(stage) } else { stage.name() };
    let text = format!("{name} {}%", format::percent(times.share(stage)));
    Line::from(span(theme, stages::paint(stage), text))
}

/// The median and p99 as bars, then what each stage takes of them: as many rows as there is room for.
pub(super) fn rows(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let TtftStages { p50, p95, p99, .. } = model.here().recent.stages;
    let bars: &[_] = match area.height {
        0 => &[],
        1 => &[("p99+", p99)],
        2..=7 => &[("p50", p50), ("p99+", p99)],
        _ => &[("p50", p50), ("p95+", p95), ("p99+", p99)],
    };
    let longest = bars.iter().filter_map(|(_, mean)| Some(mean.as_ref()?.times.total())).max().unwrap_or_default();
    let mut lines: Vec<Line<'static>> =
        bars.iter().map(|(name, mean)| bar_line(name, *mean, longest, theme, area.width)).collect();
    let room = usize::from(area.height).saturating_sub(lines.len());
    lines.extend(figures(p50, p99, theme, area.width, room));
    if lines.len() < usize::from(area.height) && area.width >= WIDE {
        lines.extend(legend(p50, p99, theme));
    }
    if area.width >= TABLE {
        let room = usize::from(area.height).saturating_sub(lines.len());
        lines.extend(servers::table(model.here(), theme, area.width, room));
    }
    for (row, line) in area.rows().zip(lines) {
        buf.set_line(row.x, row.y, &line, row.width);
    }
}

/// Whose mean it is.
fn legend(p50: Option<MeanStages>, p99: Option<MeanStages>, theme: &Theme) -> Option<Line<'static>> {
    let (p50, p99) = p50.zip(p99)?;
    let text = format!(" means: p50 of {} requests about it, p99+ of {} at it and above", p50.requests, p99.requests);
    Some(span(theme, Paint::Dim, text).into())
}

/// `p99+ 1310 qqqqqqqPPPC`, as long as it took against the longest.
fn bar_line(name: &'static str, mean: Option<MeanStages>, longest: Micros, theme: &Theme, width: u16) -> Line<'static> {
    let mut line = Line::from(span(theme, Paint::Dim, format!(" {name:<5}")));
    let Some(MeanStages { times, .. }) = mean else {
        line.push_span(span(theme, Paint::Dim, format!("{:>5}", theme.symbols.none)));
        return line;
    };
    line.push_span(span(theme, Paint::Text, format!("{:>5} ", format::millis(times.total()))));
    let room = usize::from(width).saturating_sub(line.width() + 1);
    let share = times.total().as_secs_f64() / longest.as_secs_f64().max(f64::MIN_POSITIVE);
    line.extend(stages::bar(theme, &times, share, room));
    line
}

/// `q prefill queue   p50 12.0 6%   p99+ 812 62%` for each stage that takes any time, the longest of p99 first when not all fit.
fn figures(
    p50: Option<MeanStages>,
    p99: Option<MeanStages>,
    theme: &Theme,
    width: u16,
    room: usize,
) -> Vec<Line<'static>> {
    let of = |mean: Option<MeanStages>| mean.map_or_else(StageTimes::default, |mean| mean.times);
    let (p50, p99) = (of(p50), of(p99));
    let mut taken: Vec<Stage> =
        Stage::TTFT.into_iter().filter(|stage| p50.get(*stage).max(p99.get(*stage)) > Micros::ZERO).collect();
    taken.sort_by_key(|stage| std::cmp::Reverse(p99.get(*stage)));
    taken.truncate(room);
    taken.sort_unstable();
    let figure = |name: &str, times: &StageTimes, stage| -> [Span<'static>; 2] {
        let text = format!("{:>6} {:>3}%", format::millis(times.get(stage)), format::percent(times.share(stage)));
        [span(theme, Paint::Dim, format!("  {name}")), span(theme, Paint::Text, text)]
    };
    let line = |stage| {
        let mut line = Line::from_iter([
            Span::raw(" "),
            span(theme, stages::paint(stage), stages::letter(stage)),
            span(theme, Paint::Text, format!(" {:<14}", stage.name())),
        ]);
        if width >= WIDE {
            line.extend(figure("p50", &p50, stage));
        }
        line.extend(figure("p99+", &p99, stage));
        line
    };
    taken.into_iter().map(line).collect()
}

/// The stages of p99 over the window that ends with a slot, as remembered from then; of the slot itself where it is longer.
fn of_slot(slot: &Slot) -> Option<StageTimes> {
    let then = slot.then.as_ref().filter(|then| slot.length < then.recent.window);
    let mean = match then {
        Some(then) => then.recent.stages.p99,
        None => slot.stages.from(0.99),
    };
    mean.map(|mean| mean.times)
}

/// The stages of p99 stacked over time, with the bound of the SLO.
fn over_time(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let time = model.axis();
    let slots = column::visible(&shown.history, time);
    let count = plot::body(area).map_or(0, |body| usize::from(body.width));
    let columns = stack::stacks(slots, time, count, of_slot);
    let highest = columns.iter().flatten().map(|stack| stack.total().as_millis_f64()).fold(0.0, f64::max);
    let bound = Metric::Ttft.bound(shown).map(Micros::as_millis_f64);
    let spec = ChartSpec {
        time,
        value: ValueAxis::covering(highest, bound, Unit::Millis),
        bound,
        bounds_before: Vec::new(),
        offered: None,
        series: Vec::new(),
        marks: marks(shown),
        cursor: cursor(model, shown),
    };
    plot::stack(theme, &spec, &columns, area, buf);
}

fn cursor(model: &Model, shown: &Snapshot) -> Option<Mark> {
    let at = model.timeline.cursor()?;
    let times = column::at(&shown.history, at).and_then(of_slot);
    let label = match times.and_then(|times| Some((times, times.longest()?))) {
        Some((times, stage)) => format!("{} {}%", stage.name(), format::percent(times.share(stage))),
        None => "nothing completed".to_owned(),
    };
    Some(Mark { at, label })
}
