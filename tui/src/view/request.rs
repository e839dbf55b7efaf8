//! The timeline of one request: its stages as bars on one axis, each with its start, its length and its share.

use std::fmt::Write as _;

use loadgen::measure::Span as StageSpan;
use loadgen::request::RequestLine;
use loadgen::sample::{Outcome, ServerSide, ServerTimes, Told};
use loadgen::schedule::Turn;
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures::{pair, span};
use super::requests::bad_outcome;
use crate::format;
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::stages;
use crate::widget::target::Targets;

const WIDTH: u16 = 96;
/// Columns of a row beside its bar: letter and name, start, length, share.
const BESIDE: u16 = 17 + 8 + 8 + 6;
/// Where decoding takes so many times as long as TTFT, the axis ends behind TTFT: the bars that differ stay readable.
const LONG: u64 = 3;

/// Draws the overlay. `place` says which of how many.
pub(super) fn request(line: &RequestLine, place: &str, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let mut rows = vec![Row::new(0, latencies(line, theme)), Row::new(2, tokens(line, theme))];
    rows.extend(line.turn.map(|turn| Row::new(2, session(turn, theme))));
    if let Some(server) = &line.server {
        // A server may name workers that nobody knows as units.
        if server.told.is_none() || server.prefill_unit.or(server.decode_unit).is_some() {
            rows.push(Row::new(2, units(server, theme)));
        }
        if let Some(told) = &server.told {
            rows.push(Row::new(2, workers(told, theme)));
            rows.extend(by_server(told, theme).map(|line| Row::new(3, line)));
        }
    }
    if let Some(why) = failure(line) {
        rows.push(Row::new(0, span(theme, Paint::Bad, format!(" {} {why}", theme.symbols.bad))));
    }
    rows.push(Row::new(5, Line::default()));
    let width = usize::from(WIDTH.min(area.width).saturating_sub(2 + BESIDE));
    let life = line.life();
    let length = axis(line);
    rows.push(Row::new(4, scale(length, width, theme)));
    for stage in &life {
        rows.push(Row::new(1, bar(line, *stage, length, width, theme)));
    }
    if line.server.as_ref().is_none_or(|server| server.arrived.is_none()) {
        let text = " this target does not tell when a request passes its stages";
        rows.push(Row::new(3, span(theme, Paint::Dim, text)));
    }
    rows.push(Row::new(5, Line::default()));
    rows.push(Row::new(3, instants(line, theme)));
    let title = Line::from_iter([
        span(theme, Paint::Title, format!("REQUEST {}", line.index)),
        span(theme, Paint::Text, format!(" {place}")),
    ]);
    let outcome = match bad_outcome(line) {
        None => span(theme, Paint::Good, "completed"),
        Some(outcome) => span(theme, Paint::Bad, format!("{} {outcome}", theme.symbols.bad)),
    };
    popup(theme, title, Row::new(0, Line::from(outcome)), rows, WIDTH, area, buf)
}

fn latencies(line: &RequestLine, theme: &Theme) -> Line<'static> {
    let figure = |of: Option<Micros>| of.map_or_else(|| theme.symbols.none.to_owned(), format::duration);
    let mut drawn = Line::from(Span::raw(" "));
    let whole = line.e2e().or(Some(line.ended.since(line.due)));
    let name = if line.outcome.is_completed() { "E2E" } else { "over after" };
    for (name, of, paint) in
        [("TTFT", line.ttft(), Paint::Headline), ("TPOT", line.tpot, Paint::Text), (name, whole, Paint::Text)]
    {
        drawn.extend(pair(theme, name, paint, figure(of)));
        drawn.push_span(Span::raw("   "));
    }
    drawn
}

fn tokens(line: &RequestLine, theme: &Theme) -> Line<'static> {
    let mut text = format!(" {} tokens in, {} of {} out", line.input_tokens, line.output_tokens, line.output_asked);
    if let Some(server) = line.server.as_ref().filter(|server| server.prefix_queried > 0) {
        let _ = write!(text, "; prefix: {} of {} cached", server.prefix_hit, server.prefix_queried);
    }
    span(theme, Paint::Text, text).into()
}

