//! Where and how a request is computed never changes a token or a bit of the logits it was chosen from.

use std::ops::Range;

use engine::cluster::{ClusterConfig, FinishReason, How, Notice, UnitState};
use engine::drive::wall::{EngineEvent, UnitObservation};
use engine::units::{RequestId, Role, UnitId};

use crate::model::{BLOCK, CHUNK, CROWD, MIXED, MODELS, Model, roomy};
use crate::stage::Cue;
use crate::world::{World, is_token, split};

const SPLITS: [&str; 4] = ["4A", "1P3D", "2P2D", "3P1D"];

/// All that was asked has ended as it should, with the tokens and logits of the reference.
fn assert_same(model: &Model, world: &mut World, case: &str) {
    let asked: Vec<u64> = world.asked.keys().map(|request| request.0).collect();
    world.until_over(asked.iter().copied());
    for &request in &asked {
        assert_eq!(world.finished(request).reason, FinishReason::Length, "{}, {case}, request {request}", model.name);
    }
    let differences = model.differences(world);
    assert!(differences.is_empty(), "{}, {case}: {differences:?}", model.name);
    assert!(world.lost().is_empty());
    world.assert_at_rest();
}

fn preemptions(world: &World) -> u32 {
    world.asked.keys().map(|request| world.finished(request.0).preemptions).sum()
}

#[test]
fn for_every_split_with_chunked_prompts_and_shared_prefixes() {
    for model in &*MODELS {
        for of in SPLITS {
            let mut world = model.world(of, roomy());
            // Two of each family one after the other, so that the second finds the blocks of the first.
            for request in [0, 4, 1, 5] {
                model.submit(&mut world, [request]);
                world.until_over([request]);
            }
            model.submit(&mut world, MIXED.filter(|request| ![0, 4, 1, 5].contains(request)));
            assert_same(model, &mut world, of);

            let hit = |request| world.finished(request).prefix_hit;
            assert_eq!((hit(0), hit(1), hit(4), hit(5)), (0, 3 * BLOCK, 0, 5 * BLOCK), "{of}");
            let mut chunked = 0;
            for (&request, asked) in &world.asked {
                let finished = world.finished(request.0);
                let computed = asked.prompt.len() as u32 - finished.prefix_hit;
                let steps = world.stage.prompt_steps(request);
                assert!(steps >= computed.div_ceil(CHUNK), "{of}: {computed} tokens of {request:?} in {steps} steps");
                chunked += u32::from(steps > 1);
                let roles: Vec<Role> = split(of).roles().collect();
                let role = |unit: Option<UnitId>| roles[unit.expect("a unit").index()];
                assert!(role(finished.prefill_unit).can_prefill() && role(finished.decode_unit).can_decode(), "{of}");
                let moves = world.stage.hand_offs(request).len();
                assert_eq!(moves, usize::from(of != "4A"), "{of}: {request:?} was handed over {moves} times");
            }
            assert!(chunked >= 8, "{of}: {chunked} prompts were chunked");
            assert_eq!(preemptions(&world), 0, "{of}");
        }
    }
}

/// Requests that share nothing, one for each unit at most.
const LONERS: Range<u64> = 8..12;

/// A world in which every unit has a request under way that it cannot get on with: units that decode one whose third token
/// was seen, the others one whose first token is being computed. Request `LONERS.start + n` is on the n-th unit that decodes.
fn with_something_in_flight_everywhere(model: &Model, of: &str, cluster: ClusterConfig) -> World {
    let mut world = model.world(of, cluster);
    let split = split(of);
    let decoding = LONERS.start + u64::from(split.decode + split.aggregated);
    for request in LONERS.start..decoding {
        world.stage.hold(Cue::Token(RequestId(request), 3));
        model.submit(&mut world, [request]);
        world.until("the third token", |event| is_token(event, request, 2));
    }
    for request in decoding..LONERS.end {
        let first = Cue::Token(RequestId(request), 0);
        world.stage.hold(first);
        model.submit(&mut world, [request]);
        world.stage.reached(first);
    }
    world
}

/// The units that began to drain.
fn movers(world: &World) -> Vec<UnitId> {
    let mover = |event: &EngineEvent| match event {
        EngineEvent::Notice { notice: Notice::Unit { unit, state, .. }, .. } => {
            matches!(state, UnitState::Draining { .. }).then_some(*unit)
        }
        _ => None,
    };
    world.log.iter().filter_map(mover).collect()
}

