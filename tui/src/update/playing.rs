//! A recording is played, and its cursor moved.

use loadgen::time::Micros;

use crate::model::Model;

const SECOND: u64 = 1_000_000;

/// Plays from the cursor on, from the end as from the start; or stops.
pub(super) fn play_or_stop(model: &mut Model) {
    let at_the_end = model.timeline.cursor().is_none();
    let Some(recording) = model.recording_mut() else { return };
    if recording.player.is_playing() {
        return recording.player.pause();
    }
    recording.player.play();
    if at_the_end {
        place(model, Micros::ZERO);
    }
}

/// Time passes. At the end of the run the player stops.
pub(super) fn tick(model: &mut Model, now: Micros) {
    let cursor = model.timeline.cursor();
    let Some(recording) = model.recording_mut() else { return };
    let by = recording.player.tick(now);
    match cursor {
        Some(at) if by > Micros::ZERO => place(model, at + by),
        Some(_) => {}
        None => recording.player.pause(),
    }
}

/// Moves the cursor by seconds, into the past when negative.
pub(super) fn seek(model: &mut Model, seconds: i8) {
    let by = Micros(u64::from(seconds.unsigned_abs()) * SECOND);
    let from = model.timeline.cursor().unwrap_or_else(|| end(model));
    place(model, if seconds < 0 { from.since(by) } else { from + by });
}

/// Puts the cursor at so many tenths of the run.
pub(super) fn tenth(model: &mut Model, tenths: u8) {
    let at = u128::from(end(model).0) * u128::from(tenths.min(10)) / 10;
    place(model, Micros(at as u64));
}

/// Puts the cursor at an instant; at the end there is none, and the figures are those of the whole run.
pub(super) fn place(model: &mut Model, at: Micros) {
    model.scrub(|line, now| line.place(at, now));
}

fn end(model: &Model) -> Micros {
    model.shown().now
}
