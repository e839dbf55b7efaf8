//! A line for every split.

use loadgen::whatif::{Limit, SplitPrediction, WhatIf};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::figures::span;
use super::super::predicted::{latency, margin, prediction_paint};
use crate::action::Action;
use crate::format;
use crate::model::{Model, WhatIfScreen};
use crate::theme::{Paint, Theme};
use crate::widget::bar::whisker;
use crate::widget::panel;
use crate::widget::target::{Click, Targets};

/// From this width on there is room for what limits.
const WITH_LIMIT: u16 = 70;

/// The table in its frame.
pub(super) fn panel(
    model: &Model,
    of: &WhatIf,
    screen: WhatIfScreen,
    theme: &Theme,
    area: Rect,
    targets: &mut Targets,
    buf: &mut Buffer,
) {
    let title = Line::from_iter([
        span(theme, Paint::Title, "WHAT IF"),
        span(theme, Paint::Dim, format!(" {} units, SLO {}", of.now.units(), of.slo)),
    ]);
    let traffic = format!(
        "{:.0} s to {}: {} requests, {}/s",
        of.window.as_secs_f64(),
        format::clock(of.at),
        of.requests,
        format::number(of.rate_rps)
    );
    let right = Line::from(span(theme, Paint::Dim, traffic));
    let inner = panel::panel(theme, true, title, right, area, buf);
    if inner.height < 3 {
        return rows(model, of, screen, theme, inner, targets, buf);
    }
    let columns = Columns::of(of, inner.width);
    buf.set_line(inner.x, inner.y, &columns.head(theme), inner.width);
    let body = Rect { y: inner.y + 1, height: inner.height - 2, ..inner };
    rows(model, of, screen, theme, body, targets, buf);
    buf.set_line(inner.x, inner.bottom() - 1, &foot(model, theme), inner.width);
}

/// The splits alone, scrolled to the selected one.
pub(super) fn rows(
    model: &Model,
    of: &WhatIf,
    screen: WhatIfScreen,
    theme: &Theme,
    area: Rect,
    targets: &mut Targets,
    buf: &mut Buffer,
) {
    let columns = Columns::of(of, area.width);
    let position = screen.position(of);
    let seen = usize::from(area.height);
    // The selected one in the middle, as far as there are others on both sides.
    let first = position.saturating_sub(seen / 2).min(of.splits.len().saturating_sub(seen));
    for (row, (place, split)) in area.rows().zip(of.splits.iter().enumerate().skip(first)) {
        let line = columns.line(model, of, split, place == position, theme);
        buf.set_line(row.x, row.y, &line, row.width);
        let choose = Action::Choose(u8::try_from(place).unwrap_or(u8::MAX));
        targets.line(row, &[Click::new(0..u16::MAX, choose)]);
    }
}

/// What the signs mean, and how good predictions have been.
fn foot(model: &Model, theme: &Theme) -> Line<'static> {
    let score = &model.outlook.score;
    let tested = match (score.error(), score.outcomes.len()) {
        (Some(error), 1) => format!("last prediction {}% off", format::percent(error)),
        (Some(error), count) => format!("last {count} predictions {}% off", format::percent(error)),
        (None, _) => "no prediction tested yet".to_owned(),
    };
    let signs = format!("{} over SLO  ~ not measured nearby", theme.symbols.bad);
    let last = score.outcomes.last().and_then(|outcome| {
        let (from, (predicted, measured)) = outcome.from.zip(outcome.gain)?;
        let to = outcome.split;
        Some(format!("  {from} {} {to}: predicted {predicted:+.1}, measured {measured:+.1}", theme.symbols.arrow))
    });
    Line::from_iter([
        span(theme, Paint::Text, format!(" {tested}")),
        span(theme, Paint::Dim, last.unwrap_or_default()),
        span(theme, Paint::Dim, format!("  {signs}")),
    ])
}

/// How wide the columns are.
struct Columns {
    name: usize,
    bar: u16,
    limit: bool,
    /// Good requests per second at the end of the bar.
    most: f64,
}

impl Columns {
    fn of(of: &WhatIf, width: u16) -> Self {
        let name = of.splits.iter().map(|of| of.split.to_string().len()).max().unwrap_or(4);
        let limit = width >= WITH_LIMIT;
        let fixed = 3 + name as u16 + 1 + 6 + 7 + 9 + 9 + if limit { 15 } else { 0 } + 5 + 6;
        let most = of.splits.iter().map(|of| of.goodput_rps.hi).fold(0.0, f64::max);
        Self { name, bar: width.saturating_sub(fixed), limit, most }
    }

    fn head(&self, theme: &Theme) -> Line<'static> {
        let bar = usize::from(self.bar);
        let goodput = if bar >= 13 { "goodput req/s" } else { "" };
        let limit = if self.limit { format!("  {:<13}", "limit") } else { String::new() };
        let about = format!("{}range", theme.symbols.about);
        let text = format!(
            "   {:<name$} {goodput:<bar$}{:>6}{about:>7}{:>9}{:>9}{limit}{:>5}",
            "split",
            if bar >= 13 { "" } else { "req/s" },
            "TTFT p95",
            "TPOT p95",
            "move",
            name = self.name,
        );
        Line::from(span(theme, Paint::Dim, text))
    }

    fn line(
        &self,
        model: &Model,
        of: &WhatIf,
        split: &SplitPrediction,
        selected: bool,
        theme: &Theme,
    ) -> Line<'static> {
        let s = &theme.symbols;
        let is_now = split.split == of.now;
        let base = match (selected, is_now) {
            (true, _) => Paint::Selected,
            (_, true) => Paint::Headline,
            _ => Paint::Text,
        };
        let cursor = if selected { s.cursor } else { " " };
        let name = split.split.to_string();
        let goodput = split.goodput_rps;
        let mut line = Line::from(span(theme, base, format!(" {cursor} {name:<width$} ", width = self.name)));
        line.extend(whisker(theme, goodput, self.most, self.bar, prediction_paint(split)));
        line.push_span(span(theme, base, format!("{:>6}", format::number(goodput.mid))));
        let about = format!("{}{}", s.about, format::number(margin(goodput)));
        line.push_span(span(theme, Paint::Dim, format!("{about:>7}")));
        for (value, bound) in [(split.ttft_p95_ms, of.slo.ttft), (split.tpot_p95_ms, of.slo.tpot)] {
            let value = latency(value, bound, theme);
            let width = value.content.chars().count();
            line.push_span(span(theme, Paint::Text, " ".repeat(9_usize.saturating_sub(width))));
            line.push_span(value);
        }
        if self.limit {
            line.push_span(span(theme, prediction_paint(split), format!("  {:<13}", limit(split.limit, s.none))));
        }
        let moves = if is_now { s.none.to_owned() } else { split.moves.to_string() };
        line.push_span(span(theme, Paint::Text, format!("{moves:>5}")));
        if is_now {
            line.push_span(span(theme, Paint::Headline, format!(" {} now", s.here)));
        } else if !model.outlook.score.is_near(split.split) {
            line.push_span(span(theme, Paint::Dim, " ~"));
        }
        line
    }
}

/// What limits, in a word or two.
fn limit(limit: Limit, none: &'static str) -> &'static str {
    match limit {
        Limit::None => none,
        Limit::Prefill => "prefill queue",
        Limit::HandOff => "decode room",
        Limit::Decode => "decode batch",
        Limit::E2e => "e2e",
    }
}
