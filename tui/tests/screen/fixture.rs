//! Snapshots of an invented run, and a buffer as text and as a map of roles.

use std::fmt::Write as _;
use std::sync::Arc;

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split, UnitId};
use loadgen::live::{
    Counts, Event, Health, Limiting, MarkKind, Percentiles, Phase, Recent, ShiftView, Slot, Snapshot, UnitView,
};
use loadgen::slo::Slo;
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use tui::model::{Model, Offers};
use tui::symbols::Symbols;
use tui::theme::{Paint, Theme};
use tui::view::view;

pub(crate) fn seconds(s: f64) -> Micros {
    Micros::from_secs_f64(s)
}

pub(crate) fn millis(ms: f64) -> Micros {
    Micros((ms * 1e3) as u64)
}

/// A wave in place of noise: the same on every machine, never flat.
fn wave(i: usize, period: f64) -> f64 {
    (i as f64 * std::f64::consts::TAU / period).sin()
}

/// `count` seconds: TTFT rises until `turn`, then falls, as after a shift; one second in fifty has no sample.
pub(crate) fn history(count: usize, turn: usize) -> Vec<Slot> {
    (0..count)
        .map(|i| {
            let climb =
                if i < turn { i as f64 / turn.max(1) as f64 } else { (1.0 - (i - turn) as f64 / 20.0).max(0.2) };
            let ttft = 180.0 + 260.0 * climb + 15.0 * wave(i, 9.0);
            let tpot = 19.0 + if i < turn { 0.0 } else { 3.5 } + wave(i, 7.0);
            let missing = i % 50 == 37;
            let percentiles = |p50: f64, p95: f64| Percentiles {
                p50: (!missing).then(|| millis(p50)),
                p95: (!missing).then(|| millis(p95)),
                p99: (!missing).then(|| millis(p95 * 1.1)),
            };
            let completed = 15 + (2.0 * wave(i, 5.0)) as u32;
            Slot {
                start: seconds(i as f64),
                length: seconds(1.0),
                offered: 15 + i as u32 % 2,
                completed,
                good: Some(if ttft * 1.3 > 400.0 { completed / 2 } else { completed }),
                errors: 0,
                input_tokens: 15_000,
                output_tokens: 3_000,
                ttft: percentiles(ttft, ttft * 1.3),
                tpot: percentiles(tpot, tpot * 1.2),
            }
        })
        .collect()
}

pub(crate) fn unit(id: u16, role: Role, busy: f64) -> UnitView {
    let decode = role.can_decode();
    UnitView {
        unit: UnitId(id),
        role,
        state: UnitState::Serving,
        in_state: seconds(90.0),
        busy,
        queue: if role.can_prefill() { u32::from(id) + 2 } else { 0 },
        running: if decode { 12 + u32::from(id) } else { 1 },
        handing_off: u32::from(role == Role::Prefill),
        kv_used: if decode { 0.58 + f64::from(id) / 50.0 } else { 0.12 },
        kv_cached: 0.1,
        input_tps: if role.can_prefill() { 8_900.0 } else { 0.0 },
        output_tps: if decode { 860.0 } else { 15.0 },
    }
}

/// A run of two minutes and a half at 2P2D, one shift behind it, prefill the limiting side.
pub(crate) fn normal() -> Snapshot {
    let p = |p50, p95, p99| Percentiles { p50: Some(millis(p50)), p95: Some(millis(p95)), p99: Some(millis(p99)) };
    Snapshot {
        now: seconds(151.0),
        phase: Phase::Loading,
        workload: "chat-burst".to_owned(),
        target: "cpu".to_owned(),
        seed: 7,
        duration: Some(seconds(600.0)),
        requests: None,
        rate_rps: 15.0,
        slo: Some(Slo { ttft: Some(millis(400.0)), tpot: Some(millis(25.0)), ..Slo::default() }),
        split: Split { prefill: 2, decode: 2, aggregated: 0 },
        counts: Counts {
            offered: 2_290,
            sent: 2_290,
            completed: 2_216,
            failed: 2,
            cut: 1,
            good: 2_120,
            in_flight: 71,
            ..Counts::default()
        },
        recent: Recent {
            window: seconds(10.0),
            goodput_rps: Some(14.6),
            goodput_before_rps: Some(12.9),
            attainment: Some(0.962),
            offered_rps: 15.2,
            input_tps: 31_200.0,
            output_tps: 3_400.0,
            ttft: p(212.0, 318.0, 402.0),
            tpot: p(18.9, 23.6, 25.1),
        },
        history: Arc::new(history(150, 100)),
        units: Arc::new(vec![
            unit(0, Role::Prefill, 0.93),
            unit(1, Role::Prefill, 0.88),
            unit(2, Role::Decode, 0.71),
            unit(3, Role::Decode, 0.69),
        ]),
        events: Arc::new(vec![
            event(60.0, Some(MarkKind::Load), "12→15/s", "rate 12 → 15 requests per second"),
            event(88.0, None, "", "TTFT p95 over 400 ms for 16 s"),
            event(100.0, Some(MarkKind::Shift), "2P2D", "1P3D → 2P2D by drain: drained in 2.1 s, nothing lost"),
        ]),
        shifts: Vec::new(),
        limiting: Limiting {
            side: "prefill",
            why: "queue 5 and rising, units 91 % busy; decode batch 29 at 70 %".to_owned(),
        },
        health: Health {
            lag_p99: Micros(420),
            client_cpu_s: 4.0,
            client_cpu: 0.05,
            rss_bytes: 80_000_000,
            dropped: 0,
            recorded_bytes: Some(412_300),
            recording_lost: None,
            verdict: None,
        },
    }
}

