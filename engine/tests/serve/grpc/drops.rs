//! Clients that go away.

use engine::cluster::How;
use engine::model::counter;
use engine::remote::{RemoteConfig, RemoteEngine};
use engine::units::Split;

use super::world::{World, greedy, split};

const SEED: u64 = 23;

#[test]
fn a_dropped_answer_is_cancelled_in_the_engine() {
    let world = World::new();
    let engine = world.connect();
    world.run(async {
        let mut answer = engine.generate(&greedy(&[1; 100], 3900)).await.expect("room");
        answer.next().await.expect("an event").expect("tokens");
    });
    world.assert_at_rest();
    assert_eq!((world.hub.counts().abandoned, world.hub.counts().full_length), (1, 0));
    // Before its first token, too.
    world.gate.close();
    drop(world.run(engine.generate(&greedy(&[2; 100], 3900))).expect("room"));
    world.eventually("it is abandoned", |world| world.hub.counts().abandoned == 2);
    world.gate.open();
    world.assert_at_rest();
}

#[test]
fn a_connection_that_goes_takes_its_requests_along() {
    let world = World::new();
    world.gate.close();
    let engine = world.connect();
    let answers: Vec<_> =
        (0..5).map(|index| world.run(engine.generate(&greedy(&[index], 900))).expect("room")).collect();
    assert_eq!(world.hub.in_flight(), 5);
    drop((answers, engine));
    world.eventually("all are abandoned", |world| world.hub.counts().abandoned == 5);
    world.gate.open();
    world.assert_at_rest();
}

/// Asks for an answer, reads some of it, and is gone.
async fn come_and_go(engine: RemoteEngine, number: u64) {
    let draw = |purpose: u64, below: u64| counter::value(counter::stream(SEED, number), purpose) % below;
    let generation = greedy(&vec![draw(0, 200) as u32; 1 + draw(1, 300) as usize], 1 + draw(2, 400) as u32);
    let mut call = Box::pin(engine.generate(&generation));
    let mut answer = if draw(3, 4) == 0 {
        // Gone before the server has said anything, at whatever point that is.
        tokio::select! {
            biased;
            answer = &mut call => answer.expect("room"),
            () = tokio::task::yield_now() => return,
        }
    } else {
        call.await.expect("room")
    };
    for _ in 0..draw(4, 60) {
        match answer.next().await {
            Some(event) => drop(event.expect("no error")),
            None => return,
        }
    }
}

#[test]
fn two_hundred_drops_while_units_change_their_roles_leave_nothing_behind() {
    let world = World::new();
    let engine = world.connect_with(RemoteConfig { connections: 2, ..RemoteConfig::default() }).expect("connections");
    world.run(async {
        let tasks: Vec<_> = (0..200).map(|number| tokio::spawn(come_and_go(engine.clone(), number))).collect();
        for asked in 0..40_u64 {
            let to: Split = split(["1P3D", "3P1D", "2P2D", "4A"][counter::value(SEED, asked) as usize % 4]);
            let how = if asked.is_multiple_of(2) { How::Drain } else { How::Migrate };
            engine.shift(to, how, None).await.expect("a shift of these units");
        }
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    world.assert_at_rest();
    world.eventually("all shifts were told", |world| world.hub.counts().shifts_converged == 40);
    let counts = world.hub.counts();
    assert!(counts.abandoned > 0 && counts.full_length > 0, "{counts:?}");
    assert_eq!(world.run(engine.topology()).expect("a topology").observed.in_flight, 0);
}
