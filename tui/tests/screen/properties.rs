//! No size and no snapshot breaks the screen.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use engine::cluster::{How, UnitState};
use engine::units::{Role, Split, UnitId};
use loadgen::diagnose::{Diagnosis, diagnose, fault};
use loadgen::live::{
    Counts, Event, FailureCounts, Health, MarkKind, Outage, Percentiles, Phase, Reasons, Recent, ServerView, ShiftView,
    Slot, Snapshot, TtftStages, UnitView,
};
use loadgen::measure::{SlotHistogram, Stage, StageHistogram, StageTimes};
use loadgen::metrics::{Counter, Gauges, Sums, Timed, Timer};
use loadgen::request::Slowest;
use loadgen::sample::{
    Account, Failure, FailureKind, Gap, Outcome, Sample, ServerSide, ServerTimes, TOKEN_HASH_SEED, Told, WorkerName,
};
use loadgen::schedule::Segment;
use loadgen::slo::Slo;
use loadgen::target::{Abilities, Ways};
use loadgen::time::Micros;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui::model::{Model, Offers, Recording};
use tui::scene::SCREENS;
use tui::symbols::SymbolSet;
use tui::theme::{Depth, Theme};
use tui::update::{Msg, update};
use tui::view::view;

fn micros() -> BoxedStrategy<Micros> {
    prop_oneof![Just(0), 0..600_000_000u64, any::<u64>()].prop_map(Micros).boxed()
}

/// Any float: ordinary ones, and those that should never come.
fn float() -> BoxedStrategy<f64> {
    prop_oneof![-1.0..2.0, 0.0..1e5, any::<f64>(), Just(f64::NAN), Just(f64::INFINITY)].boxed()
}

fn percentiles() -> BoxedStrategy<Percentiles> {
    (option::of(micros()), option::of(micros()), option::of(micros()))
        .prop_map(|(p50, p95, p99)| Percentiles { p50, p95, p99 })
        .boxed()
}

fn slot() -> BoxedStrategy<Slot> {
    let figures = (any::<u32>(), any::<u32>(), option::of(any::<u32>()), percentiles(), percentiles());
    (figures, histogram(), histogram(), stages(), slowest())
        .prop_map(|((offered, completed, good, ttft, tpot), ttft_values, tpot_values, stages, slowest)| Slot {
            offered,
            completed,
            good,
            ttft,
            tpot,
            ttft_values,
            tpot_values,
            stages: Arc::new(stages),
            slowest: Arc::new(slowest),
            ..Slot::default()
        })
        .boxed()
}

fn histogram() -> BoxedStrategy<Arc<SlotHistogram>> {
    vec(prop_oneof![0..2_000_000u64, any::<u64>()], 0..6)
        .prop_map(|values| {
            let mut histogram = SlotHistogram::default();
            for value in values {
                histogram.record(value);
            }
            Arc::new(histogram)
        })
        .boxed()
}

fn stage_times() -> BoxedStrategy<StageTimes> {
    vec((proptest::sample::select(Stage::TTFT.to_vec()), micros()), 0..6).prop_map(StageTimes::from_stages).boxed()
}

fn stages() -> BoxedStrategy<StageHistogram> {
    vec(stage_times(), 0..5)
        .prop_map(|requests| {
            let mut histogram = StageHistogram::default();
            for times in &requests {
                histogram.record(times);
            }
            histogram
        })
        .boxed()
}

fn server() -> BoxedStrategy<ServerSide> {
    let instant = || option::of(micros());
    let units = (option::of(any::<u16>()), option::of(any::<u16>()), any::<u32>(), any::<u32>(), any::<u32>());
    (units, [instant(), instant(), instant(), instant(), instant(), instant()], option::of(told()))
        .prop_map(
            |(
                (prefill_unit, decode_unit, prefix_queried, prefix_hit, preemptions),
                [arrived, prefill_start, prefill_end, handoff_start, handoff_end, decode_start],
                told,
            )| ServerSide {
                prefill_unit,
                decode_unit,
                prefix_queried,
                prefix_hit,
                preemptions,
                arrived,
                prefill_start,
                prefill_end,
                handoff_start,
                handoff_end,
                decode_start,
                told: told.map(Arc::new),
            },
        )
        .boxed()
}