#[test]
fn across_a_shift_in_mid_stream() {
    let cases =
        [("2P2D", "1P3D"), ("2P2D", "3P1D"), ("1P3D", "3P1D"), ("3P1D", "1P3D"), ("4A", "2P2D"), ("2P2D", "4A")];
    for model in &*MODELS {
        for (from, to) in cases {
            for how in [How::Drain, How::Migrate] {
                let case = format!("{from} to {to}, {how}");
                let mut world = with_something_in_flight_everywhere(model, from, roomy());
                world.handle.shift(split(to), how).expect("a shift");
                model.submit(&mut world, MIXED.filter(|request| !LONERS.contains(request)));
                world.stage.release_all();
                world.until_shifted(1);
                let report = world.shifts().remove(0);
                let movers = movers(&world);
                assert_eq!((report.to, report.abandoned), (split(to), None), "{case}");
                assert!(!movers.is_empty() && report.in_flight as usize >= movers.len(), "{case}: {movers:?}");
                assert_same(model, &mut world, &case);

                let now = world.handle.observe();
                assert_eq!(now.split, split(to), "{case}");
                let decoders = (0..).map(UnitId).zip(split(from).roles()).filter(|(_, role)| role.can_decode());
                for (request, (unit, _)) in LONERS.zip(decoders) {
                    let left = world.stage.hand_offs(RequestId(request)).iter().any(|&(source, _)| source == unit);
                    let decodes_on = now.units[unit.index()].figures.role.can_decode();
                    assert_eq!(left, how == How::Migrate && !decodes_on, "{case}: request {request} on {unit}");
                }
            }
        }
    }
}

#[test]
fn across_one_shift_after_another() {
    let turns = [
        ("1P3D", How::Drain),
        ("3P1D", How::Migrate),
        ("4A", How::Migrate),
        ("1P3D", How::Drain),
        ("2P2D", How::Migrate),
    ];
    for model in &*MODELS {
        let mut world = model.world("2P2D", roomy());
        for ((to, how), first) in turns.into_iter().zip((0..).step_by(3)) {
            model.submit(&mut world, first..first + 3);
            world.until("a token of the new requests", |event| is_token(event, first + 2, 1));
            world.handle.shift(split(to), how).expect("a shift");
        }
        model.submit(&mut world, [15]);
        assert_same(model, &mut world, "five shifts");
        world.until_shifted(turns.len());
        let ended = world.shifts().into_iter().map(|report| (report.to, report.abandoned));
        assert_eq!(ended.collect::<Vec<_>>(), turns.map(|(to, _)| (split(to), None)));
    }
}

/// Twelve blocks a unit: four of the crowd fill them, and none of these can be finished without a block more.
fn cramped() -> ClusterConfig {
    ClusterConfig { blocks_per_unit: 12, watermark_permille: 0, ..roomy() }
}

/// A world in which the units that decode have as many of the crowd as they can hold, and stand still.
fn crowded(model: &Model, of: &str) -> World {
    let mut world = model.world(of, cramped());
    let split = split(of);
    let decoding = CROWD.start + u64::from(split.decode + split.aggregated);
    for request in CROWD.start..decoding {
        let cue = Cue::Token(RequestId(request), 3);
        world.stage.hold(cue);
        model.submit(&mut world, [request]);
        world.stage.reached(cue);
    }
    model.submit(&mut world, decoding..CROWD.end);
    // On units that prefill too, what was not begun waits in the queue.
    let is_full = |unit: &UnitObservation| match unit.figures.role {
        Role::Prefill => true,
        Role::Decode => unit.figures.held >= 10,
        Role::Aggregated => unit.figures.queue >= 3,
    };
    world.until_observed("full units", |now| now.units.iter().all(is_full));
    world
}

fn preempted(world: &World) -> usize {
    let is_one = |event: &&EngineEvent| matches!(event, EngineEvent::Notice { notice: Notice::Preempted { .. }, .. });
    world.log.iter().filter(is_one).count()
}

#[test]
fn when_sequences_lose_their_kv_and_are_computed_anew() {
    for model in &*MODELS {
        for of in ["1A", "4A", "2P2D", "3P1D"] {
            let mut world = crowded(model, of);
            world.stage.release_all();
            assert_same(model, &mut world, of);
            assert!(preempted(&world) > 0 && preemptions(&world) > 0, "{of}: nobody was preempted");
        }
    }
}

#[test]
fn when_units_are_full_and_shift_at_the_same_time() {
    for model in &*MODELS {
        let mut world = crowded(model, "2P2D");
        world.handle.shift(split("1P3D"), How::Drain).expect("a shift");
        world.handle.shift(split("3P1D"), How::Migrate).expect("a shift");
        world.handle.shift(split("4A"), How::Migrate).expect("a shift");
        world.stage.release_all();
        assert_same(model, &mut world, "full and shifting");
        world.until_shifted(3);
        assert!(world.shifts().iter().all(|report| report.abandoned.is_none()), "{:?}", world.shifts());
        assert!(world.shifts()[0].in_flight > 0);
        assert!(preempted(&world) > 0, "nobody was preempted");
    }
}
