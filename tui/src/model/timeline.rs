//! The time axis that all charts share, and the cursor on it.
//!
//! It knows instants alone: whether they belong to a run that goes on or to a recording is nothing to it. Without a cursor
//! the axis ends now and moves on; with one it stands still, so that what the operator looks at stays where it is.

use loadgen::time::Micros;

use crate::chart::TimeAxis;

const SECOND: Micros = Micros(1_000_000);
/// Steps of the cursor across the axis when a second is too short for one.
const STEPS: u64 = 120;

/// How much time the charts show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(usize);

impl Span {
    /// Its lengths, in minutes.
    const MINUTES: [u64; 8] = [1, 2, 5, 15, 60, 240, 1_440, 10_080];
    /// The last hour.
    pub const HOUR: Self = Self(4);

    /// The shortest one that shows this much, or the longest.
    pub fn covering(length: Micros) -> Self {
        let minute = 60 * SECOND.0;
        let fits = Self::MINUTES.iter().position(|minutes| minutes * minute >= length.0);
        Self(fits.unwrap_or(Self::MINUTES.len() - 1))
    }

    /// The next longer one, or itself when there is none.
    #[must_use]
    pub fn longer(self) -> Self {
        Self((self.0 + 1).min(Self::MINUTES.len() - 1))
    }

    /// The next shorter one, or itself when there is none.
    #[must_use]
    pub fn shorter(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// As a duration.
    pub fn length(self) -> Micros {
        Micros(Self::MINUTES.get(self.0).copied().unwrap_or(1) * 60 * SECOND.0)
    }

    /// `2 min`, `4 h`, `7 d`.
    pub fn text(self) -> String {
        match self.length().0 / 60 / SECOND.0 {
            minutes @ ..=60 => format!("{minutes} min"),
            minutes @ ..=1_440 => format!("{} h", minutes / 60),
            minutes => format!("{} d", minutes / 1_440),
        }
    }

    /// How far the cursor moves at once: a second, or more where a second is less than a dot.
    pub fn step(self) -> Micros {
        Micros((self.length().0 / STEPS).max(SECOND.0))
    }
}

impl Default for Span {
    fn default() -> Self {
        Self(1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    at: Micros,
    /// The right end of the axis while the cursor is set.
    edge: Micros,
}

/// The span of the charts and the cursor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    span: Span,
    cursor: Option<Cursor>,
    /// The length of a recording: there is no more to show.
    whole: Option<Micros>,
}

impl Timeline {
    /// Over a recording of this length, all of it in view.
    pub fn over(whole: Micros) -> Self {
        let whole = whole.max(SECOND);
        Self { span: Span::covering(whole), cursor: None, whole: Some(whole) }
    }

    /// The axis of all charts when the newest sample is of `now`.
    pub fn axis(self, now: Micros) -> TimeAxis {
        TimeAxis::ending(self.cursor.map_or(now, |cursor| cursor.edge), self.length())
    }

    /// The length of the axis.
    pub fn length(self) -> Micros {
        self.whole.map_or(self.span.length(), |whole| self.span.length().min(whole))
    }

    /// How much time the charts show, in words.
    pub fn span_text(self) -> String {
        match self.whole {
            Some(whole) if whole <= self.span.length() => "whole run".to_owned(),
            _ => self.span.text(),
        }
    }

    /// How much time the charts show.
    pub fn span(self) -> Span {
        self.span
    }

    /// Where the cursor stands; `None` is the newest sample.
    pub fn cursor(self) -> Option<Micros> {
        self.cursor.map(|cursor| cursor.at)
    }

    /// Puts the cursor at an instant and moves the axis as little as possible to show it. Nothing is known at `now` and
    /// beyond: that is where no cursor is.
    pub fn place(&mut self, at: Micros, now: Micros) {
        if at >= now {
            self.cursor = None;
            return;
        }
        let axis = self.axis(now);
        let edge = if at < axis.from {
            at + self.length()
        } else if at >= axis.to {
            self.whole.map_or(at + SECOND, |whole| whole.min(at + SECOND))
        } else {
            axis.to
        };
        self.cursor = Some(Cursor { at, edge });
    }

    /// Moves the cursor by so many steps, into the past when negative. From the newest sample the first step leads to the
    /// last second that is over.
    pub fn step(&mut self, steps: i64, now: Micros) {
        let by = Micros(self.span.step().0.saturating_mul(steps.unsigned_abs()));
        let from = self.cursor().unwrap_or(now);
        self.place(if steps < 0 { from.since(by) } else { from + by }, now);
    }