/// `turn 3 of 5 of session 12: 640 new tokens, due 1.0s after the answer before`.
fn session(turn: Turn, theme: &Theme) -> Line<'static> {
    let mut text = format!(" turn {} of {} of session {}", turn.turn + 1, turn.of, turn.session);
    if turn.lost {
        text.push_str("; the turn before did not complete");
    } else if turn.turn > 0 {
        let think = format::duration(turn.think);
        let _ = write!(text, ": {} new tokens, due {think} after the answer before", turn.new_tokens);
    }
    span(theme, Paint::Text, text).into()
}

/// `prefill on unit 0, decode on unit 3; preempted once`.
fn units(server: &ServerSide, theme: &Theme) -> Line<'static> {
    let mut drawn = Line::from(Span::raw(" "));
    match (server.prefill_unit, server.decode_unit) {
        (Some(prefill), Some(decode)) if prefill == decode => {
            drawn.push_span(span(theme, Paint::Aggregated, format!("all on unit {prefill}")));
        }
        (prefill, decode) => {
            if let Some(prefill) = prefill {
                drawn.push_span(span(theme, Paint::Prefill, format!("prefill on unit {prefill}   ")));
            }
            if let Some(decode) = decode {
                drawn.push_span(span(theme, Paint::Decode, format!("decode on unit {decode}")));
            }
        }
    }
    if server.preemptions > 0 {
        let times = if server.preemptions == 1 { "once".to_owned() } else { format!("{} times", server.preemptions) };
        drawn.push_span(span(theme, Paint::Warn, format!("   preempted {times}")));
    }
    drawn
}

/// `prefill by 12420605765060856883   decode by 17282117966043035430`.
fn workers(told: &Told, theme: &Theme) -> Line<'static> {
    let mut drawn = Line::from(Span::raw(" "));
    for (does, paint, name) in [("prefill", Paint::Prefill, &told.prefill), ("decode", Paint::Decode, &told.decode)] {
        if let Some(name) = name {
            drawn.push_span(span(theme, paint, format!("{does} by {name}   ")));
        }
    }
    drawn
}

/// `by the server's own clock: waited 300us, prefill 23.5ms, first token 23.8ms, all 43.4ms, hand-off up to 7.9ms`.
fn by_server(told: &Told, theme: &Theme) -> Option<Line<'static>> {
    let ServerTimes { wait, prefill, ttft, total, transfer } = told.times;
    let times =
        [("waited", wait), ("prefill", prefill), ("first token", ttft), ("all", total), ("hand-off up to", transfer)];
    let said: Vec<_> =
        times.iter().filter_map(|(name, time)| Some(format!("{name} {}", format::duration((*time)?)))).collect();
    (!said.is_empty())
        .then(|| span(theme, Paint::Dim, format!(" by the server's own clock: {}", said.join(", "))).into())
}

fn failure(line: &RequestLine) -> Option<String> {
    match &line.outcome {
        Outcome::Completed => None,
        Outcome::Failed(failure) => Some(format!("{}: {}", failure.kind, failure.message)),
        Outcome::Cut => Some("the stream ended without saying so".to_owned()),
        Outcome::Cancelled => Some("cancelled by us".to_owned()),
        Outcome::Shed => Some("never sent: a stated limit was reached".to_owned()),
    }
}

/// The length of the axis.
fn axis(line: &RequestLine) -> Micros {
    let whole = line.ended.max(line.last.unwrap_or_default()).since(line.due);
    match line.ttft() {
        Some(ttft) if ttft > Micros::ZERO && whole.0 > ttft.0.saturating_mul(LONG) => Micros(ttft.0 + ttft.0 / 2),
        _ => whole,
    }
}

/// The ends of the axis, above the bars.
fn scale(length: Micros, width: usize, theme: &Theme) -> Line<'static> {
    let end = format!("+{}", format::duration(length));
    let room = width.saturating_sub(1);
    let text = format!("{:17}{:>8} 0{end:>room$}", "", "start");
    span(theme, Paint::Dim, text).into()
}

