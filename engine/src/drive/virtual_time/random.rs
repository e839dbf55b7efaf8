//! Random numbers by counting: the n-th number of a stream is a function of seed, stream and n, so that what is drawn for one
//! request never depends on how many were drawn for others.

/// A stream of random numbers (`SplitMix64` over a counter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CounterRandom {
    key: u64,
    count: u64,
}

impl CounterRandom {
    /// The stream `stream` of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self { key: mix(seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15))), count: 0 }
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.count += 1;
        mix(self.key.wrapping_add(self.count.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }

    /// The next number above 0 and not above 1.
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_apart_and_even() {
        let mut one = CounterRandom::new(1, 1);
        let mut other = CounterRandom::new(1, 2);
        assert_ne!(one.bits(), other.bits());
        let mean = (0..100_000).map(|_| one.unit()).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }
}
