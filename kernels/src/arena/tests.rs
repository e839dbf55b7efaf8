//! Copies keep every byte, conflicts are errors, and threads see whole blocks.

use proptest::prelude::*;

use super::*;

const LAYOUT: KvLayout =
    KvLayout { layers: 2, kv_heads: 2, head_dim: 32, block_tokens: 16, blocks: 8, dtype: KvDtype::F16 };
const ROW: usize = 64;

fn arena(layout: KvLayout) -> KvArena {
    KvArena::new(layout).expect("a sound layout")
}

fn run(first: u32, blocks: u32) -> Run {
    Run { first, blocks }
}

/// Numbers that half precision holds exactly.
fn numbers(tokens: usize, seed: usize) -> Vec<f32> {
    (0..tokens * ROW).map(|i| ((i * 7 + seed * 13) % 1000) as f32).collect()
}

fn bytes(arena: &KvArena, block: u32) -> Vec<u8> {
    arena.memory.read(block).expect("no writer").bytes().to_vec()
}

#[test]
fn keys_are_transposed_in_sixteens_and_values_are_rows() {
    for dtype in [KvDtype::F32, KvDtype::F16] {
        let layout = KvLayout { block_tokens: 32, dtype, ..LAYOUT };
        let mut arena = arena(layout);
        let (keys, values) = (numbers(32, 1), numbers(32, 2));
        arena.write(1, &[run(3, 1)], 0, &keys, &values).expect("it fits");
        let block: Vec<f32> = match dtype {
            KvDtype::F32 => bytes(&arena, 3).as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            KvDtype::F16 => bytes(&arena, 3).as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        };
        let plane = 2 * 32 * 32;
        assert!(block[..2 * plane].iter().all(|x| *x == 0.0), "the other layer is untouched");
        for (token, head, dim) in [(0, 0, 0), (5, 1, 3), (31, 1, 31), (17, 0, 9)] {
            let from = token * ROW + head * 32 + dim;
            let key = 2 * plane + head * 1024 + token / 16 * 512 + dim * 16 + token % 16;
            let value = 3 * plane + head * 1024 + token * 32 + dim;
            assert_eq!([block[key], block[value]].map(f32::to_bits), [keys[from], values[from]].map(f32::to_bits));
        }
    }
}

proptest! {
    #[test]
    fn writing_in_pieces_and_importing_gives_the_bytes_of_one_write(
        tokens in 1_usize..60,
        cuts in prop::collection::vec(0_usize..60, 0..4),
        piece in 0_u32..5,
    ) {
        let table = [run(6, 2), run(1, 2)];
        let (keys, values) = (numbers(tokens, 1), numbers(tokens, 2));
        let (mut whole, mut pieces) = (arena(LAYOUT), arena(LAYOUT));
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(tokens)).chain([0, tokens]).collect();
        cuts.sort_unstable();
        for layer in 0..2 {
            whole.write(layer, &table, 0, &keys, &values).expect("it fits");
            for cut in cuts.windows(2) {
                let part = cut[0] * ROW..cut[1] * ROW;
                let start = cut[0] as u32;
                pieces.write(layer, &table, start, &keys[part.clone()], &values[part]).expect("it fits");
            }
        }
        let target = [run(0, 1), run(4, 1), run(2, 2)];
        let mut copied = arena(KvLayout { blocks: 5, ..LAYOUT });
        let piece = piece.min(4);
        copied.import(&pieces.source(), &table, &target, 0..piece).expect("the same shape");
        copied.import(&pieces.source(), &table, &target, piece..4).expect("the same shape");
        for (from, to) in blocks_of(&table).zip(blocks_of(&target)) {
            prop_assert_eq!(bytes(&whole, from), bytes(&pieces, from));
            prop_assert_eq!(bytes(&whole, from), bytes(&copied, to));
        }
    }
}

#[test]
fn a_piece_copies_its_own_blocks_only() {
    let (mut from, mut to) = (arena(LAYOUT), arena(LAYOUT));
    for layer in 0..2 {
        from.write(layer, &[run(0, 8)], 0, &numbers(128, 1), &numbers(128, 2)).expect("it fits");
    }
    to.import(&from.source(), &[run(0, 8)], &[run(0, 8)], 2..5).expect("the same shape");
    for block in 0..8 {
        let copied = (2..5).contains(&block);
        assert_eq!(bytes(&to, block) == bytes(&from, block), copied, "{block}");
        assert_eq!(bytes(&to, block).iter().all(|&b| b == 0), !copied, "{block}");
    }
}

