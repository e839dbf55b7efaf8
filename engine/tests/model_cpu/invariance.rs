//! How work was batched, chunked or moved between units never changes a token or a bit of the logits.

use std::sync::{Arc, LazyLock};

use crate::checkpoint;
use crate::steps::{BLOCK, Work, blocks, extend, generate, prompt, step};
use engine::cluster::{Extent, Transfer, TransferId};
use engine::executor::cpu::{CpuExecutor, CpuModel, KvDtype, executors};
use engine::executor::{Executor, Sampled, Sampling};
use engine::model::ModelSource;
use engine::units::{RequestId, UnitId};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

/// The built-in model (eight-bit weights) and a small random checkpoint (single precision).
static MODELS: LazyLock<[(Arc<CpuModel>, KvDtype); 2]> = LazyLock::new(|| {
    let builtin = CpuModel::load(&ModelSource::Builtin { seed: 5 }).expect("the built-in model");
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(folder.path(), 11);
    let small = CpuModel::load(&ModelSource::Folder(folder.path().to_owned())).expect("the small checkpoint");
    [(builtin, KvDtype::F16), (small, KvDtype::F32)]
});

fn units(model: &(Arc<CpuModel>, KvDtype), count: u16) -> Vec<CpuExecutor> {
    executors(&model.0, count, 64, BLOCK, model.1).expect("executors")
}

fn vocab(model: &(Arc<CpuModel>, KvDtype)) -> u32 {
    model.0.config().vocab as u32
}

const ANSWER: usize = 6;

/// What every other way of computing is compared with: the whole prompt in one step, then one token a step, alone.
fn alone(model: &(Arc<CpuModel>, KvDtype), prompt: &[u32]) -> Vec<Sampled> {
    generate(&mut units(model, 1)[0], prompt, &[], ANSWER, &blocks(0, 8))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_of_a_prompt_gives_the_same_bits(seed in any::<u64>(), length in 2usize..90, cuts in any::<u32>()) {
        let model = &MODELS[1];
        let prompt = prompt(seed, length, vocab(model));
        let ends: Vec<usize> = (1..length).filter(|i| cuts.rotate_left(*i as u32 * 7).is_multiple_of(5)).collect();
        let chunked = generate(&mut units(model, 1)[0], &prompt, &ends, ANSWER, &blocks(3, 8));
        prop_assert_eq!(chunked, alone(model, &prompt));
    }
}

#[test]
fn chunks_of_every_alignment_agree_for_both_number_formats() {
    for model in &*MODELS {
        let prompt = prompt(1, 75, vocab(model));
        let whole = alone(model, &prompt);
        for ends in [&[1][..], &[16], &[15, 16, 17], &[33, 74], &[20, 40, 60]] {
            assert_eq!(generate(&mut units(model, 1)[0], &prompt, ends, ANSWER, &blocks(1, 8)), whole, "{ends:?}");
        }
        let one_by_one: Vec<usize> = (1..75).collect();
        assert_eq!(generate(&mut units(model, 1)[0], &prompt, &one_by_one, ANSWER, &blocks(1, 8)), whole);
    }
}