/// `q prefill queue   +0.6ms      qqqqqqqqq       812ms  62%`.
fn bar(line: &RequestLine, stage: StageSpan, length: Micros, width: usize, theme: &Theme) -> Line<'static> {
    let whole = line.ended.max(line.last.unwrap_or_default()).since(line.due);
    let share = stage.length().as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
    let mut drawn = Line::from_iter([
        Span::raw(" "),
        span(theme, stages::paint(stage.stage), stages::letter(stage.stage)),
        span(theme, Paint::Text, format!(" {:<14}", stage.stage.name())),
        span(theme, Paint::Dim, format!("{:>8} ", format!("+{}", format::duration(stage.from.since(line.due))))),
    ]);
    drawn.extend(stages::on_axis(theme, stage, line.due, length, width));
    drawn.push_span(span(theme, Paint::Text, format!("{:>8}", format::duration(stage.length()))));
    drawn.push_span(span(theme, Paint::Dim, format!("{:>4}%", format::percent(share))));
    drawn
}

/// `due 02:31.204   sent +0.1ms   first token +1310ms   over +2.8s`.
fn instants(line: &RequestLine, theme: &Theme) -> Line<'static> {
    let mut drawn = Line::from(Span::raw(" "));
    let due = format!("{}.{:03}", format::clock(line.due), line.due.0 / 1_000 % 1_000);
    drawn.extend(pair(theme, "due", Paint::Text, due));
    for (name, at) in
        [("sent", line.sent), ("first token", line.first), ("last", line.last), ("over", Some(line.ended))]
    {
        let at =
            at.map_or_else(|| theme.symbols.none.to_owned(), |at| format!("+{}", format::duration(at.since(line.due))));
        drawn.push_span(Span::raw("   "));
        drawn.extend(pair(theme, name, Paint::Text, at));
    }
    drawn
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loadgen::sample::WorkerName;

    use super::*;

    fn line(server: ServerSide) -> RequestLine {
        RequestLine {
            index: 7,
            due: Micros(1_000_000),
            sent: Some(Micros(1_000_100)),
            first: Some(Micros(1_030_000)),
            last: Some(Micros(1_050_000)),
            ended: Micros(1_050_000),
            input_tokens: 8,
            output_asked: 3,
            output_tokens: 3,
            turn: None,
            tpot: Some(Micros(10_000)),
            outcome: Outcome::Completed,
            server: Some(server),
            stages: None,
        }
    }

    fn drawn(server: ServerSide) -> String {
        let area = Rect::new(0, 0, 100, 30);
        let mut buf = Buffer::empty(area);
        request(&line(server), "1 of 1", &Theme::mono(), area, &mut buf);
        let row = |y| (0..area.width).map(|x| buf[(x, y)].symbol()).collect::<String>() + "\n";
        (0..area.height).map(row).collect()
    }

    #[test]
    fn a_turn_says_of_which_session_it_is_and_what_is_new_in_it() {
        let text = |turn, lost| {
            let turn = Turn { session: 12, turn, of: 5, think: Micros(1_000_000), new_tokens: 640, lost };
            session(turn, &Theme::mono()).to_string()
        };
        assert_eq!(text(0, false), " turn 1 of 5 of session 12");
        assert_eq!(text(2, false), " turn 3 of 5 of session 12: 640 new tokens, due 1.0s after the answer before");
        assert_eq!(text(3, true), " turn 4 of 5 of session 12; the turn before did not complete");
    }

    #[test]
    fn workers_are_shown_as_the_server_calls_them_and_its_times_apart_from_the_stages() {
        let times = ServerTimes { wait: Some(Micros(300)), ttft: Some(Micros(23_800)), ..ServerTimes::default() };
        let told = Told {
            prefill: WorkerName::new("12420605765060856883"),
            decode: WorkerName::new("17282117966043035430"),
            times,
        };
        let server = ServerSide { told: Some(Arc::new(told)), ..ServerSide::default() };
        let text = drawn(server.clone());
        assert!(text.contains("prefill by 12420605765060856883   decode by 17282117966043035430"), "{text}");
        assert!(text.contains("by the server's own clock: waited 300us, first token 23.8ms"), "{text}");
        assert!(text.contains("this target does not tell when a request passes its stages"), "{text}");
        assert!(!text.contains("unit"), "{text}");
        let known = ServerSide { prefill_unit: Some(0), decode_unit: Some(3), ..server };
        assert!(drawn(known).contains("prefill on unit 0   decode on unit 3"));
    }
}
