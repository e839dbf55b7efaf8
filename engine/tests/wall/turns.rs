//! What was generated is found again when it comes back as a prompt.

use engine::units::RequestId;

use crate::hashed::{BLOCK, VOCABULARY};
use crate::world::{World, text};

#[test]
fn the_next_turn_finds_the_blocks_of_the_answer_before_it() {
    for (of, hit) in [
        // The last token of an answer is never computed: 41 + 19 positions are.
        ("1A", 60 / BLOCK * BLOCK),
        // A prefill unit has only seen the prompt; what the decode unit has of the answer is not copied again.
        ("1P1D", 41 / BLOCK * BLOCK),
    ] {
        let mut world = World::new(of);
        world.submit(0, 41, 20);
        world.until_over([0]);
        let answer: Vec<u32> = world.answers()[&RequestId(0)].iter().map(|sampled| sampled.token).collect();
        let turn = [&*text(0, 41, VOCABULARY), &answer, &*text(1, 30, VOCABULARY)].concat();
        world.submit_text(1, turn.into(), 20);
        world.until_over([1]);
        world.assert_answered(0..2);
        let finished = world.finished(1);
        assert_eq!((finished.prefix_queried, finished.prefix_hit), (91, hit), "{of}");
        world.assert_at_rest();
    }
}
