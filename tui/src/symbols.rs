//! Every glyph beyond plain text in one table, what lines are drawn with, and what stands in where a terminal has no Unicode.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::symbols::border;

/// What a terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SymbolSet {
    /// All of Unicode; lines in braille dots, two by four to a cell.
    #[default]
    Braille,
    /// All but braille, for fonts without it: lines in half blocks, two above each other in a cell.
    Block,
    /// ASCII alone.
    Ascii,
}

impl SymbolSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Braille, Self::Block, Self::Ascii];

    /// The set for an environment: ASCII unless the locale's encoding is UTF-8, and on the Linux console, whose font has few
    /// glyphs. The first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set and not empty names the locale.
    pub fn for_environment(locale: [Option<&str>; 3], term: Option<&str>) -> Self {
        let locale = locale.into_iter().flatten().find(|value| !value.is_empty()).unwrap_or("C");
        let encoding = locale.split('@').next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
        let utf8 = encoding.eq_ignore_ascii_case("utf-8") || encoding.eq_ignore_ascii_case("utf8");
        if utf8 && !matches!(term, Some("linux" | "dumb")) { Self::Braille } else { Self::Ascii }
    }
}

/// A set of glyphs, each one column wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbols {
    /// Something runs: the load, the recording.
    pub on: &'static str,
    /// Something is off.
    pub off: &'static str,
    /// The load is paused.
    pub paused: &'static str,
    /// The run is over.
    pub done: &'static str,
    /// Rising; also the tip of a mark's label seen from below.
    pub up: &'static str,
    /// Falling; also the tip of a mark's label.
    pub down: &'static str,
    /// Neither.
    pub level: &'static str,
    /// A unit on its way to another role.
    pub moving: &'static str,
    /// Bad, failed, impossible.
    pub bad: &'static str,
    /// Worth a second look.
    pub warn: &'static str,
    /// The selected line.
    pub cursor: &'static str,
    /// From here to there.
    pub arrow: &'static str,
    /// The filled part of a bar.
    pub full: &'static str,
    /// The rest of a bar.
    pub rest: &'static str,
    /// A bound or an offered rate in a chart.
    pub bound: &'static str,
    /// An event in a chart.
    pub mark: &'static str,
    /// A tick on an axis.
    pub tick: &'static str,
    /// Between two figures.
    pub dot: &'static str,
    /// No value.
    pub none: &'static str,
    /// This is where things are now.
    pub here: &'static str,
    /// More or less.
    pub about: &'static str,
    /// The time cursor in a chart.
    pub now: &'static str,
    /// A stretch of time.
    pub line: &'static str,
    /// Where it starts.
    pub line_start: &'static str,
    /// A recording.
    pub play: &'static str,
    /// As it should be.
    pub ok: &'static str,
    /// How many there are, from few to many.
    pub heat: [&'static str; 5],
    /// The frame of a panel.
    pub frame: border::Set<'static>,
    /// The frame of the panel in focus.
    pub focus: border::Set<'static>,
}

impl Symbols {
    /// For terminals that show Unicode.
    pub const UNICODE: Self = Self {
        on: "●",
        off: "○",
        paused: "‖",
        done: "■",
        up: "▲",
        down: "▼",
        level: "=",
        moving: "⟳",
        bad: "✗",
        warn: "!",
        cursor: "▸",
        arrow: "→",
        full: "█",
        rest: "░",
        bound: "┄",
        mark: "┊",
        tick: "┤",
        dot: "·",
        none: "—",
        here: "◀",
        about: "±",
        now: "┃",
        line: "─",
        line_start: "├",
        play: "▶",
        ok: "✓",
        heat: ["·", "░", "▒", "▓", "█"],
        frame: border::PLAIN,
        focus: border::THICK,
    };
}

/// What stands in for which glyphs, one column for one.
const STAND_INS: [(char, &str); 13] = [
    ('*', "●✓"),
    ('o', "○"),
    ('=', "‖━"),
    ('^', "▲↑"),
    ('v', "▼↓"),
    ('~', "⟳…±"),
    ('x', "✗×"),
    ('>', "▸→≥▶"),
    ('<', "←≤◀"),
    ('-', "┄—–−─"),
    ('|', "│┤┃├"),
    ('+', "▒┌┐└┘┏┓┗┛"),
    (':', "░┊"),
];

/// A glyph without a stand-in, from a name or a message, becomes a question mark.
fn ascii(glyph: char) -> char {
    match glyph {
        ' '..='~' => glyph,
        '█' | '■' => '#',
        '▓' => '%',
        '·' => '.',
        // The first nine numbered marks; those after them say only that there is one.
        '①'..='⑨' => char::from(b'1' + (glyph as u32 - '①' as u32) as u8),
        '⑩'..='⑳' => '+',
        _ => STAND_INS.iter().find(|(_, glyphs)| glyphs.contains(glyph)).map_or('?', |(letter, _)| *letter),
    }
}

/// Replaces whatever is not ASCII in `area`, texts from outside included.
pub fn to_ascii(area: Rect, buf: &mut Buffer) {
    for position in area.intersection(buf.area).positions() {
        if let Some(cell) = buf.cell_mut(position)
            && !cell.symbol().is_ascii()
        {
            let glyph = cell.symbol().chars().next().map_or(' ', ascii);
            cell.set_char(glyph);
        }
    }
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn every_glyph_is_one_column_wide() {
        let s = Symbols::UNICODE;
        for glyph in [
            s.on, s.off, s.paused, s.done, s.up, s.down, s.level, s.moving, s.bad, s.warn, s.cursor, s.arrow, s.full,
            s.rest, s.bound, s.mark, s.tick, s.dot, s.none, s.here, s.about, s.now,
        ]
        .into_iter()
        .chain(s.heat)
        {
            assert_eq!(glyph.width(), 1, "{glyph}");
            assert!(glyph.chars().all(|glyph| ascii(glyph) != '?'), "{glyph} has a stand-in");
        }
    }

    #[test]
    fn what_is_counted_stays_in_order_in_ascii() {
        let stand_ins: Vec<char> = Symbols::UNICODE.heat.iter().flat_map(|glyph| glyph.chars()).map(ascii).collect();
        assert_eq!(stand_ins, ['.', ':', '+', '%', '#']);
    }

    #[test]
    fn ascii_stands_in_where_the_locale_is_not_utf_8() {
        let set = |all, ctype, lang| SymbolSet::for_environment([all, ctype, lang], Some("xterm"));
        assert_eq!(set(None, None, Some("en_US.UTF-8")), SymbolSet::Braille);
        assert_eq!(set(Some(""), None, Some("de_DE.utf8@euro")), SymbolSet::Braille);
        assert_eq!(set(Some("C"), None, Some("en_US.UTF-8")), SymbolSet::Ascii);
        assert_eq!(set(None, Some("ja_JP.eucJP"), None), SymbolSet::Ascii);
        assert_eq!(set(None, None, None), SymbolSet::Ascii);
        assert_eq!(SymbolSet::for_environment([None, None, Some("C.UTF-8")], Some("linux")), SymbolSet::Ascii);
    }
}