#[test]
fn a_sequence_in_a_mixed_batch_gives_the_bits_it_gives_alone() {
    for model in &*MODELS {
        let prompts: Vec<Vec<u32>> =
            [3, 40, 17, 64, 1].iter().enumerate().map(|(i, &n)| prompt(i as u64, n, vocab(model))).collect();
        let expected: Vec<_> = prompts.iter().map(|prompt| alone(model, prompt)).collect();
        // Scattered tables: the second half of each sequence's blocks lies before its first half.
        let tables: Vec<Vec<Extent>> =
            (0..5).map(|i| vec![Extent { first: 30 + 3 * i, blocks: 3 }, Extent { first: 3 * i, blocks: 3 }]).collect();
        let mut unit = units(model, 1).remove(0);
        let mut texts = prompts.clone();
        let mut found: Vec<Vec<Sampled>> = vec![Vec::new(); 5];

        // A sequence joins in each of the first steps, its prompt beside the others' decoding; number 3 comes in two chunks.
        for time in 0..ANSWER + 6 {
            let mut work = Vec::new();
            let mut sampling = Vec::new();
            for i in 0..5 {
                if i > time || found[i].len() == ANSWER {
                    continue;
                }
                let start = if found[i].is_empty() { 0 } else { texts[i].len() - 1 };
                let all = Work::new(&texts[i], start, &tables[i]);
                match (i, time) {
                    (3, 3) => work.push(Work { tokens: &texts[i][..37], ..all }.unsampled()),
                    (3, 4) => {
                        work.push(Work { start: 37, ..all });
                        sampling.push(i);
                    }
                    _ => {
                        work.push(all);
                        sampling.push(i);
                    }
                }
            }
            let sampled = step(&mut unit, &work);
            assert_eq!(sampled.len(), sampling.len());
            for (i, sampled) in sampling.into_iter().zip(sampled) {
                texts[i].push(sampled.token);
                found[i].push(sampled);
            }
        }
        assert_eq!(found, expected);
    }
}

fn hand_off(blocks: u32) -> Transfer {
    let half = blocks / 2;
    Transfer {
        id: TransferId(1),
        request: RequestId(0),
        from: UnitId(0),
        to: UnitId(1),
        blocks,
        source: vec![Extent { first: 2, blocks }],
        destination: vec![Extent { first: 20, blocks: half }, Extent { first: 7, blocks: blocks - half }],
        tokens: blocks * BLOCK,
    }
}

#[test]
fn decoding_after_an_import_gives_the_bits_of_the_unit_that_computed_the_prompt() {
    for model in &*MODELS {
        let prompt = prompt(9, 70, vocab(model));
        let mut units = units(model, 2);
        let first = generate(&mut units[0], &prompt, &[32], 1, &blocks(2, 5));
        let transfer = hand_off(5);
        for piece in [0..2, 2..3, 3..5] {
            units[1].import(&transfer, piece).expect("an import");
        }
        let after = extend(&mut units[1], &prompt, first, ANSWER, &transfer.destination);
        assert_eq!(after, alone(model, &prompt));
    }
}

#[test]
fn a_piece_that_was_never_imported_makes_the_comparison_fail() {
    for model in &*MODELS {
        let prompt = prompt(9, 70, vocab(model));
        let mut units = units(model, 2);
        let first = generate(&mut units[0], &prompt, &[], 1, &blocks(2, 5));
        let transfer = hand_off(5);
        units[1].import(&transfer, 0..3).expect("an import");
        units[1].import(&transfer, 4..5).expect("an import");
        let after = extend(&mut units[1], &prompt, first, ANSWER, &transfer.destination);
        assert_ne!(after, alone(model, &prompt), "block 3 is missing");
    }
}

#[test]
fn one_foreign_token_in_a_cached_block_changes_the_digest() {
    for model in &*MODELS {
        let prompt = prompt(9, 70, vocab(model));
        let mut unit = units(model, 1).remove(0);
        let table = blocks(0, 8);
        generate(&mut unit, &prompt, &[], 1, &table);
        // Position 5 is computed again with another token: what a block written by the wrong sequence would hold.
        let mut foreign = prompt[..6].to_vec();
        foreign[5] = (foreign[5] + 1) % vocab(model);
        step(&mut unit, &[Work::new(&foreign, 5, &table).unsampled()]);
        let again = step(&mut unit, &[Work::new(&prompt, 69, &table)]);
        assert_ne!(again[0].logits_digest, alone(model, &prompt)[0].logits_digest);
    }
}