fn told() -> BoxedStrategy<Told> {
    let name = || ".{0,80}".prop_map(|name| WorkerName::new(&name));
    (name(), name(), [option::of(micros()), option::of(micros()), option::of(micros())])
        .prop_map(|(prefill, decode, [wait, ttft, transfer])| Told {
            prefill,
            decode,
            times: ServerTimes { wait, ttft, transfer, ..ServerTimes::default() },
        })
        .boxed()
}

/// Requests that failed, with why.
fn failures() -> BoxedStrategy<(FailureCounts, Reasons)> {
    vec((request(), option::of(any::<u16>())), 0..8)
        .prop_map(|requests| {
            let (mut counts, mut reasons) = (FailureCounts::default(), Reasons::default());
            for (request, address) in requests {
                let account = Account { address, ..Account::default() };
                counts.count(&Sample { account, ..request.clone() });
                reasons.note(&request);
            }
            (counts, reasons)
        })
        .boxed()
}

fn request() -> BoxedStrategy<Sample> {
    let outcome = prop_oneof![
        Just(Outcome::Completed),
        Just(Outcome::Cut),
        ".{0,200}".prop_map(|message| Outcome::Failed(Failure { kind: FailureKind::Status, message })),
    ];
    let instants = (micros(), option::of(micros()), option::of(micros()), option::of(micros()), micros());
    (any::<u64>(), instants, any::<u32>(), any::<u32>(), outcome, option::of(server()))
        .prop_map(|(index, (due, sent, first, last, ended), input_tokens, output_tokens, outcome, server)| Sample {
            index,
            due,
            sent,
            first,
            last,
            ended,
            first_tokens: 1,
            gaps: vec![Gap { gap: Micros(1), tokens: 1 }],
            input_tokens,
            output_asked: output_tokens,
            output_tokens,
            segments: vec![Segment(index, input_tokens)],
            clamped: false,
            turn: None,
            outcome,
            token_hash: TOKEN_HASH_SEED,
            logits_hash: None,
            account: Account::default(),
            server,
        })
        .boxed()
}

fn slowest() -> BoxedStrategy<Slowest> {
    vec(request(), 0..3)
        .prop_map(|requests| {
            let mut slowest = Slowest::default();
            for request in &requests {
                slowest.offer(request);
            }
            slowest
        })
        .boxed()
}

/// Slots in order of time, of one length, from anywhere.
fn history() -> BoxedStrategy<Vec<Slot>> {
    (vec(slot(), 0..100), micros(), micros())
        .prop_map(|(mut slots, start, length)| {
            let mut at = start;
            for slot in &mut slots {
                slot.start = at;
                slot.length = length;
                at = at + length;
            }
            slots
        })
        .boxed()
}

fn role() -> BoxedStrategy<Role> {
    prop_oneof![Just(Role::Prefill), Just(Role::Decode), Just(Role::Aggregated)].boxed()
}

fn unit() -> BoxedStrategy<UnitView> {
    let state = prop_oneof![
        Just(UnitState::Serving),
        any::<u32>().prop_map(|left| UnitState::Draining { left }),
        Just(UnitState::Switching),
        Just(UnitState::Warming),
        Just(UnitState::Failed),
    ];
    let counts = (any::<u32>(), any::<u32>(), any::<u32>());
    (any::<u16>(), role(), state, (micros(), any::<bool>()), counts, [float(), float(), float(), float(), float()])
        .prop_map(
            |(
                id,
                role,
                state,
                (in_state, measured),
                (queue, running, handing_off),
                [busy, kv_used, kv_cached, input_tps, output_tps],
            )| {
                UnitView {
                    unit: UnitId(id),
                    role,
                    state,
                    in_state,
                    measured,
                    busy,
                    queue,
                    running,
                    handing_off,
                    kv_used,
                    kv_cached,
                    input_tps,
                    output_tps,
                }
            },
        )
        .boxed()
}

