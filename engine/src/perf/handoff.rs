//! The hand-off of a sequence's KV from one unit to another.
//!
//! Alone on its links it takes `setup + bytes / rate`: fitted to Mooncake's tables, 1.8 ms and 171 GB/s (H20, 4 × 400 Gbit/s) or
//! 0.4 ms and 146 GB/s (H800, 8 × `RoCE`), within 7 % of each of 18 sizes. Pushed layer by layer while the prompt is computed, all but the last layer's part may
//! be gone when the prompt is done: what is left is `max(x/L, x − (1 − 1/L)·prefill)` for a transfer of `x` in `L` layers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// When the KV of a prompt leaves the unit that computes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandoffStart {
    /// All of it when the prompt is computed: vLLM over NIXL, where the decode side fetches it.
    #[default]
    AtEnd,
    /// Each layer as soon as it is computed, behind the later ones: Mooncake, SGLang, vLLM's layer-wise connectors.
    ByLayer,
}

impl fmt::Display for HandoffStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtEnd => "at_end",
            Self::ByLayer => "by_layer",
        })
    }
}

/// What hand-offs between two units take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Handoff {
    /// Seconds until the first byte moves.
    pub setup_s: f64,
    /// Bytes/s of one hand-off alone, over all network cards of the unit that has fewer.
    pub bytes_per_s: f64,
}

impl Handoff {
    /// Seconds from the end of the prompt to the last byte, when all is sent then.
    pub fn at_end(self, bytes: f64) -> f64 {
        self.setup_s + bytes / self.bytes_per_s
    }

    /// Seconds from the end of the prompt to the last byte, when each of `layers` is sent as soon as it is computed.
    pub fn by_layer(self, bytes: f64, layers: u32, prefill_s: f64) -> f64 {
        let (transfer, layers) = (bytes / self.bytes_per_s, f64::from(layers.max(1)));
        self.setup_s + (transfer / layers).max(transfer - (1.0 - 1.0 / layers) * prefill_s)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;

    proptest! {
        #![proptest_config(Config { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() })]

        #[test]
        fn by_layer_is_never_later_than_at_the_end_and_never_hides_the_last_layer(
            setup in 0.0..0.01f64, rate in 1e9..1e12f64, bytes in 0.0..1e11f64, layers in 1..128u32, prefill in 0.0..10.0f64,
        ) {
            let handoff = Handoff { setup_s: setup, bytes_per_s: rate };
            let (end, layered) = (handoff.at_end(bytes), handoff.by_layer(bytes, layers, prefill));
            prop_assert!(layered <= end * (1.0 + 1e-12));
            prop_assert!(layered * (1.0 + 1e-12) >= setup + bytes / rate / f64::from(layers));
            prop_assert!((handoff.by_layer(bytes, 1, prefill) - end).abs() <= end * 1e-12);
        }
    }
}
