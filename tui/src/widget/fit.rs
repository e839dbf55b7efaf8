//! A line of segments that gives up the least important ones until it fits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// A part of a line.
#[derive(Clone, Debug)]
pub struct Segment {
    /// 0 is kept the longest.
    pub rank: u8,
    /// Its text.
    pub spans: Vec<Span<'static>>,
}

impl Segment {
    /// A segment of `rank`.
    pub fn new(rank: u8, spans: impl IntoIterator<Item = Span<'static>>) -> Self {
        Self { rank, spans: spans.into_iter().collect() }
    }

    fn width(&self) -> usize {
        self.spans.iter().map(Span::width).sum()
    }
}

/// Columns between two segments.
const GAP: usize = 2;

/// Drops the segments of the highest rank, the last one first, until the rest fits into `width`.
pub fn fit(mut segments: Vec<Segment>, width: usize) -> Vec<Segment> {
    segments.retain(|segment| segment.width() > 0);
    let total =
        |segments: &[Segment]| segments.iter().map(|segment| segment.width() + GAP).sum::<usize>().saturating_sub(GAP);
    while segments.len() > 1 && total(&segments) > width {
        let least = segments.iter().enumerate().max_by_key(|(_, segment)| segment.rank).map_or(0, |(index, _)| index);
        segments.remove(least);
    }
    segments
}

/// Draws segments from the left with `right` at the right end, one column in from either side; the rank decides who stays.
pub fn draw(left: Vec<Segment>, right: Option<Segment>, area: Rect, buf: &mut Buffer) {
    let Some(row) = area.rows().next() else { return };
    let inner = Rect { x: row.x.saturating_add(1), width: row.width.saturating_sub(2), ..row };
    let mut all = left;
    let has_right = right.is_some();
    all.extend(right);
    let mut kept = fit(all.clone(), usize::from(inner.width));
    let right = match (all.last(), kept.last()) {
        (Some(asked), Some(last)) if has_right && asked.spans == last.spans => kept.pop(),
        _ => None,
    };
    let mut line = Line::default();
    for (index, segment) in kept.into_iter().enumerate() {
        if index > 0 {
            line.push_span(Span::raw("  "));
        }
        line.extend(segment.spans);
    }
    buf.set_line(inner.x, inner.y, &line, inner.width);
    if let Some(segment) = right {
        let line = Line::from(segment.spans);
        let width = (line.width() as u16).min(inner.width);
        buf.set_line(inner.right() - width, inner.y, &line, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(width: usize) -> String {
        let segments = [(0, "aaa"), (2, "bbb"), (1, "ccc"), (2, "ddd")]
            .map(|(rank, text)| Segment::new(rank, [Span::raw(text)]))
            .to_vec();
        fit(segments, width).iter().map(|s| s.spans[0].content.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_least_important_goes_first_and_the_most_important_never() {
        assert_eq!(kept(18), "aaa bbb ccc ddd");
        assert_eq!(kept(17), "aaa bbb ccc");
        assert_eq!(kept(10), "aaa ccc");
        assert_eq!(kept(0), "aaa");
    }
}