fn split() -> BoxedStrategy<Split> {
    (any::<u16>(), 0..9u16, any::<u16>())
        .prop_map(|(prefill, decode, aggregated)| Split { prefill, decode, aggregated })
        .boxed()
}

fn shift() -> BoxedStrategy<ShiftView> {
    let how = proptest::sample::select(How::ALL.to_vec());
    (split(), how, option::of(micros())).prop_map(|(to, how, since)| ShiftView { to, how, since }).boxed()
}

fn event() -> BoxedStrategy<Event> {
    let mark = prop_oneof![Just(MarkKind::Shift), Just(MarkKind::Load), Just(MarkKind::Slo), Just(MarkKind::Failure)];
    (micros(), option::of(mark), ".{0,20}", ".{0,200}")
        .prop_map(|(at, mark, label, text)| Event { at, mark, label, text })
        .boxed()
}

fn recent() -> BoxedStrategy<Recent> {
    let floats = [float(), float(), float()];
    let options = [option::of(float()), option::of(float()), option::of(float()), option::of(float())];
    let counts = (any::<u64>(), any::<u64>(), any::<i64>(), stages(), failures());
    (micros(), floats, options, percentiles(), percentiles(), counts)
        .prop_map(
            |(
                window,
                [offered_rps, input_tps, output_tps],
                [goodput_rps, goodput_before_rps, attainment, output_before_tps],
                ttft,
                tpot,
                (completed, pieces, growth, stages, (failures, _)),
            )| {
                Recent {
                    window,
                    goodput_rps,
                    goodput_before_rps,
                    attainment,
                    offered_rps,
                    completed,
                    pieces,
                    failures,
                    growth,
                    input_tps,
                    output_tps,
                    output_before_tps,
                    ttft,
                    tpot,
                    stages: TtftStages::of(&stages),
                }
            },
        )
        .boxed()
}

fn slo() -> BoxedStrategy<Slo> {
    (option::of(micros()), option::of(micros())).prop_map(|(ttft, tpot)| Slo { ttft, tpot, ..Slo::default() }).boxed()
}

fn health() -> BoxedStrategy<Health> {
    (micros(), any::<u64>(), option::of(any::<u64>()), option::of(".{0,80}"), option::of(".{0,80}"))
        .prop_map(|(lag_p99, dropped, recorded_bytes, recording_lost, verdict)| Health {
            lag_p99,
            dropped,
            recorded_bytes,
            recording_lost,
            verdict,
            ..Health::default()
        })
        .boxed()
}

fn server_view() -> BoxedStrategy<ServerView> {
    let role = option::of(proptest::sample::select(vec![Role::Prefill, Role::Decode, Role::Aggregated]));
    let gauges = (option::of(any::<u32>()), option::of(any::<u32>()), option::of(any::<u16>()))
        .prop_map(|(running, waiting, kv_used)| Gauges { running, waiting, kv_used });
    let counts = vec((proptest::sample::select(Counter::ALL.to_vec()), any::<u64>()), 0..6);
    let times = vec((proptest::sample::select(Timer::ALL.to_vec()), any::<u64>(), micros()), 0..8);
    let unit = option::of((0_u16..20).prop_map(UnitId));
    (".{0,40}", role, unit, any::<bool>(), (micros(), micros()), gauges, counts, times)
        .prop_map(|(name, role, unit, whole, (heard, span), gauges, counts, times)| {
            let mut sums = Sums::default();
            for (counter, count) in counts {
                sums.add_count(counter, count);
            }
            for (timer, count, sum) in times {
                sums.add_time(timer, Timed::exact(count, sum));
            }
            ServerView { name: name.as_str().into(), role, unit, whole, heard, span, gauges, sums }
        })
        .boxed()
}

