//! The two lines at the top: what runs, and how well.

use loadgen::live::{Phase, Snapshot};
use loadgen::target::sim::PREFIX;
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::figures::{NO_SLO, NO_SLO_THEN, Trouble, is_waiting, pair, span, trend, trouble, waiting};
use crate::action::Action;
use crate::format;
use crate::model::{Model, Overlay, Recording};
use crate::theme::{Paint, Theme};
use crate::widget::fit::{self, Segment};
use crate::widget::target::{Parts, Targets};

/// A client that sends later than this is a suspect itself.
const LATE: Micros = Micros(5_000);

/// Line 1: state, workload, target, clock, seed, recording, losses.
pub(super) fn run(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let shown = model.shown();
    let mut left = vec![Segment::new(0, [state(model, theme)])];
    if let Some(recording) = model.recording() {
        left.extend(of_a_recording(recording, theme));
    }
    left.extend(not_now(model, theme));
    if model.offers.read_only {
        left.push(Segment::new(2, [span(theme, Paint::Warn, "READ-ONLY")]));
    }
    if shown.target.starts_with(PREFIX) {
        left.push(Segment::new(0, [span(theme, Paint::Warn, "SIMULATED")]));
    }
    left.push(Segment::new(4, [span(theme, Paint::Title, shown.workload.to_string())]));
    left.push(Segment::new(6, [span(theme, Paint::Dim, shown.target.to_string())]));
    let progress =
        if model.recording().is_some() { format!("of {}", format::clock(shown.now)) } else { progress(&model.latest) };
    left.push(Segment::new(1, [span(theme, Paint::Text, progress)]));
    left.push(Segment::new(7, [span(theme, Paint::Dim, format!("seed {}", shown.seed))]));
    if model.recording().is_none() {
        left.push(recording(shown, theme));
    }
    left.push(dropped(shown, theme));
    let mut help =
        Parts::default().button([span(theme, Paint::Key, "?"), span(theme, Paint::Dim, ":help")], Action::Help);
    if model.overlay != Overlay::None {
        help.clicks.clear();
    }
    fit::draw(left, Some(Segment::clickable(5, help)), area, buf)
}

/// Line 2: goodput first, then what explains it, the split at the right.
pub(super) fn goodput(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.here();
    let recent = &shown.recent;
    let mut left = vec![Segment::new(0, headline(model, theme, if area.width >= 100 { " req/s" } else { "/s" }))];
    if let Some(attainment) = recent.attainment {
        left.push(Segment::new(
            1,
            pair(theme, "attain", attainment_paint(attainment), format!("{}%", format::percent(attainment))),
        ));
    }
    left.push(Segment::new(2, pair(theme, "offered", Paint::Text, format::number(recent.offered_rps))));
    left.push(rate(model, theme));
    left.push(Segment::new(3, pair(theme, "in-flight", Paint::Text, format::count(shown.counts.in_flight))));
    left.push(errors(shown, theme));
    if shown.counts.shed > 0 {
        left.push(Segment::new(2, pair(theme, "shed", Paint::Bad, format::count(shown.counts.shed))));
    }
    let lag = shown.health.lag_p99;
    let (paint, sign) = if lag > LATE { (Paint::Bad, theme.symbols.bad) } else { (Paint::Text, "") };
    left.push(Segment::new(
        2,
        pair(
            theme,
            if area.width >= 100 { "lag p99" } else { "lag" },
            paint,
            format!("{}{sign}", format::duration(lag)),
        ),
    ));
    let split = Segment::new(1, [span(theme, Paint::Headline, format::split(shown.split))]);
    fit::draw(left, Some(split), area, buf);
}

/// `GOODPUT 14.6 req/s ▲`, or why there is none.
pub(super) fn headline(model: &Model, theme: &Theme, unit: &str) -> Vec<Span<'static>> {
    let shown = model.here();
    let name = span(theme, Paint::Headline, "GOODPUT ");
    if shown.slo.is_none() {
        let why = if model.recording().is_some() { NO_SLO_THEN } else { NO_SLO };
        return vec![name, span(theme, Paint::Warn, why)];
    }
    if is_waiting(shown) {
        return vec![name, span(theme, Paint::Dim, waiting(shown))];
    }
    let Some(goodput) = shown.recent.goodput_rps else {
        return vec![name, span(theme, Paint::Dim, theme.symbols.none)];
    };
    let mut spans = vec![name, span(theme, Paint::Headline, format!("{}{unit}", format::number(goodput)))];
    if let Some(trend) = trend(theme, goodput, shown.recent.goodput_before_rps) {
        spans.push(Span::raw(" "));
        spans.push(trend);
    }
    spans
}

/// How an attainment is painted: the percentage itself is always beside it.
pub(super) fn attainment_paint(attainment: f64) -> Paint {
    if attainment >= 0.9 { Paint::Good } else { Paint::Bad }
}

/// `02:31/10:00`, `02:31 512/9120`, or `02:31`.
pub(super) fn progress(shown: &Snapshot) -> String {
    let now = format::clock(shown.now);
    match (shown.duration, shown.requests) {
        (Some(duration), _) => format!("{now}/{}", format::clock(duration)),
        (None, Some(requests)) => format!("{now} {}/{}", format::count(shown.counts.offered), format::count(requests)),
        (None, None) => now,
    }
}

