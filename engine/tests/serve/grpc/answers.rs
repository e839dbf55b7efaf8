//! Answers are what the hub itself would have given.

use std::sync::Arc;

use engine::cluster::FinishReason;
use engine::executor::Sampling;
use engine::model::counter;
use engine::remote::RemoteConfig;
use engine::serve::hub::{End, Generation, Part, Token};
use engine::units::Nanos;

use super::world::{World, greedy, read};
use crate::world::{CONTEXT, MODEL, VOCABULARY};

/// Generation number `index` of a seeded lot.
fn drawn(index: u64) -> Generation {
    let draw = |purpose: u64, below: u64| counter::value(counter::stream(5, index), purpose) % below;
    let prompt: Vec<_> = (0..=draw(0, 90)).map(|at| draw(100 + at, 256) as u32).collect();
    let sampling = match draw(1, 2) {
        0 => Sampling::Greedy,
        _ => Sampling::TopP { temperature: 0.7, top_p: 0.9, seed: draw(2, 1 << 40) },
    };
    let stop: &[u32] = if draw(3, 3) == 0 { &[b'q' as u32, b'x' as u32] } else { &[] };
    Generation {
        prompt: prompt.into(),
        output_tokens: 1 + draw(4, 60) as u32,
        sampling,
        stop: stop.into(),
        logprobs: None,
    }
}

/// Without what differs between two runs: when it came.
fn content(tokens: &[Token]) -> Vec<(u32, u64)> {
    tokens.iter().map(|token| (token.token, token.logits_digest)).collect()
}

#[test]
fn answers_are_the_hubs_to_the_digest() {
    let world = World::new();
    let engine = world.connect_with(RemoteConfig { connections: 3, ..RemoteConfig::default() }).expect("connections");
    world.run(async {
        let tasks: Vec<_> = (0..60)
            .map(|index| {
                let engine = engine.clone();
                tokio::spawn(async move { read(engine.generate(&drawn(index)).await.expect("room")).await })
            })
            .collect();
        for (index, task) in (0..).zip(tasks) {
            let (tokens, finished) = task.await.expect("no panic");
            let finished = finished.expect("an end");
            let mut own = world.hub.generate(vec![drawn(index)]).expect("room").pop().expect("an answer");
            let mut expected = Vec::new();
            let end = loop {
                match own.next().await.expect("an end") {
                    Part::Token(token) => expected.push(token),
                    Part::End(End::Finished(end)) => break end,
                    Part::End(other) => panic!("{other:?}"),
                }
            };
            assert_eq!(content(&tokens), content(&expected), "{index}");
            assert_eq!((finished.reason, finished.output_tokens), (end.reason, end.output_tokens));
            assert_eq!(finished.output_tokens as usize, tokens.len());
        }
    });
    let counts = world.hub.counts();
    assert!(counts.stopped > 0 && counts.full_length > 0, "{counts:?}");
    world.assert_at_rest();
}

#[test]
fn an_answer_tells_where_and_when_everything_happened() {
    let world = World::new();
    let engine = world.connect();
    let prompt = [7; 100];
    let before = world.run(engine.topology()).expect("a topology");
    let answered = || {
        let (tokens, finished) =
            world.run(async { read(engine.generate(&greedy(&prompt, 9)).await.expect("room")).await });
        (tokens, finished.expect("an end"))
    };
    let (tokens, finished) = answered();
    let after = world.run(engine.topology()).expect("a topology");
    assert_eq!((finished.reason, finished.output_tokens, finished.preemptions), (FinishReason::Length, 9, 0));
    assert_eq!((finished.prefix_queried, finished.prefix_hit), (100, 0));
    let roles = [finished.prefill_unit, finished.decode_unit].map(|unit| {
        let unit = unit.expect("a unit that worked on it");
        after.observed.units[unit.index()].figures.role.letter()
    });
    assert_eq!(roles, ['P', 'D']);
    // On one clock, in this order.
    let stages = finished.stages;
    let mut instants = vec![before.observed.at, stages.arrived];
    instants.extend(
        [stages.prefill_start, stages.prefill_end, stages.handoff_start, stages.handoff_end].map(Option::unwrap),
    );
    assert!(stages.decode_start >= stages.handoff_end);
    instants.extend(tokens.iter().map(|token| token.at));
    instants.push(after.observed.at);
    assert!(instants.is_sorted(), "{instants:?}");
    assert!(instants[0] > Nanos::ZERO);
    // The second time, the whole blocks of the prompt are there; at least its last token is computed.
    let (_, again) = answered();
    assert_eq!((again.prefix_queried, again.prefix_hit), (100, 96));
}

#[test]
fn a_stop_token_ends_an_answer_and_no_other_does() {
    let world = World::new();
    let engine = world.connect();
    let answered = |stop: &[u32]| {
        let generation = Generation { stop: stop.into(), ..greedy(&[1], 40) };
        let (tokens, finished) = world.run(async { read(engine.generate(&generation).await.expect("room")).await });
        (tokens.len(), finished.expect("an end").reason)
    };
    assert_eq!(answered(&[b'e' as u32]), (5, FinishReason::Stop));
    // The letter z is what ends answers of this model where that is asked for.
    assert_eq!(answered(&[]), (40, FinishReason::Length));
}

#[test]
fn the_topology_is_the_hubs() {
    let world = World::new();
    let engine = world.connect();
    world.run(async { read(engine.generate(&greedy(&[3; 50], 5)).await.expect("room")).await.1.expect("an end") });
    world.assert_at_rest();
    let mut told = world.run(engine.topology()).expect("a topology");
    assert_eq!(told.model, MODEL);
    let limits = told.limits;
    assert_eq!((limits.context_tokens, limits.kv_tokens, limits.vocabulary), (CONTEXT, 1024 * 16, VOCABULARY));
    let own = world.hub.observe();
    told.observed.at = own.at;
    assert_eq!(told.observed, own);
    assert_eq!(told.observed.split.to_string(), "2P2D");
}

#[test]
fn the_load_counts_every_outcome() {
    let world = World::new();
    let engine = world.connect();
    world.run(async {
        for tokens in [3, 5] {
            read(engine.generate(&greedy(&[1; 10], tokens)).await.expect("room")).await.1.expect("an end");
        }
        let stopped = Generation { stop: Arc::new([b'b' as u32]), ..greedy(&[1; 10], 9) };
        read(engine.generate(&stopped).await.expect("room")).await.1.expect("an end");
    });
    world.gate.close();
    let held = world.run(engine.generate(&greedy(&[1; 10], 9))).expect("room");
    let during = world.run(engine.load()).expect("a load");
    assert_eq!((during.in_flight, during.admitted, during.ended()), (1, 4, 3));
    drop(held);
    world.eventually("it is abandoned", |world| world.hub.counts().abandoned == 1);
    world.gate.open();
    world.assert_at_rest();
    let after = world.run(engine.load()).expect("a load");
    let outcomes = (after.stopped, after.full_length, after.abandoned, after.overrun, after.failed);
    assert_eq!((outcomes, after.in_flight, after.waiting), ((1, 2, 1, 0, 0), 0, 0));
    assert_eq!(after.input_tokens, 40);
    assert!(after.output_tokens >= 10, "{after:?}");
    let rates = after.rates.expect("there were looks before");
    assert!(rates.over > Nanos::ZERO && rates.ended >= 0.0 && rates.output_tokens > 0.0, "{rates:?}");
}