fn counts() -> BoxedStrategy<Counts> {
    [any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()]
        .prop_map(|[offered, sent, completed, failed, cut, shed]| Counts {
            offered,
            sent,
            completed,
            failed,
            cut,
            shed,
            in_flight: sent,
            ..Counts::default()
        })
        .boxed()
}

/// A control plane that ends one process and starts another.
const REPLICAS: Abilities =
    Abilities { ways: Ways::of(&[How::Drain]), aggregated: false, in_place: false, ..Abilities::ALL };

fn snapshot() -> BoxedStrategy<Snapshot> {
    let phase = prop_oneof![Just(Phase::Loading), Just(Phase::Paused), Just(Phase::Finishing), Just(Phase::Done)];
    let run =
        (micros(), phase, ".{0,40}", ".{0,80}", option::of(micros()), option::of(any::<u64>()), float(), any::<u64>());
    let load = (option::of(slo()), counts(), recent(), history(), failures());
    let units = prop_oneof![vec(unit(), 0..20), Just(Vec::new())];
    let cluster = (split(), units, vec(server_view(), 0..12), vec(event(), 0..12), vec(shift(), 0..4), ".{0,120}");
    (run, load, cluster, health())
        .prop_map(
            |(
                (now, phase, workload, target, duration, requests, rate_rps, seed),
                (slo, counts, recent, history, (failures, reasons)),
                (split, units, mut servers, events, shifts, error),
                health,
            )| {
                let diagnosis = diagnose(&units, &recent, slo, counts.in_flight);
                for server in servers.iter_mut().step_by(2) {
                    server.heard = now;
                }
                let diagnosis = Diagnosis { fault: fault(&servers, now), ..diagnosis };
                Snapshot {
                    now,
                    phase,
                    aborted: error.ends_with('z').then(|| error.as_str().into()),
                    workload: workload.into(),
                    target: target.into(),
                    seed,
                    duration,
                    requests,
                    rate_rps,
                    shape: None,
                    slo,
                    split,
                    counts,
                    recent,
                    history: Arc::new(history),
                    units: Arc::new(units),
                    servers: Arc::new(servers),
                    events: Arc::new(events),
                    shifts,
                    abilities: if seed % 3 == 0 { REPLICAS } else { Abilities::ALL },
                    outage: error.starts_with('a').then(|| Outage {
                        since: now,
                        failed: seed,
                        limited: if seed % 2 == 0 { seed } else { 0 },
                        error: error.as_str().into(),
                    }),
                    failures,
                    reasons,
                    diagnosis,
                    health,
                }
            },
        )
        .boxed()
}

/// A run whose slots remember another one.
fn remembering() -> BoxedStrategy<Snapshot> {
    (snapshot(), snapshot())
        .prop_map(|(mut snapshot, then)| {
            let then = Arc::new(Snapshot { history: Arc::default(), events: Arc::default(), ..then });
            let mut history = snapshot.history.to_vec();
            history.iter_mut().step_by(3).for_each(|slot| slot.then = Some(then.clone()));
            snapshot.history = Arc::new(history);
            snapshot
        })
        .boxed()
}

