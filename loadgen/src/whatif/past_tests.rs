use engine::cluster::{How, UnitState};
use engine::units::{Role, UnitId};

use super::*;
use crate::live::{Counts, UnitView};
use crate::recording::{ClientUse, EndRecord, RateRecord, Recorder, ShiftEnd};
use crate::whatif::Grounds;
use crate::whatif::fitted::tests::{TRUTH, observed, varied};

const SECOND: u64 = 1_000_000;

fn run(target: &str) -> RunRecord {
    let engine = serde_json::json!({ "context_tokens": 4096, "kv_tokens": 32_768, "vocabulary": 256 });
    RunRecord { engine, ..RunRecord::named("test", target) }
}

/// A minute and a half of requests to two units that prefill and two that decode; the load is another one from `changed` on.
fn recording(folder: &Path, changed: Micros) -> PathBuf {
    let path = folder.join("run.jsonl.zst");
    let mut recorder = Recorder::create(&path, &run("cpu"), || Micros::ZERO).expect("a file");
    let (samples, _) = observed("2P2D", TRUTH, 0.05, 720, varied);
    let rate = |at, state| Record::Rate(RateRecord { at, state, rps: 8.0, resumed_rps: None });
    recorder.push(&rate(changed, LoadState::Loading)).expect("written");
    for sample in samples {
        recorder.push(&Record::Req(Box::new(sample))).expect("written");
    }
    recorder.push(&rate(Micros(85 * SECOND), LoadState::Finishing)).expect("written");
    let end = EndRecord {
        at: Micros(95 * SECOND),
        schedule_end: Micros(85 * SECOND),
        requests: Counts::default(),
        client: ClientUse::default(),
        aborted: None,
    };
    recorder.finish(&end).expect("written");
    path
}

#[test]
fn traffic_is_that_of_the_minute_before_the_instant() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = recording(folder.path(), Micros(30 * SECOND));
    let of = |second| traffic(&path, Micros(second * SECOND), &|| false).expect("traffic").0;
    let early = of(20);
    assert_eq!((early.from, early.to), (Micros::ZERO, Micros(20 * SECOND)));
    assert!((early.rate_rps() - 8.0).abs() < 2.0, "{}", early.rate_rps());
    let late = of(60);
    assert_eq!((late.from, late.to), (Micros(30 * SECOND), Micros(60 * SECOND)), "after the change of the load");
    // Nothing is offered any more at the end: what counts is the minute before that.
    let end = of(300);
    assert_eq!((end.from, end.to), (Micros(30 * SECOND), Micros(85 * SECOND)));
    assert!((end.rate_rps() - 8.0).abs() < 1.0, "{}", end.rate_rps());
    assert!(traffic(&path, Micros(1), &|| true).is_err());
}

fn unit(second: u64, unit: u16, role: Role, state: UnitState) -> Record {
    let view = UnitView {
        unit: UnitId(unit),
        role,
        state,
        in_state: Micros::ZERO,
        measured: false,
        busy: 0.0,
        queue: 0,
        running: 0,
        handing_off: 0,
        kv_used: 0.0,
        kv_cached: 0.0,
        input_tps: 0.0,
        output_tps: 0.0,
    };
    Record::Unit(UnitRecord::new(Micros(second * SECOND), &view))
}

/// A shift of two units that prefill and two that decode to one and three, from second 30 to 35: its beginning and its end.
fn shift(abandoned: Option<&str>) -> [Record; 2] {
    let at = Micros(30 * SECOND);
    let [from, to] = ["2P2D", "1P3D"].map(|name| name.parse().expect("a split"));
    let begun = ShiftRecord { at, from, to, how: How::Drain, ended: None };
    let (total, abandoned) = (Micros(5 * SECOND), abandoned.map(str::to_owned));
    let end = ShiftEnd { drain: total, total, in_flight: 0, lost: 0, abandoned };
    [Record::Shift(begun.clone()), Record::Shift(ShiftRecord { ended: Some(end), ..begun })]
}

/// The splits that served by second 80 of a recording of `records`, at some stretches of it.
fn served(records: impl IntoIterator<Item = Record>, stretches: [(u64, u64); 4]) -> [Option<String>; 4] {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let run = RunRecord { split: "2P2D".parse().ok(), ..run("http://host:1") };
    let mut recorder = Recorder::create(&path, &run, || Micros::ZERO).expect("a file");
    for record in records {
        recorder.push(&record).expect("written");
    }
    let end = EndRecord {
        at: Micros(90 * SECOND),
        schedule_end: Micros(90 * SECOND),
        requests: Counts::default(),
        client: ClientUse::default(),
        aborted: None,
    };
    recorder.finish(&end).expect("written");
    let eras = traffic(&path, Micros(80 * SECOND), &|| false).expect("traffic").1;
    let name = |(from, to)| eras.split(Micros(from * SECOND), Micros(to * SECOND)).map(|split| split.to_string());
    stretches.map(name)
}

