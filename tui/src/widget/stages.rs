//! Stages of a request as bars. Every stage has a letter, so that no colour is needed to tell them apart; capitals on filled
//! cells are work, small letters are waiting.

use loadgen::measure::{Span as StageSpan, Stage, StageTimes};
use loadgen::time::Micros;
use ratatui::text::Span;

use crate::theme::{Paint, Theme};

/// The letter of a stage.
pub fn letter(stage: Stage) -> &'static str {
    match stage {
        Stage::Lag => "l",
        Stage::WayIn => "i",
        Stage::Queue => "q",
        Stage::Prefill => "P",
        Stage::HandOffWait => "w",
        Stage::HandOff => "C",
        Stage::DecodeQueue => "d",
        Stage::WayBack => "b",
        Stage::Unknown => "u",
        Stage::Decode => "D",
    }
}

/// How a stage is painted.
pub fn paint(stage: Stage) -> Paint {
    match stage {
        Stage::Lag => Paint::Warn,
        Stage::Queue => Paint::Prefill,
        Stage::Prefill => Paint::PrefillWork,
        Stage::HandOffWait | Stage::DecodeQueue => Paint::Decode,
        Stage::HandOff => Paint::CopyWork,
        Stage::Decode => Paint::DecodeWork,
        Stage::WayIn | Stage::WayBack | Stage::Unknown => Paint::Dim,
    }
}

/// Which stage each of `width` cells shows, in order of time: as many cells as its share, by largest remainders. No cells for
/// no time.
pub fn cells(times: &StageTimes, width: usize) -> Vec<Stage> {
    let exact: Vec<(Stage, f64)> = times
        .iter()
        .map(|(stage, _)| (stage, times.share(stage) * width as f64))
        .filter(|(_, cells)| *cells > 0.0)
        .collect();
    let mut whole: Vec<usize> = exact.iter().map(|(_, cells)| *cells as usize).collect();
    let mut by_remainder: Vec<usize> = (0..exact.len()).collect();
    by_remainder.sort_by(|a, b| exact[*b].1.fract().total_cmp(&exact[*a].1.fract()).then(a.cmp(b)));
    let missing = width.saturating_sub(whole.iter().sum());
    for index in by_remainder.into_iter().take(missing) {
        whole[index] += 1;
    }
    exact.iter().zip(whole).flat_map(|((stage, _), cells)| std::iter::repeat_n(*stage, cells)).take(width).collect()
}

/// The stages as one bar of `width` columns, filled to `share` of it.
pub fn bar(theme: &Theme, times: &StageTimes, share: f64, width: usize) -> Vec<Span<'static>> {
    let filled = ((share.clamp(0.0, 1.0) * width as f64).round() as usize).clamp(1.min(width), width);
    let mut spans: Vec<Span<'static>> = Vec::new();
    for run in cells(times, filled).chunk_by(|a, b| a == b) {
        if let Some(stage) = run.first() {
            spans.push(Span::styled(letter(*stage).repeat(run.len()), theme.style(paint(*stage))));
        }
    }
    spans
}

/// One stage on a time axis of `length` from `start` that is `width` columns long. What goes on behind its end ends in an arrow.
pub fn on_axis(theme: &Theme, span: StageSpan, start: Micros, length: Micros, width: usize) -> Vec<Span<'static>> {
    let column =
        |at: Micros| at.since(start).as_secs_f64() / length.as_secs_f64().max(f64::MIN_POSITIVE) * width as f64;
    let from = (column(span.from) as usize).min(width.saturating_sub(1));
    let to = (column(span.to).ceil() as usize).clamp((from + 1).min(width), width);
    let beyond = span.to > start + length;
    let letters = (to - from).saturating_sub(usize::from(beyond));
    let mut spans = vec![Span::raw(" ".repeat(from))];
    spans.push(Span::styled(letter(span.stage).repeat(letters), theme.style(paint(span.stage))));
    if beyond && width > 0 {
        spans.push(Span::styled(theme.symbols.arrow, theme.style(Paint::Dim)));
    }
    spans.push(Span::raw(" ".repeat(width - to)));
    spans
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ratatui::text::Line;

    use super::*;

    fn text(spans: Vec<Span<'static>>) -> String {
        Line::from(spans).to_string()
    }

    fn times(of: &[(Stage, u64)]) -> StageTimes {
        StageTimes::from_stages(of.iter().map(|(stage, time)| (*stage, Micros(*time))))
    }

    #[test]
    fn a_bar_gives_each_stage_its_share_in_order_of_time() {
        let times = times(&[(Stage::Prefill, 30), (Stage::Queue, 60), (Stage::HandOff, 10)]);
        assert_eq!(text(bar(&Theme::mono(), &times, 1.0, 10)), "qqqqqqPPPC");
        assert_eq!(text(bar(&Theme::mono(), &times, 0.5, 10)), "qqqPP");
        assert_eq!(text(bar(&Theme::mono(), &times, 0.0, 10)), "q");
        assert_eq!(text(bar(&Theme::mono(), &times, 1.0, 0)), "");
    }

    #[test]
    fn letters_are_told_apart() {
        let mut letters: Vec<&str> = Stage::TTFT.into_iter().chain([Stage::Decode]).map(letter).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Stage::TTFT.len() + 1);
    }

    #[test]
    fn a_stage_stands_where_it_was_on_the_axis() {
        let at = |from: u64, to: u64| {
            let span = StageSpan { stage: Stage::Prefill, from: Micros(1_000 + from), to: Micros(1_000 + to) };
            text(on_axis(&Theme::mono(), span, Micros(1_000), Micros(100), 10))
        };
        assert_eq!(at(0, 30), "PPP       ");
        assert_eq!(at(31, 32), "   P      ", "something is never nothing");
        assert_eq!(at(90, 100), "         P");
        assert_eq!(at(50, 900), "     PPPP→");
        assert_eq!(at(500, 900), "         →");
    }

    proptest! {
        #[test]
        fn any_bar_is_as_wide_as_it_should_be(
            of in prop::collection::vec((proptest::sample::select(Stage::TTFT.to_vec()), any::<u64>()), 1..9), width in 0..200usize,
        ) {
            let times = times(&of);
            let cells = cells(&times, width);
            prop_assert_eq!(cells.len(), if times.total() == Micros::ZERO { 0 } else { width });
            prop_assert!(cells.is_sorted());
        }

        #[test]
        fn any_stage_fits_any_axis(from: u64, to: u64, start: u64, length: u64, width in 0..200usize) {
            let span = StageSpan { stage: Stage::Queue, from: Micros(from), to: Micros(to) };
            let drawn = Line::from(on_axis(&Theme::mono(), span, Micros(start), Micros(length), width));
            prop_assert_eq!(drawn.width(), width);
        }
    }
}
