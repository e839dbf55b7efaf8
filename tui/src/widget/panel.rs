//! A framed panel with its name on the left and its figures on the right of the upper edge.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Widget};

use crate::theme::{Paint, Theme};

/// Where the right title is; nowhere when it does not fit beside the left one.
pub fn right_place(title: &Line<'_>, right: &Line<'_>, area: Rect) -> Option<Rect> {
    let (left, width) = (title.width(), right.width());
    let fits = width > 0 && left + 2 + width + 2 < usize::from(area.width.saturating_sub(2));
    // A column of the frame and a blank lie to the right of it.
    fits.then(|| Rect { x: area.right() - 2 - width as u16, width: width as u16, height: 1, ..area })
}

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
    let right = right_place(&title, &right, area).map(|_| padded(right));
    let title = padded(title);
    let (paint, frame) = if focus { (Paint::Focus, theme.symbols.focus) } else { (Paint::Border, theme.symbols.frame) };
    let mut block = Block::bordered().border_set(frame).border_style(theme.style(paint)).title_top(title);
    if let Some(right) = right {
        block = block.title_top(right.right_aligned());
    }
    let inner = block.inner(area);
    block.render(area, buf);
    inner
}
