//! A reader that stops reading stops the engine, and nothing is lost.

use std::cell::RefCell;

use engine::drive::wall::{Observation, SubmitError, WallConfig};
use engine::units::RequestId;

use crate::stage::Cue;
use crate::world::{World, cluster, config, submission, text};

#[test]
fn units_stop_between_steps_until_events_are_read() {
    for (of, units) in [("2A", 2), ("2P2D", 4)] {
        let mut world = World::with(WallConfig { event_limit: 6, ..config(cluster(), of) });
        for request in 0..8 {
            world.submit(request, 40, 60);
        }
        // The intake thread stands still as well, once it has taken one more request than the events allow.
        let stalled = world.until_observed("everybody who has something to do to stand still", |now| {
            let idle = now.units.iter().filter(|unit| unit.figures.running + unit.figures.queue == 0).count();
            now.stalled + idle >= units && now.stalled > 0
        });
        // Nobody is busy who waits for the reader: the figures stand still with the units.
        let busy = |now: &Observation| now.units.iter().map(|unit| unit.busy).collect::<Vec<_>>();
        let before = RefCell::new(Vec::new());
        world.until_observed("nobody to be busy", |now| before.replace(busy(now)) == busy(now));
        let sampled: u64 = stalled.units.iter().map(|unit| unit.output_tokens).sum();
        assert!(sampled < 100, "{sampled} of 480 tokens for 6 events that may wait: {stalled:?}");
        assert!((0..8).all(|request| !world.stage.has_reached(Cue::Token(RequestId(request), 59))));

        world.until_over(0..8);
        world.assert_answered(0..8);
        world.assert_at_rest();
    }
}

#[test]
fn no_request_is_taken_from_the_inbox_until_events_are_read() {
    let mut world = World::with(WallConfig { event_limit: 1, inbox_limit: 4, ..config(cluster(), "1A") });
    world.submit(0, 0, 1);
    // Once the refusal is in the queue, the intake thread takes nothing more; the unit's thread may wait for room too.
    world.until_observed("somebody to stand still", |now| now.stalled > 0);
    for request in 1..5 {
        world.submit(request, 20, 4);
    }
    let one_more = world.handle.submit(submission(5, text(5, 20, 10), 4));
    assert_eq!(one_more, Err(SubmitError::Full));
    world.until_over(0..5);
    world.assert_answered(1..5);
    assert_eq!(world.refusal(0), "a request needs at least one prompt token and one answer token, not 0 and 1");
    world.assert_at_rest();
}
