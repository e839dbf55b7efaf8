//! Sentences broken into lines.

use unicode_width::UnicodeWidthStr;

/// Breaks `text` at spaces into at most `lines` lines of `width` columns; what does not fit ends in `…`.
pub fn wrap(text: &str, width: usize, lines: usize) -> Vec<String> {
    let mut wrapped: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match wrapped.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => wrapped.push(word.to_owned()),
        }
    }
    if wrapped.len() > lines {
        wrapped.truncate(lines);
        if let Some(last) = wrapped.last_mut() {
            while last.width() + 1 > width && last.pop().is_some() {}
            last.push('…');
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_spaces_and_the_cut_is_shown() {
        assert_eq!(wrap("prefill queue 22 and growing", 13, 5), ["prefill queue", "22 and", "growing"]);
        assert_eq!(wrap("prefill queue 22 and growing", 14, 1), ["prefill queue…"]);
        assert_eq!(wrap("", 10, 3), Vec::<String>::new());
        assert_eq!(wrap("abc", 0, 0), Vec::<String>::new());
    }
}
