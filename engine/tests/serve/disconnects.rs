//! A thousand clients that go away at any moment, while units change their roles.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use engine::cluster::{How, UnitState};
use engine::model::counter;

use crate::client::{completion, connect, is_served};
use crate::world::World;

const CLIENTS: u64 = 1000;
const SEED: u64 = 11;

/// Sends some of a request, reads some of the answer, and is gone.
fn come_and_go(world: &World, number: u64) {
    let draw = |purpose: u64, below: u64| counter::value(counter::stream(SEED, number), purpose) % below;
    let request = completion(1 + draw(0, 300) as u32, draw(1, 2) == 0);
    let mut stream = connect(world.address);
    let sent = if draw(2, 8) == 0 { draw(3, request.len() as u64) as usize } else { request.len() };
    stream.write_all(&request.as_bytes()[..sent]).expect("sent");
    if sent == request.len() {
        let mut read = vec![0; draw(4, 20_000) as usize];
        let mut at = 0;
        // An answer may be shorter; reading on would only wait for the connection to be closed as idle.
        while at < read.len() && !read[..at].ends_with(b"\r\n\r\n") {
            match stream.read(&mut read[at..]) {
                Ok(more) if more > 0 => at += more,
                _ => break,
            }
            if draw(5 + at as u64, 4) == 0 {
                break;
            }
        }
    }
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let world = World::new();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let shifts = scope.spawn(|| {
            let mut asked = 0_u64;
            while !over.load(Ordering::Relaxed) {
                let to = ["1P3D", "3P1D", "2P2D", "4A"][counter::value(SEED, asked) as usize % 4];
                let how = if asked.is_multiple_of(2) { How::Drain } else { How::Migrate };
                if world.hub.observe().waiting_shifts.is_empty() {
                    world.hub.shift(to.parse().expect("a split"), how).expect("a shift of these units");
                    asked += 1;
                }
                std::thread::yield_now();
            }
        });
        let clients: Vec<_> = (0..4)
            .map(|part| {
                let world = &world;
                scope.spawn(move || (0..CLIENTS / 4).for_each(|index| come_and_go(world, part * CLIENTS / 4 + index)))
            })
            .collect();
        for client in clients {
            client.join().expect("a client");
        }
        over.store(true, Ordering::Relaxed);
        shifts.join().expect("the shifts");
    });
    // A server that still answers, and nothing held by anyone.
    assert!(is_served(world.address));
    world.idle();
    world.eventually("the units have settled", |world| {
        let now = world.hub.observe();
        now.waiting_shifts.is_empty() && now.units.iter().all(|unit| unit.figures.state == UnitState::Serving)
    });
    let now = world.hub.observe();
    assert_eq!(now.in_flight, 0);
    for unit in &now.units {
        let figures = unit.figures;
        let holds = (figures.queue, figures.running, figures.handing_off, figures.incoming, figures.held);
        assert_eq!(holds, (0, 0, 0, 0, 0), "{figures:?}");
    }
    world.eventually("only the server's own task is left", |world| world.runtime.metrics().num_alive_tasks() == 1);
    let counts = world.hub.counts();
    let ended = counts.stopped + counts.full_length + counts.abandoned + counts.overrun + counts.failed;
    assert_eq!(ended, counts.admitted, "{counts:?}");
    assert!(counts.abandoned > 0 && counts.full_length > 0 && counts.shifts_converged > 0, "{counts:?}");
}
