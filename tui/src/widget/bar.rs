//! A share as a bar.

use loadgen::whatif::Interval;
use ratatui::text::Span;

use crate::theme::{Paint, Theme};

/// `share` of `width` columns filled. Something is never shown as nothing, and less than all never as all.
pub fn bar(theme: &Theme, share: f64, width: u16, paint: Paint) -> [Span<'static>; 2] {
    let filled = filled(share, width);
    [
        Span::styled(theme.symbols.full.repeat(usize::from(filled)), theme.style(paint)),
        Span::styled(theme.symbols.rest.repeat(usize::from(width - filled)), theme.style(Paint::Dim)),
    ]
}

/// A figure of which the interval is known, as a share of `most`: full as far as it is sure, then the interval, then the rest.
pub fn whisker(theme: &Theme, of: Interval, most: f64, width: u16, paint: Paint) -> [Span<'static>; 3] {
    let columns = |value: f64| if most > 0.0 { filled(value / most, width) } else { 0 };
    let (sure, end) = (columns(of.lo), columns(of.hi));
    let text = |symbol: &str, from: u16, to: u16| symbol.repeat(usize::from(to.saturating_sub(from)));
    [
        Span::styled(text(theme.symbols.full, 0, sure), theme.style(paint)),
        Span::styled(text(theme.symbols.heat[2], sure, end), theme.style(paint)),
        Span::styled(text(theme.symbols.rest, end.max(sure), width), theme.style(Paint::Dim)),
    ]
}

fn filled(share: f64, width: u16) -> u16 {
    let share = share.clamp(0.0, 1.0);
    let rounded = (share * f64::from(width)).round() as u16;
    if share > 0.0 && share < 0.995 && width > 1 { rounded.clamp(1, width - 1) } else { rounded.min(width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whisker_is_as_wide_as_it_is_told_whatever_the_figures() {
        let theme = Theme::mono();
        let of = |lo: f64, mid: f64, hi: f64, most: f64| {
            whisker(&theme, Interval { lo, mid, hi }, most, 10, Paint::Good).map(|span| span.content.chars().count())
        };
        assert_eq!(of(2.0, 3.0, 5.0, 10.0), [2, 3, 5]);
        assert_eq!(of(10.0, 10.0, 10.0, 10.0), [10, 0, 0]);
        for odd in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            assert_eq!(of(odd, odd, odd, odd).iter().sum::<usize>(), 10, "{odd}");
        }
    }

    #[test]
    fn little_is_not_nothing_and_much_is_not_all() {
        assert_eq!([0.0, 0.001, 0.5, 0.98, 1.0].map(|share| filled(share, 10)), [0, 1, 5, 9, 10]);
        assert_eq!([f64::NAN, -3.0, 9.0].map(|share| filled(share, 4)), [0, 0, 4]);
        assert_eq!([filled(0.4, 0), filled(0.4, 1)], [0, 0]);
    }
}
