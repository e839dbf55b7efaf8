//! The comparison of tokens and logits sees a cache that is wrong: with one wrong block anywhere it fails.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use engine::cluster::{Extent, PlannedSequence, StepPlan, Transfer};
use engine::executor::cpu::CpuExecutor;
use engine::executor::{Executor, ExecutorError, Sampled, StepInput};
use engine::units::RequestId;

use crate::model::{MODELS, Model, roomy};
use crate::world::World;

/// The token that stands for one that does not belong there.
const WRONG_TOKEN: u32 = 3;

/// What is planted, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    /// The hand-off of this request brings its second block where its first belongs.
    WrongBlock(RequestId),
    /// When this request has its third token, the cache holds another token at this position of its prompt.
    WrongPosition(RequestId, u32),
}

/// A unit that corrupts its KV.
struct Corrupting {
    plant: Arc<Mutex<Option<Plant>>>,
    unit: CpuExecutor,
}

impl Corrupting {
    fn take(&self, is_it: impl FnOnce(Plant) -> bool) -> Option<Plant> {
        self.plant.lock().expect("the plant").take_if(|plant| is_it(*plant))
    }
}

impl Executor for Corrupting {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        self.unit.step(input, sampled)?;
        for planned in input.plan.sequences.iter().filter(|planned| planned.output_index == 2) {
            let plant =
                self.take(|plant| matches!(plant, Plant::WrongPosition(request, _) if request == planned.request));
            let Some(Plant::WrongPosition(_, position)) = plant else { continue };
            let wrong = PlannedSequence {
                start: position,
                tokens: 1,
                sample: false,
                table: 0..planned.table.len(),
                ..planned.clone()
            };
            let plan =
                StepPlan { sequences: vec![wrong], extents: input.plan.table(planned).to_vec(), ..StepPlan::new() };
            self.unit
                .step(StepInput { plan: &plan, tokens: &[WRONG_TOKEN], sampling: &input.sampling[..1] }, &mut vec![])?;
        }
        Ok(())
    }

    fn import(&mut self, transfer: &Transfer, piece: Range<u32>) -> Result<(), ExecutorError> {
        if self.take(|plant| plant == Plant::WrongBlock(transfer.request)).is_none() {
            return self.unit.import(transfer, piece);
        }
        let blocks = |extent: &Extent| extent.first..extent.first + extent.blocks;
        let mut source: Vec<u32> = transfer.source.iter().flat_map(blocks).collect();
        source[0] = source[1];
        let source = source.into_iter().map(|first| Extent { first, blocks: 1 }).collect();
        self.unit.import(&Transfer { source, ..transfer.clone() }, piece)
    }
}

/// A world that `plant` waits in.
fn planted(model: &Model, split: &str, plant: Plant) -> (World, Arc<Mutex<Option<Plant>>>) {
    if let Plant::WrongPosition(request, position) = plant {
        assert_ne!(model.requests()[&request].prompt[position as usize], WRONG_TOKEN, "this would corrupt nothing");
    }
    let plant = Arc::new(Mutex::new(Some(plant)));
    let corrupting = |unit| Corrupting { plant: Arc::clone(&plant), unit };
    let units = model.units(split, &roomy()).into_iter().map(corrupting).collect();
    (Model::world_of(split, roomy(), units), plant)
}

/// The requests whose answers differ from the reference, after 8 to 15, which share nothing, ran together.
fn differing(model: &Model, split: &str, plant: Plant) -> Vec<RequestId> {
    let (mut world, left) = planted(model, split, plant);
    model.submit(&mut world, 8..16);
    world.until_over(8..16);
    assert_eq!(*left.lock().expect("the plant"), None, "it was never planted");
    model.differences(&world).into_keys().collect()
}

#[test]
fn one_wrong_block_in_a_hand_off_is_seen_in_its_request_and_in_no_other() {
    for model in &*MODELS {
        for split in ["1P3D", "2P2D", "3P1D"] {
            let request = RequestId(9);
            assert_eq!(differing(model, split, Plant::WrongBlock(request)), [request], "{} {split}", model.name);
        }
    }
}

#[test]
fn one_wrong_position_in_the_cache_is_seen_in_its_request_and_in_no_other() {
    for model in &*MODELS {
        for split in ["4A", "2P2D"] {
            for position in [0, 37, 80] {
                let request = RequestId(11);
                let differing = differing(model, split, Plant::WrongPosition(request, position));
                assert_eq!(differing, [request], "{} {split}, position {position}", model.name);
            }
        }
    }
}

#[test]
fn a_wrong_block_that_others_share_is_seen_in_all_of_them() {
    for model in &*MODELS {
        let (mut world, _) = planted(model, "1A", Plant::WrongPosition(RequestId(0), 20));
        for request in [0, 1, 9] {
            model.submit(&mut world, [request]);
            world.until_over([request]);
        }
        let differing: Vec<RequestId> = model.differences(&world).into_keys().collect();
        assert_eq!(differing, [RequestId(0), RequestId(1)], "{}", model.name);
    }
}