    /// Back to the newest sample.
    pub fn live(&mut self) {
        self.cursor = None;
    }

    /// Shows more or less time. The cursor keeps its place on the screen.
    pub fn show(&mut self, span: Span, now: Micros) {
        let before = self.axis(now);
        self.span = self.whole.map_or(span, |whole| span.min(Span::covering(whole)));
        let length = self.length();
        if let Some(cursor) = &mut self.cursor {
            let left = u128::from(before.to.since(cursor.at).0) * u128::from(length.0);
            let left = Micros((left / u128::from(before.length().0.max(1))) as u64);
            let edge = (cursor.at + left).max(cursor.at + SECOND);
            // A recording has no future to show, and no past before its start.
            cursor.edge = self.whole.map_or(edge, |whole| edge.min(whole).max(length));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn s(seconds: u64) -> Micros {
        Micros(seconds * SECOND.0)
    }

    #[test]
    fn the_axis_stands_still_while_the_cursor_is_in_the_past() {
        let mut line = Timeline::default();
        line.step(-3, s(200));
        assert_eq!(line.cursor(), Some(s(197)));
        assert_eq!(line.axis(s(260)), line.axis(s(200)));
        line.live();
        assert_eq!(line.axis(s(260)).to, s(260));
    }

    #[test]
    fn stepping_out_of_the_axis_takes_it_along_and_stepping_to_now_ends_it() {
        let mut line = Timeline::default();
        line.step(-150, s(500));
        assert_eq!((line.cursor(), line.axis(s(500)).from), (Some(s(350)), s(350)));
        line.step(140, s(500));
        assert_eq!(line.cursor(), Some(s(490)));
        assert!(line.axis(s(500)).to > s(490));
        line.step(10, s(500));
        assert_eq!(line.cursor(), None);
        line.step(-10_000, s(500));
        assert_eq!(line.cursor(), Some(Micros::ZERO));
    }

    #[test]
    fn zooming_keeps_the_cursor_where_it_is_on_the_screen() {
        let mut line = Timeline::default();
        line.step(-30, s(1_000));
        let column = |line: Timeline| line.axis(s(1_000)).column(s(970), 100);
        let before = column(line);
        line.show(line.span().longer(), s(1_000));
        assert_eq!(column(line), before);
        assert_eq!(line.cursor(), Some(s(970)));
    }

    #[test]
    fn a_step_is_never_less_than_a_second_nor_than_a_dot() {
        assert_eq!(Span::default().step(), SECOND);
        assert_eq!(Span::HOUR.step(), s(30));
        assert_eq!(Span::default().shorter().shorter(), Span(0));
        assert_eq!([Span(0), Span(4), Span(5), Span(7)].map(Span::text), ["1 min", "60 min", "4 h", "7 d"]);
    }

    #[test]
    fn a_recording_starts_in_view_as_a_whole_and_shows_nothing_beyond_it() {
        let whole = s(151);
        let mut line = Timeline::over(whole);
        let all = TimeAxis { from: Micros::ZERO, to: whole };
        assert_eq!((line.axis(whole), line.span_text()), (all, "whole run".to_owned()));
        line.place(s(30), whole);
        line.show(line.span().longer(), whole);
        assert_eq!(line.axis(whole), all);
        line.show(line.span().shorter(), whole);
        assert_eq!((line.span_text(), line.length()), ("2 min".to_owned(), s(120)));
        assert!(line.axis(whole).from <= s(30));
    }

    proptest! {
        #[test]
        fn the_cursor_is_always_on_the_axis_and_in_the_past(
            now in 1..u64::MAX / 4,
            recorded: bool,
            moves in prop::collection::vec((0..4_u8, any::<i64>(), any::<u64>()), 0..20),
        ) {
            let now = Micros(now);
            let mut line = if recorded { Timeline::over(now) } else { Timeline::default() };
            for (kind, steps, at) in moves {
                match kind {
                    0 => line.step(steps % 10_000, now),
                    1 => line.place(Micros(at), now),
                    2 => line.show(line.span().longer(), now),
                    _ => line.show(line.span().shorter(), now),
                }
                if let Some(at) = line.cursor() {
                    prop_assert!(at < now);
                    let axis = line.axis(now);
                    prop_assert!(axis.from <= at && at <= axis.to, "{at:?} {axis:?}");
                }
            }
        }
    }
}
