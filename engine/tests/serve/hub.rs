//! The hub without a transport.

use std::sync::Arc;

use engine::cluster::{FinishReason, How, Notice};
use engine::drive::wall::EngineEvent;
use engine::executor::Sampling;
use engine::serve::hub::{Answer, End, Generation, Hub, HubConfig, News, Part, Refusal};
use tokio::runtime::{Builder, Runtime};

use crate::world::{CONTEXT, Gate, POISON, engine, hub_config};

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn hub(split: &str, gate: &Gate, config: HubConfig) -> Hub {
    let (engine, reader) = engine(split, gate);
    Hub::start(engine, reader, config).expect("a hub")
}

fn generation(prompt: &[u32], output_tokens: u32) -> Generation {
    Generation {
        prompt: prompt.into(),
        output_tokens,
        sampling: Sampling::Greedy,
        stop: Arc::default(),
        logprobs: None,
    }
}

fn one(hub: &Hub, prompt: &[u32], tokens: u32) -> Answer {
    hub.generate(vec![generation(prompt, tokens)]).expect("room").pop().expect("an answer")
}

/// The tokens of an answer and its end.
async fn read(mut answer: Answer) -> (Vec<u32>, End) {
    let mut tokens = Vec::new();
    loop {
        match answer.next().await.expect("an end") {
            Part::Token(token) => tokens.push(token.token),
            Part::End(end) => {
                assert_eq!(answer.next().await, None, "nothing comes after the end");
                return (tokens, end);
            }
        }
    }
}

#[test]
fn every_answer_gets_its_own_tokens_in_order() {
    let hub = hub("1P2D", &Gate::default(), hub_config());
    runtime().block_on(async {
        let batch: Vec<_> = (1..50).map(|tokens| generation(&[tokens; 3], tokens)).collect();
        let answers = hub.generate(batch).expect("room");
        for (answer, length) in answers.into_iter().zip(1_u32..) {
            let (tokens, end) = read(answer).await;
            assert_eq!(tokens, (0..length).map(|index| u32::from(b'a') + index % 26).collect::<Vec<_>>());
            assert!(matches!(end, End::Finished(finished) if finished.reason == FinishReason::Length));
        }
        hub.idle().await;
    });
    assert_eq!((hub.counts().full_length, hub.in_flight()), (49, 0));
}

#[test]
fn what_could_never_be_served_is_refused_before_it_costs_anything() {
    let hub = hub("1P1D", &Gate::default(), HubConfig { in_flight_limit: 2, ..hub_config() });
    let refused = |prompt: &[u32], tokens| hub.generate(vec![generation(prompt, tokens)]).expect_err("refused");
    assert_eq!(refused(&[], 1), Refusal::Empty { prompt: 0, output: 1 });
    assert_eq!(refused(&[1], 0), Refusal::Empty { prompt: 1, output: 0 });
    assert_eq!(refused(&[1, 2], CONTEXT - 1), Refusal::TooLong { prompt: 2, output: CONTEXT - 1, context: CONTEXT });
    assert!(matches!(refused(&[1], u32::MAX), Refusal::TooLong { .. }));
    assert_eq!(refused(&[1, 300], 1), Refusal::UnknownToken { token: 300, vocabulary: 300 });
    let three = vec![generation(&[1], 1); 3];
    assert_eq!(hub.generate(three).expect_err("refused"), Refusal::TooMany { asked: 3, limit: 2 });
    let (_, end) = runtime().block_on(read(one(&hub, &[1], 3)));
    assert!(matches!(end, End::Finished(_)), "all units are well");
}

#[test]
fn a_dropped_answer_is_cancelled_wherever_its_request_is() {
    let gate = Gate::default();
    // Nobody is too far behind, however late the drop comes.
    let hub = hub("1P1D", &gate, HubConfig { in_flight_limit: 40, answer_buffer: 4000, ..hub_config() });
    runtime().block_on(async {
        for round in 0..50 {
            gate.close();
            // Some in the inbox, some queued, some in a step.
            let mut answers = hub.generate(vec![generation(&[round; 40], 4000); 40]).expect("room");
            if round % 3 == 0 {
                gate.open();
                let first = answers.first_mut().expect("an answer").next().await;
                assert!(matches!(first, Some(Part::Token(_))));
            }
            drop(answers);
            gate.open();
            hub.idle().await;
            let now = hub.observe();
            assert_eq!(now.in_flight, 0);
        }
    });
    let counts = hub.counts();
    assert_eq!((counts.abandoned, counts.admitted), (2000, 2000));
    assert!(counts.output_tokens < 2000 * 4000 / 10, "{} tokens for nobody", counts.output_tokens);
}

#[test]
fn a_complete_answer_counts_as_stopped_however_far_the_engine_is() {
    let hub = hub("1P1D", &Gate::default(), HubConfig { answer_buffer: 4000, ..hub_config() });
    runtime().block_on(async {
        for tokens in [4000, 50] {
            let mut answer = one(&hub, &[1], tokens);
            let Some(Part::Token(first)) = answer.next().await else { panic!("a token") };
            if tokens == 50 {
                // The engine is done.
                hub.idle().await;
            }
            answer.complete(1, first.at);
            hub.idle().await;
        }
    });
    let counts = hub.counts();
    assert_eq!((counts.admitted, counts.stopped, counts.abandoned, counts.full_length), (2, 2, 0, 0));
}

