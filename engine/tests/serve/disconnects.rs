//! A thousand clients that go away at any moment, while units change their roles.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use engine::cluster::How;
use engine::model::counter;

use crate::client::{completion, connect, is_served};
use crate::world::World;

const DISCONNECTS: u64 = 1000;
const SEED: u64 = 11;

/// Sends some of a request, reads some of the answer, and is gone. `false` when the answer was over before.
fn leaves_midway(world: &World, number: u64) -> bool {
    let draw = |purpose: u64, below: u64| counter::value(counter::stream(SEED, number), purpose) % below;
    let request = completion(1 + draw(0, 300) as u32, draw(1, 2) == 0);
    // So that an answer that is read to its end has one.
    let request = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let mut stream = connect(world.address);
    let sent = if draw(2, 8) == 0 { draw(3, request.len() as u64) as usize } else { request.len() };
    stream.write_all(&request.as_bytes()[..sent]).expect("sent");
    if sent < request.len() {
        return true;
    }
    let most = draw(4, 20_000);
    let mut some = Vec::new();
    // The connection may break while it is read, as far as it is read.
    let read = stream.take(most).read_to_end(&mut some);
    read.is_ok_and(|read| read as u64 == most)
}

/// Clients come until this many have left before their answer was over.
fn leave_midway(world: &World, part: u64, disconnects: u64) {
    let mut numbers = (part << 32)..;
    for _ in 0..disconnects {
        assert!(numbers.by_ref().take(1000).any(|number| leaves_midway(world, number)), "every answer is too short");
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
                    world.hub.shift(to.parse().expect("a split"), how, None).expect("a shift of these units");
                    asked += 1;
                }
                std::thread::yield_now();
            }
        });
        let clients: Vec<_> = (0..4)
            .map(|part| {
                let world = &world;
                scope.spawn(move || leave_midway(world, part, DISCONNECTS / 4))
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
    world.assert_at_rest();
    world.eventually("only the server's own task is left", |world| world.runtime.metrics().num_alive_tasks() == 1);
    let counts = world.hub.counts();
    assert!(counts.abandoned > 0 && counts.full_length > 0 && counts.shifts_converged > 0, "{counts:?}");
}
