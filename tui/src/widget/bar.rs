//! A share as a bar.

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

fn filled(share: f64, width: u16) -> u16 {
    let share = share.clamp(0.0, 1.0);
    let rounded = (share * f64::from(width)).round() as u16;
    if share > 0.0 && share < 0.995 && width > 1 { rounded.clamp(1, width - 1) } else { rounded.min(width) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_not_nothing_and_much_is_not_all() {
        assert_eq!([0.0, 0.001, 0.5, 0.98, 1.0].map(|share| filled(share, 10)), [0, 1, 5, 9, 10]);
        assert_eq!([f64::NAN, -3.0, 9.0].map(|share| filled(share, 4)), [0, 0, 4]);
        assert_eq!([filled(0.4, 0), filled(0.4, 1)], [0, 0]);
    }
}
