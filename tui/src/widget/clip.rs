//! Lines that are too long, cut where everybody sees that they go on.

use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthChar;

/// Cuts `line` to `width` columns; one that was longer ends in `…`. Spaces at the end do not make it longer.
pub fn clip(line: Line<'static>, width: usize) -> Line<'static> {
    let spaces =
        line.iter().rev().flat_map(|span| span.content.chars().rev()).take_while(|letter| *letter == ' ').count();
    if line.width().saturating_sub(spaces) <= width {
        return line;
    }
    let mut left = width.saturating_sub(1);
    let mut clipped = Line { spans: Vec::new(), ..line };
    for span in line.spans {
        let mut text = String::new();
        let mut letters = span.content.chars().peekable();
        while let Some(letter) = letters.next_if(|letter| letter.width().unwrap_or(0) <= left) {
            left -= letter.width().unwrap_or(0);
            text.push(letter);
        }
        let is_cut = letters.peek().is_some();
        if is_cut && width > 0 {
            text.push('…');
        }
        clipped.spans.push(Span::styled(text, span.style));
        if is_cut {
            break;
        }
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clipped(spans: &[&'static str], width: usize) -> String {
        clip(spans.iter().map(|text| Span::raw(*text)).collect(), width).to_string()
    }

    #[test]
    fn a_line_that_fits_stays_and_one_that_does_not_says_so() {
        assert_eq!(clipped(&["01:40  ", "shift"], 12), "01:40  shift");
        assert_eq!(clipped(&["01:40  ", "shift", " began"], 12), "01:40  shif…");
        assert_eq!(clipped(&["01:40  ", "shift"], 8), "01:40  …");
        assert_eq!(clipped(&["down "], 4), "down ");
        assert_eq!(clipped(&["down"], 0), "");
    }

    #[test]
    fn a_letter_of_two_columns_is_never_halved() {
        assert_eq!(clipped(&["負荷試験"], 8), "負荷試験");
        assert_eq!(clipped(&["負荷試験"], 6), "負荷…");
    }
}
