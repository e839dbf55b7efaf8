//! Predictions as texts and colours.

use loadgen::time::Micros;
use loadgen::whatif::{Interval, Limit, SplitPrediction, Verdict};
use ratatui::text::Span;

use super::figures::span;
use crate::format;
use crate::theme::{Paint, Theme};

/// Half of the interval on its wider side: the figure after `±`.
pub(super) fn margin(of: Interval) -> f64 {
    (of.hi - of.mid).max(of.mid - of.lo)
}

/// A split that meets the SLO looks good; one that does not looks like what limits it.
pub(super) fn prediction_paint(of: &SplitPrediction) -> Paint {
    match of.limit {
        Limit::None => Paint::Good,
        Limit::Prefill => Paint::Prefill,
        Limit::HandOff | Limit::Decode => Paint::Decode,
        Limit::E2e => Paint::Warn,
    }
}

/// `gains 6.1 ±0.9 req/s`, or `makes no difference`: what a move does to goodput.
pub(super) fn gain_words(gain: Interval, theme: &Theme) -> String {
    let figure =
        format!("{} {}{} req/s", format::number(gain.mid.abs()), theme.symbols.about, format::number(margin(gain)));
    match gain.verdict() {
        Verdict::Gains => format!("gains {figure}"),
        Verdict::Loses => format!("loses {figure}"),
        Verdict::Even => "makes no difference".to_owned(),
        Verdict::Unsure if gain.mid < 0.0 => format!("is unsure, probably loses {figure}"),
        Verdict::Unsure => format!("is unsure, probably gains {figure}"),
    }
}

/// `318 ok`, `612 ✗`: a predicted percentile in milliseconds beside its bound.
pub(super) fn latency(value: Option<f64>, bound: Option<Micros>, theme: &Theme) -> Span<'static> {
    let Some(value) = value.filter(|ms| ms.is_finite()) else { return span(theme, Paint::Dim, theme.symbols.none) };
    let value = Micros::from_secs_f64(value / 1e3);
    let text = format::millis(value);
    if bound.is_some_and(|bound| value > bound) {
        span(theme, Paint::Bad, format!("{text}{}", theme.symbols.bad))
    } else {
        span(theme, Paint::Text, text)
    }
}
