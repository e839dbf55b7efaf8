//! An executor whose KV is real and whose model is a hash: a token follows from everything that is in the cache before it,
//! so a block that is missing, stale or somebody else's changes every token after it.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use engine::cluster::{Extent, Transfer};
use engine::executor::{Executor, ExecutorError, Sampled, StepInput};
use engine::model::counter;

/// Positions in a block.
pub(crate) const BLOCK: u32 = 4;
/// Token ids.
pub(crate) const VOCABULARY: u32 = 1000;

fn mix(value: u64) -> u64 {
    counter::value(value, 0)
}

/// What a sequence amounts to so far.
#[derive(Clone, Copy)]
struct State(u64);

impl State {
    const START: Self = Self(0x243F_6A88_85A3_08D3);

    /// The cache entry of the next token.
    fn entry(self, token: u32) -> u64 {
        mix(self.0 ^ u64::from(token))
    }

    fn after(self, entry: u64) -> Self {
        Self(mix(self.0.rotate_left(7) ^ entry))
    }

    fn sampled(self) -> Sampled {
        Sampled { token: (self.0 % u64::from(VOCABULARY)) as u32, logits_digest: self.0 }
    }
}

/// The answer to a prompt, whoever computes it.
pub(crate) fn answer(prompt: &[u32], tokens: u32) -> Vec<Sampled> {
    let mut state = State::START;
    for &token in prompt {
        state = state.after(state.entry(token));
    }
    let mut answer = Vec::new();
    for _ in 0..tokens {
        let sampled = state.sampled();
        answer.push(sampled);
        state = state.after(state.entry(sampled.token));
    }
    answer
}

/// The cache of one unit, an entry a position.
type Memory = Arc<Mutex<Vec<u64>>>;

/// One unit.
pub(crate) struct Hashed {
    memory: Memory,
    /// Those of all units, by unit.
    peers: Arc<[Memory]>,
    /// Held as long as the executor lives.
    _life: Arc<()>,
}

/// The executors of a cluster of `units` units with `blocks` blocks each. `life` is shared by all that are alive.
pub(crate) fn executors(units: u16, blocks: u32, life: &Arc<()>) -> Vec<Hashed> {
    let garbage = |unit: u16| (0..blocks * BLOCK).map(|at| mix(u64::from(unit) << 32 | u64::from(at))).collect();
    let peers: Arc<[Memory]> = (0..units).map(|unit| Arc::new(Mutex::new(garbage(unit)))).collect();
    let executor =
        |memory: &Memory| Hashed { memory: Arc::clone(memory), peers: Arc::clone(&peers), _life: Arc::clone(life) };
    peers.iter().map(executor).collect()
}

/// Where the positions of a block table lie in memory.
fn places(extents: &[Extent]) -> Vec<usize> {
    let positions = |extent: &Extent| extent.first * BLOCK..(extent.first + extent.blocks) * BLOCK;
    extents.iter().flat_map(positions).map(|place| place as usize).collect()
}

impl Executor for Hashed {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        let mut memory = self.memory.lock().expect("a unit's memory");
        let mut tokens = input.tokens.iter();
        for planned in &input.plan.sequences {
            let places = places(input.plan.table(planned));
            let (known, new) = places.split_at(planned.start as usize);
            let mut state = known.iter().fold(State::START, |state, &place| state.after(memory[place]));
            for (&place, &token) in new.iter().zip(tokens.by_ref().take(planned.tokens as usize)) {
                memory[place] = state.entry(token);
                state = state.after(memory[place]);
            }
            if planned.sample {
                sampled.push(state.sampled());
            }
        }
        Ok(())
    }

    fn import(&mut self, transfer: &Transfer, piece: Range<u32>) -> Result<(), ExecutorError> {
        let piece = (piece.start * BLOCK) as usize..(piece.end * BLOCK) as usize;
        let (from, to) = (places(&transfer.source), places(&transfer.destination));
        let source = self.peers[transfer.from.index()].lock().expect("the source's memory");
        let entries: Vec<u64> = from[piece.clone()].iter().map(|&place| source[place]).collect();
        drop(source);
        let mut memory = self.memory.lock().expect("a unit's memory");
        for (&place, entry) in to[piece].iter().zip(entries) {
            memory[place] = entry;
        }
        Ok(())
    }

    fn vocabulary(&self) -> u32 {
        VOCABULARY
    }
}