/// `● LIVE` and its siblings; a frozen picture keeps the state of the run, not of the picture.
pub(super) fn state(model: &Model, theme: &Theme) -> Span<'static> {
    let s = &theme.symbols;
    if let Some(recording) = model.recording() {
        let text = if recording.player.is_playing() {
            format!("{} PLAY {}", s.play, recording.player.speed.text())
        } else {
            format!("{} VIEW", s.play)
        };
        return span(theme, Paint::Headline, text);
    }
    let trouble = trouble(&model.latest).map(|(trouble, _)| trouble);
    let (symbol, word, paint) = match (model.latest.phase, trouble) {
        (Phase::Done, _) => (s.done, "DONE, q to quit", Paint::Headline),
        _ if model.ended => (s.bad, "RUN ENDED, q to quit", Paint::Bad),
        // Whoever paused the load has to be reminded of it; what the last answers were stands with the events.
        (Phase::Paused, _) => (s.paused, "PAUSED", Paint::Warn),
        (_, Some(Trouble::Down)) => (s.bad, "TARGET DOWN", Paint::Alert),
        (_, Some(Trouble::Sheds)) => (s.warn, "SHEDS LOAD", Paint::Warn),
        (Phase::Loading, None) => (s.on, "LIVE", Paint::Good),
        (Phase::Finishing, None) => (s.off, "FINISHING", Paint::Warn),
    };
    span(theme, paint, format!("{symbol} {word}"))
}

/// ` FROZEN 12s ` while the picture is held still, ` AT 01:23, 28s AGO ` while the cursor is in the past: figures of another
/// time must never pass for those of now.
pub(super) fn not_now(model: &Model, theme: &Theme) -> Option<Segment> {
    if model.recording().is_some() {
        let at = model.timeline.cursor().map(|_| format::clock(model.here().now));
        let text = at.map_or_else(|| "WHOLE RUN".to_owned(), |at| format!("AT {at}"));
        return Some(Segment::new(0, [span(theme, Paint::Selected, format!(" {text} "))]));
    }
    let text = match (model.timeline.cursor(), model.frozen_for()) {
        (Some(_), _) => {
            let at = model.here().now;
            format!(" AT {}, {} AGO ", format::clock(at), format::duration(model.latest.now.since(at)))
        }
        (None, Some(since)) => format!(" FROZEN {}s ", since.0 / 1_000_000),
        (None, None) => return None,
    };
    Some(Segment::new(0, [span(theme, Paint::Alert, text)]))
}

/// `chat.jsonl.zst  complete ✓`, or why it is not.
fn of_a_recording(recording: &Recording, theme: &Theme) -> Vec<Segment> {
    let mut segments = vec![Segment::new(3, [span(theme, Paint::Title, recording.name.clone())])];
    match &recording.incomplete {
        None => {
            let complete = format!("complete {}", theme.symbols.ok);
            segments.push(Segment::new(3, [span(theme, Paint::Good, complete)]));
        }
        Some(why) => {
            segments.push(Segment::new(0, [span(theme, Paint::Alert, " INCOMPLETE ")]));
            segments.push(Segment::new(2, [span(theme, Paint::Bad, why.clone())]));
        }
    }
    segments
}

fn rate(model: &Model, theme: &Theme) -> Segment {
    let now = format::rate(model.here().rate_rps);
    match model.asked_rate {
        Some(asked) => {
            let text = format!("{now}{}{}/s", theme.symbols.arrow, format::rate(asked.rps));
            Segment::new(0, pair(theme, "rate", Paint::Warn, text))
        }
        None => Segment::new(5, pair(theme, "rate", Paint::Text, format!("{now}/s"))),
    }
}

/// `err 3`: requests that ended without completing.
pub(super) fn errors(shown: &Snapshot, theme: &Theme) -> Segment {
    let errors = shown.counts.failed.saturating_add(shown.counts.cut);
    let (rank, paint) = if errors > 0 { (1, Paint::Bad) } else { (3, Paint::Text) };
    Segment::new(rank, pair(theme, "err", paint, format::count(errors)))
}

fn recording(shown: &Snapshot, theme: &Theme) -> Segment {
    let health = &shown.health;
    if health.recording_lost.is_some() {
        return Segment::new(0, [span(theme, Paint::Alert, format!(" rec {} LOST ", theme.symbols.bad))]);
    }
    match health.recorded_bytes {
        Some(bytes) => {
            Segment::new(3, pair(theme, "rec", Paint::Text, format!("{} {}", theme.symbols.on, format::bytes(bytes))))
        }
        None => Segment::new(3, [span(theme, Paint::Dim, "rec off")]),
    }
}

fn dropped(shown: &Snapshot, theme: &Theme) -> Segment {
    let dropped = shown.health.dropped;
    let (rank, paint) = if dropped > 0 { (1, Paint::Bad) } else { (4, Paint::Text) };
    Segment::new(rank, pair(theme, "drop", paint, format::count(dropped)))
}
