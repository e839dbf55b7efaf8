//! The list of slow requests.

use loadgen::request::{Order, RequestLine};
use loadgen::sample::Outcome;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::{millis, span};
use crate::action::Action;
use crate::format;
use crate::model::requests::Requests;
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::stages;
use crate::widget::target::Targets;

const WIDTH: u16 = 96;
/// From this width on, the list has room for tokens.
const ROOMY: u16 = 80;

/// Draws the overlay.
pub(super) fn requests(requests: &Requests, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let width = WIDTH.min(area.width);
    let lines = requests.lines();
    // The frame, the head, and the footer with its keys.
    let seen = usize::from(area.height.saturating_sub(5)).clamp(1, 30);
    let first = requests.selected.saturating_sub(seen - 1);
    let mut rows = vec![Row::new(1, head(requests.order, width, theme))];
    for (place, line) in lines.iter().enumerate().skip(first).take(seen) {
        let selected = place == requests.selected;
        let choose = Action::Choose(u8::try_from(place).unwrap_or(u8::MAX));
        rows.push(Row::new(u8::from(!selected), row(line, selected, width, theme)).does(choose));
    }
    if lines.is_empty() {
        rows.push(Row::new(0, span(theme, Paint::Dim, " none of this stretch is kept")));
    }
    let title = Line::from_iter([
        span(theme, Paint::Title, "SLOWEST REQUESTS"),
        span(theme, Paint::Text, format!(" by {}", requests.order.name())),
    ]);
    let (from, to) = requests.window;
    let count = format!("{} that ended {} to {}", lines.len(), format::clock(from), format::clock(to));
    popup(theme, title, Row::new(0, span(theme, Paint::Dim, count)), rows, WIDTH, area, buf)
}

/// The names of the columns; that of the order has an arrow.
fn head(order: Order, width: u16, theme: &Theme) -> Line<'static> {
    let column = |of: Order, unit: &str| {
        let sign = if of == order { theme.symbols.down } else { "" };
        let paint = if of == order { Paint::Title } else { Paint::Dim };
        span(theme, paint, format!("{:>9}", format!("{}{unit}{sign}", of.name())))
    };
    let tokens = if width >= ROOMY { "   in → out  " } else { "" };
    Line::from_iter([
        span(theme, Paint::Dim, format!("   {:<10}{:>7}", "request", "due")),
        column(Order::Ttft, " ms"),
        column(Order::Tpot, " ms"),
        column(Order::E2e, ""),
        span(theme, Paint::Dim, tokens),
        span(theme, Paint::Dim, "  where TTFT went"),
    ])
}

fn row(line: &RequestLine, selected: bool, width: u16, theme: &Theme) -> Line<'static> {
    let cursor = if selected { theme.symbols.cursor } else { " " };
    let base = if selected { Paint::Selected } else { Paint::Text };
    // What the list is ordered by, and no other length.
    let whole = line.key(Order::E2e).map_or_else(|| theme.symbols.none.to_owned(), format::duration);
    let mut drawn = Line::from_iter([
        span(theme, base, format!(" {cursor} {:<10}", format!("#{}", line.index))),
        span(theme, Paint::Dim, format!("{:>7}", format::clock(line.due))),
        span(theme, Paint::Text, format!("{:>9}", millis(theme, line.ttft()))),
        span(theme, Paint::Text, format!("{:>9}", millis(theme, line.tpot))),
        span(theme, Paint::Text, format!("{whole:>9}")),
    ]);
    if width >= ROOMY {
        let tokens =
            format!("{:>6} → {:<4}", format::count(line.input_tokens.into()), format::count(line.output_tokens.into()));
        drawn.push_span(span(theme, Paint::Dim, tokens));
    }
    drawn.push_span(span(theme, Paint::Text, "  "));
    if let Some(outcome) = bad_outcome(line) {
        drawn.push_span(span(theme, Paint::Bad, format!("{} {outcome}", theme.symbols.bad)));
    } else if let Some(times) = &line.stages {
        let room = usize::from(width.saturating_sub(3)).saturating_sub(drawn.width());
        drawn.extend(stages::bar(theme, times, 1.0, room.min(24)));
    }
    drawn
}

/// How it ended, when not as asked: `timeout`, `cut`.
pub(super) fn bad_outcome(line: &RequestLine) -> Option<&'static str> {
    match &line.outcome {
        Outcome::Completed => None,
        Outcome::Failed(failure) => Some(failure.kind.name()),
        Outcome::Cut => Some("cut"),
        Outcome::Cancelled => Some("cancelled"),
        Outcome::Shed => Some("shed"),
    }
}