#[test]
fn a_block_in_use_is_busy_and_free_again_afterwards() {
    let (mut one, mut other) = (arena(LAYOUT), arena(LAYOUT));
    let row = numbers(1, 1);
    let memory = Arc::clone(&one.memory);
    let reading = memory.read(2).expect("nobody writes");
    assert!(matches!(one.write(0, &[run(2, 1)], 0, &row, &row), Err(KernelError::Busy { block: 2 })));
    one.write(0, &[run(3, 1)], 0, &row, &row).expect("another block is free");
    other.import(&one.source(), &[run(2, 1)], &[run(0, 1)], 0..1).expect("readers share");
    drop(reading);
    let writing = memory.write(2).expect("the reader has gone");
    let refused = other.import(&one.source(), &[run(2, 1)], &[run(0, 1)], 0..1);
    assert!(matches!(refused, Err(KernelError::Busy { block: 2 })));
    drop(writing);
    one.write(0, &[run(2, 1)], 0, &row, &row).expect("the writer has gone");
    let onto_itself = one.source();
    assert!(matches!(one.import(&onto_itself, &[run(2, 1)], &[run(2, 1)], 0..1), Err(KernelError::Busy { block: 2 })));
    one.import(&onto_itself, &[run(2, 1)], &[run(5, 1)], 0..1).expect("two blocks of one arena");
    assert_eq!(bytes(&one, 2), bytes(&one, 5));
}

/// A copy that meets a write is refused or sees the block before or after it, never a mixture.
#[test]
fn a_copy_never_sees_half_a_write() {
    let layout = KvLayout { layers: 1, dtype: KvDtype::F32, ..LAYOUT };
    let mut owner = arena(layout);
    let source = owner.source();
    let mut copied = arena(layout);
    let table = [run(0, 1)];
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for round in 0..2000 {
                let rows = vec![round as f32; 16 * ROW];
                match owner.write(0, &table, 0, &rows, &rows) {
                    Ok(()) | Err(KernelError::Busy { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for _ in 0..2000 {
            match copied.import(&source, &table, &table, 0..1) {
                Ok(()) => {
                    let block = bytes(&copied, 0);
                    assert!(block.chunks(4).all(|number| number == &block[..4]));
                }
                Err(KernelError::Busy { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    let (mut one, row) = (arena(LAYOUT), numbers(1, 1));
    let message = |result: Result<(), KernelError>| result.expect_err("it must be refused").to_string();
    assert!(message(one.write(2, &[run(0, 1)], 0, &row, &row)).contains("layer is 2"));
    assert!(message(one.write(0, &[run(0, 1)], 16, &row, &row)).contains("covers 16 positions, 17"));
    assert!(message(one.write(0, &[run(8, 1)], 0, &row, &row)).contains("block 8 is outside the arena of 8"));
    assert!(message(one.write(0, &[run(0, 1)], 0, &row[1..], &row)).contains("63 elements, expected 0"));
    assert!(message(one.write(0, &[run(0, 1)], 0, &row, &[])).contains("0 elements, expected 64"));
    let single = arena(KvLayout { dtype: KvDtype::F32, ..LAYOUT }).source();
    assert!(message(one.import(&single, &[run(0, 1)], &[run(0, 1)], 0..1)).contains("do not fit"));
    let same = arena(LAYOUT).source();
    assert!(message(one.import(&same, &[run(0, 2)], &[run(0, 1)], 0..2)).contains("covers 16 positions, 32"));
    assert!(message(one.import(&same, &[run(8, 1)], &[run(0, 1)], 0..1)).contains("block 8 is outside"));
}

#[test]
fn a_large_arena_costs_nothing_until_it_is_used() {
    /// A gigabyte.
    const BLOCKS: usize = 1 << 15;
    let layout = KvLayout { blocks: BLOCKS, ..LAYOUT };
    let mut large = arena(layout);
    let last = run(BLOCKS as u32 - 1, 1);
    large.write(0, &[last], 0, &numbers(16, 3), &numbers(16, 4)).expect("the last block exists");
    assert!(bytes(&large, 0).iter().all(|&b| b == 0));
    assert!(bytes(&large, last.first).iter().any(|&b| b != 0));
}