/// What an operator may do: any key that means something, and the mouse anywhere.
fn messages() -> BoxedStrategy<Vec<Msg>> {
    let letter = proptest::sample::select("s+-p ?qytkzm[]:M<>ruholg159ii".chars().collect::<Vec<_>>());
    let code = proptest::sample::select(vec![
        KeyCode::Esc,
        KeyCode::Enter,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Backspace,
    ]);
    let modifiers = prop_oneof![Just(KeyModifiers::NONE), Just(KeyModifiers::SHIFT)];
    let key = (prop_oneof![letter.prop_map(KeyCode::Char), code], modifiers);
    let kind = proptest::sample::select(vec![
        MouseEventKind::Down(MouseButton::Left),
        MouseEventKind::Drag(MouseButton::Left),
        MouseEventKind::ScrollUp,
        MouseEventKind::ScrollDown,
        MouseEventKind::Moved,
    ]);
    let mouse = (kind, 0..120u16, 0..40u16, 0..140u16, 0..50u16).prop_map(|(kind, column, row, width, height)| {
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        Msg::Mouse(event, Rect::new(0, 0, width, height))
    });
    let key = key.prop_map(|(code, modifiers)| Msg::Key(KeyEvent::new(code, modifiers)));
    let tick = micros().prop_map(Msg::Tick);
    vec(prop_oneof![6 => key, 2 => mouse, 1 => tick], 0..12).boxed()
}

/// Where snapshots come from.
#[derive(Clone, Debug)]
enum From {
    Live,
    Recording { name: String, incomplete: Option<String>, whole: Box<Recent> },
}

impl From {
    fn model(self, first: Snapshot) -> Model {
        let first = Arc::new(first);
        match self {
            Self::Live => Model::new(first, Offers::default()),
            Self::Recording { name, incomplete, whole } => {
                let recording = Recording::new(name, incomplete, &first, &whole);
                Model::viewing(first, recording)
            }
        }
    }
}

fn source() -> BoxedStrategy<From> {
    let recording = (".{0,30}", option::of(".{0,40}"), recent())
        .prop_map(|(name, incomplete, whole)| From::Recording { name, incomplete, whole: Box::new(whole) });
    prop_oneof![Just(From::Live), recording].boxed()
}

fn theme() -> BoxedStrategy<Theme> {
    let theme =
        prop_oneof![Just(Theme::dark(Depth::True)), Just(Theme::high_contrast(Depth::Ansi)), Just(Theme::mono())];
    (theme, proptest::sample::select(SymbolSet::ALL.to_vec())).prop_map(|(theme, set)| theme.with_symbols(set)).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_run_renders_at_any_size_whatever_was_done(
        first in remembering(),
        second in snapshot(),
        (before, after) in (messages(), messages()),
        (source, theme) in (source(), theme()),
        (x, y) in (0..20u16, 0..20u16),
        (width, height) in (0..=250u16, 0..=80u16),
    ) {
        let mut model = source.model(first);
        for msg in before {
            update(&mut model, msg);
        }
        update(&mut model, Msg::Snapshot(Arc::new(second)));
        for msg in after {
            update(&mut model, msg);
        }
        let area = Rect::new(x, y, width, height);
        let mut buffer = Buffer::empty(area);
        view(&model, &theme, area, &mut buffer);
    }

    #[test]
    fn nothing_is_drawn_outside_the_area(
        snapshot in snapshot(),
        messages in messages(),
        (source, theme) in (source(), theme()),
        (width, height) in (0..=120u16, 0..=40u16),
    ) {
        let mut model = source.model(snapshot);
        for msg in messages {
            update(&mut model, msg);
        }
        let whole = Rect::new(0, 0, width + 4, height + 4);
        let area = Rect::new(2, 2, width, height);
        let mut buffer = Buffer::empty(whole);
        view(&model, &theme, area, &mut buffer);
        for position in whole.positions().filter(|position| !area.contains(*position)) {
            assert_eq!(buffer[position].symbol(), " ", "{position:?} of {area:?}");
        }
    }
}

#[test]
fn every_small_size_renders_every_screen() {
    for screen in SCREENS {
        let model = (screen.model)();
        for width in [1, 2, 3, 4, 5, 6, 7, 9, 12, 20, 29, 30, 31, 45, 59, 60, 61] {
            for height in 1..=16 {
                crate::fixture::render(&model, width, height);
            }
        }
    }
}