#[test]
fn who_leaves_before_the_end_has_left_however_far_the_engine_is() {
    let hub = hub("1P1D", &Gate::default(), hub_config());
    runtime().block_on(async {
        let unread = one(&hub, &[1], 50);
        hub.idle().await;
        assert_eq!(hub.counts().full_length, 0, "nobody has come to the end");
        drop(unread);
    });
    let counts = hub.counts();
    assert_eq!((counts.admitted, counts.abandoned, counts.full_length), (1, 1, 0));
}

#[test]
fn a_consumer_that_is_too_far_behind_loses_its_request_alone() {
    let hub = hub("1P1D", &Gate::default(), HubConfig { answer_buffer: 10, ..hub_config() });
    runtime().block_on(async {
        let behind = one(&hub, &[1], 4000);
        // More events than the engine would let wait: it was not stalled.
        hub.idle().await;
        let (tokens, end) = read(behind).await;
        assert_eq!((tokens.len(), end), (10, End::Overrun));
        let (tokens, _) = read(one(&hub, &[2], 5)).await;
        assert_eq!(tokens.len(), 5);
    });
    assert_eq!(hub.counts().overrun, 1);
}

#[test]
fn no_room_is_told_and_nothing_is_submitted() {
    let gate = Gate::default();
    gate.close();
    let hub = hub("1P1D", &gate, HubConfig { in_flight_limit: 3, ..hub_config() });
    let held = hub.generate(vec![generation(&[1], 1); 2]).expect("room");
    let full = hub.generate(vec![generation(&[1], 1); 2]).expect_err("no room");
    assert_eq!(full, Refusal::Full { limit: 3 });
    assert_eq!(hub.in_flight(), 2);
    let third = one(&hub, &[1], 1);
    gate.open();
    runtime().block_on(async {
        for answer in held.into_iter().chain([third]) {
            assert_eq!(read(answer).await.0.len(), 1);
        }
    });
    hub.close();
    assert_eq!(hub.generate(vec![generation(&[1], 1)]).expect_err("closed"), Refusal::Closed);
}

#[test]
fn the_engines_end_ends_every_answer_and_all_news() {
    let gate = Gate::default();
    gate.close();
    let hub = hub("1P1D", &gate, hub_config());
    let mut news = hub.news();
    let answer = one(&hub, &[1], 5);
    // Whoever drops the engine waits for its units.
    let dropped = std::thread::spawn(move || drop(hub));
    gate.open();
    dropped.join().expect("it ends");
    runtime().block_on(async {
        let (tokens, end) = read(answer).await;
        assert!(end == End::Stopped || tokens.len() == 5, "{end:?}");
        while let Some(news) = news.next().await {
            assert!(matches!(news, News::Event(_)));
        }
    });
}

#[test]
fn shifts_and_lost_units_are_news() {
    let hub = hub("2P2D", &Gate::default(), HubConfig { news_buffer: 64, ..hub_config() });
    let mut news = hub.news();
    runtime().block_on(async {
        hub.shift("1P3D".parse().expect("a split"), How::Drain, None).expect("a shift");
        let mut started = false;
        loop {
            match news.next().await.expect("news") {
                News::Event(EngineEvent::Notice { notice: Notice::ShiftStarted { .. }, .. }) => started = true,
                News::Event(EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. }) => {
                    assert!(started && report.abandoned.is_none());
                    break;
                }
                News::Event(_) => {}
                News::Missed(missed) => panic!("missed {missed}"),
            }
        }
        // The only prefill unit that is left breaks: what was there has no unit to go to.
        let (_, end) = read(one(&hub, &[POISON], 5)).await;
        assert!(matches!(end, End::Finished(finished) if finished.reason == FinishReason::NoCapacity));
        while !matches!(news.next().await.expect("news"), News::Event(EngineEvent::UnitLost { .. })) {}
    });
    let counts = hub.counts();
    assert_eq!((counts.shifts_converged, counts.units_lost, counts.failed), (1, 1, 1));
    assert!(hub.shift("9P9D".parse().expect("a split"), How::Drain, None).is_err());
}

#[test]
fn a_reader_of_news_that_is_behind_is_told_how_many_it_missed() {
    let hub = hub("2P2D", &Gate::default(), HubConfig { news_buffer: 2, ..hub_config() });
    let mut slow = hub.news();
    let mut quick = hub.news();
    runtime().block_on(async {
        for to in ["1P3D", "2P2D"] {
            hub.shift(to.parse().expect("a split"), How::Drain, None).expect("a shift");
        }
        while hub.counts().shifts_converged < 2 {
            // Wakes at every event, whether it still gets to see it or not.
            assert!(quick.next().await.is_some());
        }
        assert!(matches!(slow.next().await, Some(News::Missed(missed)) if missed > 0));
        assert!(matches!(slow.next().await, Some(News::Event(_))));
    });
}