pub(crate) fn event(at: f64, mark: Option<MarkKind>, label: &str, text: &str) -> Event {
    Event { at: seconds(at), mark, label: label.to_owned(), text: text.to_owned() }
}

/// Unit 3 drains towards prefill, unit 2 of an earlier shift warms up, another shift waits.
pub(crate) fn shifting() -> Snapshot {
    let mut snapshot = normal();
    let mut units = snapshot.units.to_vec();
    units[1].state = UnitState::Warming;
    units[1].in_state = seconds(1.2);
    units[3].state = UnitState::Draining { left: 14 };
    snapshot.units = Arc::new(units);
    let to = |prefill, decode| Split { prefill, decode, aggregated: 0 };
    snapshot.shifts = vec![
        ShiftView { to: to(3, 1), how: How::Drain, since: Some(seconds(148.9)) },
        ShiftView { to: to(2, 2), how: How::Migrate, since: None },
    ];
    snapshot
}

/// Nothing has come back yet.
pub(crate) fn waiting() -> Snapshot {
    let mut snapshot = normal();
    snapshot.now = seconds(3.2);
    snapshot.counts = Counts { offered: 12, sent: 12, in_flight: 12, ..Counts::default() };
    snapshot.recent = Recent { offered_rps: 3.8, ..Recent::default() };
    snapshot.history = Arc::new(
        history(3, 100)
            .into_iter()
            .map(|s| Slot { ttft: Percentiles::default(), tpot: Percentiles::default(), completed: 0, ..s })
            .collect(),
    );
    snapshot.events = Arc::new(Vec::new());
    snapshot.limiting = Limiting { side: "none", why: "nothing measured yet".to_owned() };
    snapshot.health.recorded_bytes = None;
    snapshot
}

pub(crate) fn without_slo() -> Snapshot {
    let mut snapshot = normal();
    snapshot.slo = None;
    snapshot.recent.goodput_rps = None;
    snapshot.recent.goodput_before_rps = None;
    snapshot.recent.attainment = None;
    snapshot.history = Arc::new(history(150, 100).into_iter().map(|slot| Slot { good: None, ..slot }).collect());
    snapshot
}

pub(crate) fn with_units(split: Split, units: Vec<UnitView>) -> Snapshot {
    Snapshot { split, units: Arc::new(units), ..normal() }
}

/// Four units that do both.
pub(crate) fn aggregated() -> Snapshot {
    let units = (0..4).map(|id| unit(id, Role::Aggregated, 0.6 + f64::from(id) / 10.0)).collect();
    with_units(Split { prefill: 0, decode: 0, aggregated: 4 }, units)
}

/// Eleven units of all roles: lanes fold, one unit failed.
pub(crate) fn crowded() -> Snapshot {
    let roles = [Role::Prefill; 2].into_iter().chain([Role::Decode; 7]).chain([Role::Aggregated; 2]);
    let mut units: Vec<UnitView> =
        roles.zip(0..).map(|(role, id)| unit(id, role, 0.4 + f64::from(id) / 20.0)).collect();
    units[7].state = UnitState::Failed;
    with_units(Split { prefill: 2, decode: 7, aggregated: 2 }, units)
}

/// Everything that may be wrong with the tool itself.
pub(crate) fn ailing() -> Snapshot {
    let mut snapshot = normal();
    snapshot.health.lag_p99 = millis(38.0);
    snapshot.health.dropped = 17;
    snapshot.health.recording_lost = Some("run.jsonl.zst.partial: no space left on device".to_owned());
    snapshot.health.verdict = Some("lag p99 38 ms over 5 ms".to_owned());
    snapshot.counts.shed = 40;
    snapshot
}

pub(crate) fn in_phase(phase: Phase) -> Snapshot {
    Snapshot { phase, ..normal() }
}

pub(crate) fn model(snapshot: Snapshot) -> Model {
    Model::new(Arc::new(snapshot), Offers::default())
}

/// Renders at a size with a theme in which each role has a colour of its own.
pub(crate) fn render(model: &Model, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view(model, &probe(), area, &mut buffer);
    buffer
}

fn probe() -> Theme {
    Theme::new(Symbols::UNICODE, |paint| Style::new().fg(Color::Indexed(paint as u8)))
}

/// The buffer's text, then a map with a letter for the role of each cell that is not blank.
pub(crate) fn text_and_roles(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out.push_str("--- roles\n");
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width).map(|x| letter(&buffer[(x, y)])).collect();
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// One letter a role: `t`ext, `d`im, `b`order, t`i`tle, `h`eadline, `k`ey, disa`x`bled, `P`refill, `D`ecode, `A`ggregated,
/// `g`ood, `B`ad, `w`arn, `s`lo, `o`ffered, `m`ark, me`5`0th, `9`5th, `S`elected, aler`!`.
fn letter(cell: &ratatui::buffer::Cell) -> char {
    const LETTERS: [char; Paint::ALL.len()] =
        ['t', 'd', 'b', 'i', 'h', 'k', 'x', 'P', 'D', 'A', 'g', 'B', 'w', 's', 'o', 'm', '5', '9', 'S', '!'];
    match cell.fg {
        _ if cell.symbol() == " " => ' ',
        Color::Indexed(index) => LETTERS[usize::from(index)],
        _ => '?',
    }
}
