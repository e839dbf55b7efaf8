//! What the data sheet of a GPU says.

use super::dtype::Dtype;
use super::error::PerfError;

/// A GPU. Rates are peaks; how much of a peak is reached is a matter of the constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// Its name.
    pub name: String,
    /// Dense bf16 FLOP/s.
    pub bf16_flops: f64,
    /// Dense fp8 FLOP/s; equal to `bf16_flops` where fp8 is not computed natively.
    pub fp8_flops: f64,
    /// Bytes of memory.
    pub hbm_bytes: f64,
    /// Bytes/s of memory.
    pub hbm_bytes_per_s: f64,
    /// The links inside a node.
    pub scale_up: ScaleUp,
    /// Bytes/s each way of this GPU's share of the node's network.
    pub nic_bytes_per_s: f64,
    /// What an hour costs.
    pub price: Price,
}

/// The links between the GPUs of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleUp {
    /// Bytes/s each way of one GPU over all its links.
    pub bytes_per_s: f64,
    /// Bytes/s each way between one pair of GPUs, where they are joined by a link each (xGMI) and not by a switch.
    pub pair_bytes_per_s: Option<f64>,
}

impl ScaleUp {
    /// Bytes/s each way that one GPU has for a collective among `ranks`: in a mesh, only the links to them count.
    pub fn among(self, ranks: u32) -> f64 {
        self.pair_bytes_per_s
            .map_or(self.bytes_per_s, |pair| self.bytes_per_s.min(pair * f64::from(ranks.saturating_sub(1).max(1))))
    }
}

/// US dollars for one GPU and one hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// The lowest commonly seen.
    pub low: f64,
    /// The highest commonly seen.
    pub high: f64,
}

impl Gpu {
    /// FLOP/s of products with weights in `dtype`.
    pub fn flops(&self, dtype: Dtype) -> f64 {
        match dtype {
            Dtype::Fp8 => self.fp8_flops,
            Dtype::Bf16 | Dtype::Fp4 => self.bf16_flops,
        }
    }

    /// Checks that every number is one a GPU can have: a number in the wrong unit is a thousand times off and found here.
    ///
    /// # Errors
    /// The first that is not, by the name and in the unit of the GPU profile.
    pub fn check(&self) -> Result<(), PerfError> {
        let pair = self.scale_up.pair_bytes_per_s;
        for (key, value, low, high) in [
            // The least is a core of a CPU that counts as a GPU.
            ("bf16_tflops", self.bf16_flops / 1e12, 1.0, 1e5),
            ("fp8_tflops", self.fp8_flops / 1e12, 1.0, 2e5),
            ("hbm_gb", self.hbm_bytes / 1e9, 4.0, 4_000.0),
            ("hbm_tb_per_s", self.hbm_bytes_per_s / 1e12, 0.1, 100.0),
            ("scale_up_gb_per_s", self.scale_up.bytes_per_s / 1e9, 8.0, 20_000.0),
            (
                "scale_up_pair_gb_per_s",
                pair.unwrap_or(self.scale_up.bytes_per_s) / 1e9,
                4.0,
                self.scale_up.bytes_per_s / 1e9,
            ),
            ("nic_gb_per_s", self.nic_bytes_per_s / 1e9, 0.1, 2_000.0),
            ("price_low_usd_per_hour", self.price.low, 0.0, 1_000.0),
            ("price_high_usd_per_hour", self.price.high, self.price.low, 1_000.0),
        ] {
            PerfError::range(key, value, low, high)?;
        }
        Ok(())
    }
}
