use proptest::prelude::*;

use super::super::pool::{Holding, Pool};
use super::*;
use crate::cluster::Detail;

/// A chained hash in miniature: the text so far, as digits.
fn chain(text: &[u8]) -> Vec<BlockHash> {
    let mut hash = 0_u64;
    text.iter()
        .map(|&symbol| {
            hash = hash * 7 + u64::from(symbol) + 1;
            BlockHash(hash)
        })
        .collect()
}

fn publish(pool: &mut Pool, hashes: &[BlockHash], holding: &mut Holding) {
    pool.adopt(hashes, holding);
    pool.publish_next(&hashes[holding.shared() as usize..], holding);
}

#[test]
fn a_prompt_finds_the_longest_common_prefix_inside_a_run() {
    let mut pool = Pool::new(100, true, Detail::Tables);
    let mut first = Holding::default();
    assert!(pool.take(&[], 5, 0, &mut first));
    publish(&mut pool, &chain(&[1, 2, 3, 4, 5]), &mut first);
    assert_eq!(pool.find(&chain(&[1, 2, 3, 0, 5, 5])), Found { blocks: 3, unreferenced: 0 });
    assert_eq!(pool.find(&chain(&[2, 2, 3])), Found::default());
    pool.release(&mut first);
    assert_eq!(pool.find(&chain(&[1, 2])), Found { blocks: 2, unreferenced: 2 });
    assert_eq!((pool.held(), pool.cached()), (0, 5));
}

#[test]
fn equal_prompts_computed_side_by_side_end_up_with_the_same_blocks() {
    let mut pool = Pool::new(20, true, Detail::Tables);
    let (mut one, mut two) = (Holding::default(), Holding::default());
    assert!(pool.take(&[], 4, 0, &mut one) && pool.take(&[], 4, 0, &mut two));
    assert_eq!(pool.held(), 8);
    publish(&mut pool, &chain(&[1, 2, 3]), &mut one);
    publish(&mut pool, &chain(&[1, 2, 4]), &mut two);
    assert_eq!(pool.held(), 6, "two blocks are shared, one of each is not, and each keeps its last");
    assert_eq!(pool.check([&one, &two].into_iter()), Ok(()));
}

#[test]
fn the_least_recently_used_leaf_goes_first_and_from_its_end() {
    let mut pool = Pool::new(6, true, Detail::Tables);
    for text in [[1, 1, 1], [2, 2, 2]] {
        let mut holding = Holding::default();
        assert!(pool.take(&[], 3, 0, &mut holding));
        publish(&mut pool, &chain(&text), &mut holding);
        pool.release(&mut holding);
    }
    let mut third = Holding::default();
    assert!(pool.take(&chain(&[3]), 2, 0, &mut third));
    assert_eq!(pool.find(&chain(&[1, 1, 1])).blocks, 1);
    assert_eq!(pool.find(&chain(&[2, 2, 2])).blocks, 3);
}

proptest! {
    #[test]
    fn every_block_always_has_one_owner(
        texts in prop::collection::vec((prop::collection::vec(0_u8..2, 1..8), 0_usize..5, any::<bool>()), 1..60),
    ) {
        let mut pool = Pool::new(24, true, Detail::Tables);
        let mut holdings: Vec<Holding> = (0..5).map(|_| Holding::default()).collect();
        for (text, owner, is_published) in texts {
            let hashes = chain(&text);
            pool.release(&mut holdings[owner]);
            let found = pool.find(&hashes);
            let fits = pool.left_after(hashes.len() as u32 + 1, found).is_some();
            prop_assert_eq!(pool.take(&hashes, hashes.len() as u32 + 1, 1, &mut holdings[owner]), fits);
            if fits {
                prop_assert_eq!(holdings[owner].shared(), found.blocks);
                if is_published {
                    publish(&mut pool, &hashes, &mut holdings[owner]);
                    prop_assert_eq!(pool.find(&hashes).blocks, hashes.len() as u32);
                }
            }
            prop_assert_eq!(pool.check(holdings.iter()), Ok(()));
        }
    }
}
