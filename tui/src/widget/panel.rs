//! A framed panel with its name on the left and its figures on the right of the upper edge.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Widget};

use crate::theme::{Paint, Theme};

/// Draws the frame, a thick one in focus, and returns what is inside. The right title is left out when it does not fit beside
/// the left one.
pub fn panel(
    theme: &Theme,
    focus: bool,
    title: Line<'static>,
    right: Line<'static>,
    area: Rect,
    buf: &mut Buffer,
) -> Rect {
    let padded = |mut line: Line<'static>| {
        line.spans.insert(0, Span::raw(" "));
        line.push_span(Span::raw(" "));
        line
    };
    let room = usize::from(area.width.saturating_sub(2));
    let title = padded(title);
    let right = Some(right).filter(|line| line.width() > 0).map(padded);
    let right = right.filter(|line| title.width() + line.width() < room);
    let (paint, frame) = if focus { (Paint::Focus, theme.symbols.focus) } else { (Paint::Border, theme.symbols.frame) };
    let mut block = Block::bordered().border_set(frame).border_style(theme.style(paint)).title_top(title);
    if let Some(right) = right {
        block = block.title_top(right.right_aligned());
    }
    let inner = block.inner(area);
    block.render(area, buf);
    inner
}
