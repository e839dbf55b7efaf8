//! A GPU's data sheet in TOML.

use engine::perf::{Gpu, PerfError, Price, ScaleUp};
use serde::{Deserialize, Serialize};

/// What a data sheet says, in the units of data sheets: powers of ten, dense rates, links each way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuProfile {
    /// One line for lists.
    pub description: String,
    /// 10¹² bf16 FLOP/s.
    pub bf16_tflops: f64,
    /// 10¹² fp8 FLOP/s.
    pub fp8_tflops: f64,
    /// 10⁹ bytes of memory.
    pub hbm_gb: f64,
    /// 10¹² bytes/s of memory.
    pub hbm_tb_per_s: f64,
    /// 10⁹ bytes/s each way over all links inside a node.
    pub scale_up_gb_per_s: f64,
    /// The same between one pair of GPUs, where each pair has a link of its own.
    pub scale_up_pair_gb_per_s: Option<f64>,
    /// 10⁹ bytes/s each way of one GPU's share of the network.
    pub nic_gb_per_s: f64,
    /// The lowest commonly seen price.
    pub price_low_usd_per_hour: f64,
    /// The highest commonly seen price.
    pub price_high_usd_per_hour: f64,
    /// Who says so.
    pub sources: GpuSources,
}

/// Who says so; a figure that is not from a data sheet says how it was come by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuSources {
    /// Of the FLOP/s.
    pub peaks: String,
    /// Of size and bandwidth of the memory.
    pub memory: String,
    /// Of links and network.
    pub links: String,
    /// Of the prices.
    pub price: String,
}

impl GpuProfile {
    /// The GPU in SI units.
    ///
    /// # Errors
    /// The first number that no GPU has.
    pub fn gpu(&self, name: &str) -> Result<Gpu, PerfError> {
        let gpu = Gpu {
            name: name.to_owned(),
            bf16_flops: self.bf16_tflops * 1e12,
            fp8_flops: self.fp8_tflops * 1e12,
            hbm_bytes: self.hbm_gb * 1e9,
            hbm_bytes_per_s: self.hbm_tb_per_s * 1e12,
            scale_up: ScaleUp {
                bytes_per_s: self.scale_up_gb_per_s * 1e9,
                pair_bytes_per_s: self.scale_up_pair_gb_per_s.map(|pair| pair * 1e9),
            },
            nic_bytes_per_s: self.nic_gb_per_s * 1e9,
            price: Price { low: self.price_low_usd_per_hour, high: self.price_high_usd_per_hour },
        };
        gpu.check()?;
        Ok(gpu)
    }
}