#[test]
fn after_a_shift_that_was_given_up_the_split_is_the_one_that_its_units_were_seen_in() {
    let stretches = [(1, 30), (29, 31), (36, 60), (70, 80)];
    let names = |names: [&str; 4]| names.map(|name| (!name.is_empty()).then(|| name.to_owned()));
    let serving = |second| {
        let roles = [Role::Prefill, Role::Prefill, Role::Decode, Role::Decode];
        (0..).zip(roles).map(move |(id, role)| unit(second, id, role, UnitState::Serving)).collect::<Vec<_>>()
    };
    let drains = || vec![unit(31, 1, Role::Prefill, UnitState::Draining { left: 3 })];
    let (returns, stays) =
        (unit(34, 1, Role::Prefill, UnitState::Serving), unit(34, 1, Role::Decode, UnitState::Serving));
    let [begun, given_up] = shift(Some("it could not be undone"));
    let given_up_with = |last: Vec<Record>| {
        let before = serving(0).into_iter().chain([begun.clone()]).chain(drains());
        served(before.chain(last).collect::<Vec<_>>(), stretches)
    };
    // It was rolled back, and it was not.
    assert_eq!(given_up_with(vec![returns, given_up.clone()]), names(["2P2D", "", "2P2D", "2P2D"]));
    assert_eq!(given_up_with(vec![stays.clone(), given_up.clone()]), names(["2P2D", "", "1P3D", "1P3D"]));
    // Somebody else set it right later.
    let seen = unit(60, 1, Role::Decode, UnitState::Serving);
    let later = vec![stays, given_up.clone(), seen, unit(65, 1, Role::Prefill, UnitState::Serving)];
    assert_eq!(given_up_with(later), names(["2P2D", "", "1P3D", "2P2D"]));
    // Of units nothing is told.
    assert_eq!(served([begun.clone(), given_up], stretches), names(["2P2D", "", "2P2D", "2P2D"]));
    let [_, done] = shift(None);
    assert_eq!(served([begun, done], stretches), names(["2P2D", "", "1P3D", "1P3D"]));
}

#[test]
fn other_splits_are_told_for_the_asked_instant_by_what_was_seen_until_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = recording(folder.path(), Micros::ZERO);
    let ground = Ground::of_recording(&run("cpu"), &Library::new(Vec::new()));
    let mut hindsight = Hindsight::start(path, ground).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut answer = |at: u64, slo: Option<&str>| {
        let slo = slo.map(|slo| slo.parse().expect("an SLO"));
        let ask = PastAsk { at: Micros(at * SECOND), split: "2P2D".parse().expect("a split"), slo };
        hindsight.asks.send_replace(Some(ask));
        runtime.block_on(hindsight.answers.changed()).expect("an answer");
        let (to, outlook) = hindsight.answers.borrow_and_update().clone().expect("an answer");
        assert_eq!(to, ask);
        outlook
    };
    let outlook = answer(80, Some("ttft=500ms,tpot=14ms"));
    let prediction = outlook.prediction.as_ref().expect("a prediction");
    assert_eq!((prediction.at, prediction.window), (Micros(80 * SECOND), Micros(60 * SECOND)));
    let share = |name: &str| prediction.of(name.parse().expect("a split")).expect("a split").attainment.mid;
    assert!(share("2P2D") > 0.9 && share("1P3D") < share("2P2D"), "{prediction:?}");
    assert!(matches!(&prediction.grounds, Grounds::Fitted(fit) if fit.requests > 300), "{:?}", prediction.grounds);
    let early = answer(2, Some("ttft=500ms,tpot=14ms"));
    assert!(early.missing.as_ref().is_some_and(|why| why.starts_with("not enough seen yet")), "{early:?}");
    assert!(answer(80, None).missing.as_ref().is_some_and(|why| why.contains("SLO")));
}

#[test]
fn a_recording_is_told_by_its_profile_where_there_is_one() {
    let library = Library::new(Vec::new());
    let of = |run: &RunRecord| Ground::of_recording(run, &library);
    assert!(
        matches!(of(&run("sim:mi325x-qwen3-235b")), Ground::Profile(cluster) if cluster.name == "mi325x-qwen3-235b")
    );
    assert!(matches!(of(&run("sim:gone")), Ground::Fitted(terms) if terms.assumed.is_some()));
    assert!(matches!(of(&run("cpu")), Ground::Fitted(terms) if terms.assumed.is_none()));
    assert!(matches!(of(&run("http://host:1")), Ground::Requests(terms) if terms.assumed.is_some()));
    assert!(matches!(of(&RunRecord::named("old", "cpu")), Ground::Nothing(why) if why.contains("does not tell")));
}
