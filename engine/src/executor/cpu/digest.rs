//! A digest of logits, to compare runs bit by bit without keeping the logits.

/// Independent chains, so that the multiplications of one do not wait for another's.
const LANES: usize = 8;
/// The multiplier of `FxHash` (Firefox); odd, so that multiplying loses nothing.
const MULTIPLIER: u64 = 0xF135_7AEA_2E62_A9C5;

/// Equal for equal bits; any difference in one value changes it.
pub(super) fn of(logits: &[f32]) -> u64 {
    let step = |lane: u64, logit: f32| (lane.rotate_left(5) ^ u64::from(logit.to_bits())).wrapping_mul(MULTIPLIER);
    let mut lanes: [u64; LANES] = std::array::from_fn(|lane| lane as u64 + 1);
    let (whole, rest) = logits.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = step(*lane, logit);
        }
    }
    for (lane, &logit) in lanes.iter_mut().zip(rest) {
        *lane = step(*lane, logit);
    }
    lanes.into_iter().fold(logits.len() as u64, |all, lane| crate::model::counter::mix(all.rotate_left(7) ^ lane))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_changes_it() {
        let logits: Vec<f32> = (0..37).map(|i| i as f32 * 0.25 - 3.0).collect();
        let digest = of(&logits);
        for index in 0..logits.len() {
            for bit in [0, 22, 31] {
                let mut changed = logits.clone();
                changed[index] = f32::from_bits(changed[index].to_bits() ^ (1 << bit));
                assert_ne!(of(&changed), digest, "value {index}, bit {bit}");
            }
        }
        assert_ne!(of(&logits[..36]), digest);
        assert_eq!(of(&logits), digest);
    }
}
