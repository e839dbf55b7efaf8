//! A line of segments that gives up the least important ones until it fits.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::target::{Click, Parts, Targets};

/// A part of a line.
#[derive(Clone, Debug)]
pub struct Segment {
    /// 0 is kept the longest.
    pub rank: u8,
    /// Its text.
    pub spans: Vec<Span<'static>>,
    /// What of it can be clicked.
    pub clicks: Vec<Click>,
}

impl Segment {
    /// A segment of `rank`.
    pub fn new(rank: u8, spans: impl IntoIterator<Item = Span<'static>>) -> Self {
        Self { rank, spans: spans.into_iter().collect(), clicks: Vec::new() }
    }

    /// A segment of `rank` of which parts can be clicked.
    pub fn clickable(rank: u8, parts: Parts) -> Self {
        Self { rank, spans: parts.line.spans, clicks: parts.clicks }
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
/// Returns where they can be clicked.
pub fn draw(left: Vec<Segment>, right: Option<Segment>, area: Rect, buf: &mut Buffer) -> Targets {
    let mut targets = Targets::default();
    let Some(row) = area.rows().next() else { return targets };
    let inner = Rect { x: row.x.saturating_add(1), width: row.width.saturating_sub(2), ..row };
    let mut all = left;
    let has_right = right.is_some();
    all.extend(right);
    let mut kept = fit(all.clone(), usize::from(inner.width));
    let right = match (all.last(), kept.last()) {
        (Some(asked), Some(last)) if has_right && asked.spans == last.spans => kept.pop(),
        _ => None,
    };
    let mut place = inner;
    for segment in kept {
        place = put(segment, place, buf, &mut targets);
    }
    if let Some(segment) = right {
        let width = (segment.width() as u16).min(inner.width);
        put(segment, Rect { x: inner.right() - width, width, ..inner }, buf, &mut targets);
    }
    targets
}

/// Draws a segment at the left end of `place` and returns what is left of that beyond the gap.
fn put(segment: Segment, place: Rect, buf: &mut Buffer, targets: &mut Targets) -> Rect {
    let used = (segment.width() + GAP).min(usize::from(place.width)) as u16;
    targets.line(place, &segment.clicks);
    buf.set_line(place.x, place.y, &Line::from(segment.spans), place.width);
    Rect { x: place.x + used, width: place.width - used, ..place }
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
