//! Every glyph beyond plain text, in one table, so that another set can stand in for it.

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
    };
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
            s.rest, s.bound, s.mark, s.tick, s.dot, s.none,
        ] {
            assert_eq!(glyph.width(), 1, "{glyph}");
        }
    }
}