#[test]
fn sequences_that_share_prefix_blocks_give_the_bits_they_give_alone() {
    for model in &*MODELS {
        let shared = prompt(3, 48, vocab(model));
        let mut unit = units(model, 1).remove(0);
        step(&mut unit, &[Work::new(&shared, 0, &blocks(4, 3)).unsampled()]);
        let whole: Vec<Vec<u32>> =
            (0..3).map(|i| [shared.clone(), prompt(100 + i, 9 + i as usize, vocab(model))].concat()).collect();
        let tables: Vec<Vec<Extent>> =
            (0..3).map(|i| vec![Extent { first: 4, blocks: 3 }, Extent { first: 10 + 2 * i, blocks: 2 }]).collect();
        let work: Vec<Work<'_>> = whole.iter().zip(&tables).map(|(text, table)| Work::new(text, 48, table)).collect();
        let together = step(&mut unit, &work);
        for ((text, table), first) in whole.iter().zip(&tables).zip(together) {
            assert_eq!(extend(&mut unit, text, vec![first], ANSWER, table), alone(model, text));
        }
    }
}

#[test]
fn sampling_depends_on_seed_and_index_and_not_on_the_batch() {
    let model = &MODELS[1];
    let prompts: Vec<Vec<u32>> = (0..4).map(|i| prompt(i, 20, vocab(model))).collect();
    let tables: Vec<Vec<Extent>> = (0..4).map(|i| blocks(4 * i, 4)).collect();
    let work = |i: usize, seed: u64| Work {
        sampling: Sampling::TopP { temperature: 1.5, top_p: 0.98, seed },
        output_index: i as u32,
        ..Work::new(&prompts[i], 0, &tables[i])
    };
    let mut unit = units(model, 1).remove(0);
    let together = step(&mut unit, &[work(0, 7), work(1, 7), work(2, 7), work(3, 7)]);
    let apart: Vec<Sampled> = (0..4).flat_map(|i| step(&mut unit, &[work(i, 7)])).collect();
    assert_eq!(together, apart);
    let other_seeds = (8..24).map(|seed| step(&mut unit, &[work(0, seed)])[0].token);
    assert!(other_seeds.into_iter().any(|token| token != together[0].token), "the seed decides");
}

#[test]
fn the_built_in_model_does_not_fall_into_repeating_one_token() {
    let model = &MODELS[0];
    for seed in 0..3 {
        let prompt = prompt(seed, 40, 256);
        let answer = generate(&mut units(model, 1)[0], &prompt, &[], 48, &blocks(0, 8));
        let distinct: std::collections::BTreeSet<u32> = answer.iter().map(|s| s.token).collect();
        assert!(distinct.len() >= 24, "{} distinct tokens of 48", distinct.len());
    }
}

#[test]
fn a_step_that_cannot_be_computed_says_why() {
    use engine::cluster::{PlannedSequence, StepPlan};
    use engine::executor::StepInput;
    let model = &MODELS[1];
    let mut unit = units(model, 1).remove(0);
    let mut try_step = |tokens: &[u32], start: u32, extents: Vec<Extent>| {
        let sequence = PlannedSequence {
            request: RequestId(1),
            start,
            tokens: 2,
            sample: true,
            output_index: 0,
            table: 0..extents.len(),
        };
        let plan = StepPlan { sequences: vec![sequence], extents, ..StepPlan::new() };
        let input = StepInput { plan: &plan, tokens, sampling: &[Sampling::Greedy] };
        unit.step(input, &mut Vec::new()).expect_err("refused").to_string()
    };
    assert!(try_step(&[1], 0, blocks(0, 1)).contains("1 tokens"), "too few tokens");
    assert!(try_step(&[1, 160], 0, blocks(0, 1)).contains("token 160 is outside"), "unknown token");
    assert!(try_step(&[1, 2], 511, blocks(0, 40)).contains("beyond the model's context of 512"), "too long");
    assert!(try_step(&[1, 2], 15, blocks(0, 1)).contains("block table"), "short table");
    assert!(try_step(&[1, 2], 0, blocks(64, 1)).contains("block 64"), "no such block");
    assert!(unit.import(&Transfer { from: UnitId(3), ..hand_off(1) }, 0..1).is_err(), "no such unit");
}
