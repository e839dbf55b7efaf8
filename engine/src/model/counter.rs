//! A counter-based generator: the n-th value of a stream, without the values before it.

/// The finaliser of `SplitMix64` (Steele, Lea and Flood 2014): every input bit reaches every output bit.
pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The `n`-th 64-bit value of the stream `key`, by the `SplitMix64` sequence.
pub fn value(key: u64, n: u64) -> u64 {
    mix(key.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// The key of the sub-stream `index` of `key`. Hashed twice, so that streams of neighbouring keys do not overlap.
pub fn stream(key: u64, index: u64) -> u64 {
    value(value(key, index) ^ 0xD1B5_4A32_D192_ED03, index)
}

/// The `n`-th value of the stream as a number in `0..1`, with 53 random bits.
pub fn unit_interval(key: u64, n: u64) -> f64 {
    (value(key, n) >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_splitmix64() {
        // The first outputs of the reference implementation for state 1234567.
        let found: Vec<u64> = (0..3).map(|n| value(1_234_567, n)).collect();
        assert_eq!(found, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn unit_values_fill_the_interval() {
        let mean = (0..10_000).map(|n| unit_interval(7, n)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((0..10_000).all(|n| (0.0..1.0).contains(&unit_interval(7, n))));
    }
}
