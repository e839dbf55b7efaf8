//! A cluster of GPUs in TOML: which GPU, which model, how a unit is made of them, what the engine may do, and what no data
//! sheet tells.
//!
//! GPU and model are profiles of their own, found by name, so that a user's go before the shipped ones here, too.

mod calibrated;
mod constants;
mod posterior;

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken};
use engine::perf::{
    Constant, Constants, Deployment, Dtype, Gpu, HandoffStart, Memory, Model, Parallel, Parts, PerfError, Phase,
    Posterior, Precision, Price,
};
use engine::units::Split;
use serde::{Deserialize, Serialize};

use super::Loaded;
use crate::workload::Limits;

pub use constants::{ConstantTables, PriorText};
pub use posterior::PosteriorTable;

/// What a cluster profile says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterProfile {
    /// One line for lists.
    pub description: String,
    /// The GPU profile.
    pub gpu: String,
    /// The model profile.
    pub model: String,
    /// How the model is stored.
    pub precision: PrecisionTable,
    /// How a unit is spread over GPUs.
    pub unit: UnitTable,
    /// The machines.
    pub nodes: NodeTable,
    /// What the engine may do.
    pub limits: LimitTable,
    /// What changes where many units do the same, if anything was seen to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaTable>,
    /// What no data sheet tells.
    pub constants: ConstantTables,
    /// What a calibration says of several of these together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posterior: Option<PosteriorTable>,
}

/// How the model is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrecisionTable {
    /// Weights.
    pub weights: Dtype,
    /// Weights of routed experts, where they differ.
    pub experts: Option<Dtype>,
    /// Keys and values.
    pub kv: Dtype,
}

/// How a unit is spread over GPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitTable {
    /// Ranks of tensor parallelism.
    pub tp: u32,
    /// Groups that experts are divided into.
    #[serde(default = "one")]
    pub ep: u32,
    /// Groups that attend to different sequences.
    #[serde(default = "one")]
    pub attention_dp: u32,
}

fn one() -> u32 {
    1
}

/// The machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeTable {
    /// How many.
    pub count: u32,
    /// GPUs of each.
    pub gpus_per_node: u32,
    /// 10⁹ bytes/s each way of one GPU's share of the network, where it is not the GPU profile's.
    pub nic_gb_per_s: Option<f64>,
    /// The price of one GPU, where it is not the GPU profile's.
    pub price_usd_per_gpu_hour: Option<f64>,
}

/// What the engine may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitTable {
    /// Tokens of a KV block.
    pub block_tokens: u32,
    /// Share of a GPU's memory that the engine uses.
    pub gpu_memory_share: f64,
    /// 10⁹ bytes of it for activations, buffers and captured graphs.
    pub activation_gb: f64,
    /// Longest sequence.
    pub max_context_tokens: u32,
    /// Share of the KV blocks of a unit, in thousandths, that hand-offs leave free.
    pub watermark_permille: u32,
    /// Whether blocks are kept for later prompts with the same prefix.
    pub prefix_cache: bool,
    /// When the KV of a prompt leaves for the unit that decodes: `at_end` of it, or `by_layer` while the later ones are computed.
    #[serde(default)]
    pub handoff: HandoffStart,
    /// One step of a unit that prefills.
    pub prefill: BatchTable,
    /// One step of a unit that decodes.
    pub decode: BatchTable,
    /// One step of a unit that does both.
    pub aggregated: BatchTable,
}

/// What changes where many units do the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaTable {
    /// With so many aggregated units, each step of theirs takes `replica_overhead_us` longer.
    pub from: u16,
}

/// The limits of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchTable {
    /// Most tokens.
    pub tokens: u32,
    /// Most sequences.
    pub sequences: u32,
}

/// A cluster profile with what it names, checked to go together.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// One line for lists.
    pub description: String,
    /// One unit.
    pub deployment: Deployment,
    /// How many units the nodes have room for.
    pub units: u16,
    /// What the units do, with as many KV blocks as they have room for.
    pub config: ClusterConfig,
    /// What is believed of several constants together, where a calibration says so.
    pub posterior: Option<Posterior>,
}

/// A split with more units than a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--split {split} has {} units, cluster {cluster} has {units}", split.units())]
pub struct TooManyUnits {
    /// The split.
    pub split: Split,
    /// The name of the cluster.
    pub cluster: String,
    /// Its units.
    pub units: u16,
}

impl Loaded<Cluster> {
    /// Whether the cluster has the units of `split`; it may have more.
    ///
    /// # Errors
    /// When it has fewer.
    pub fn check_units(&self, split: Split) -> Result<(), TooManyUnits> {
        let units = self.profile.units;
        if split.units() <= units {
            return Ok(());
        }
        Err(TooManyUnits { split, cluster: self.name.clone(), units })
    }
}

impl Cluster {
    /// What a request may have.
    pub fn limits(&self) -> Limits {
        Limits {
            context_tokens: self.config.max_context,
            kv_tokens: self.config.blocks_per_unit.saturating_mul(self.config.block_tokens),
        }
    }

    /// US dollars for one unit and one hour.
    pub fn price_per_unit_hour(&self) -> Price {
        let parts = self.deployment.parts();
        let (price, gpus) = (parts.gpu.price, f64::from(parts.parallel.gpus()));
        Price { low: price.low * gpus, high: price.high * gpus }
    }
}

impl ClusterProfile {
    /// The cluster on `gpu` with `model`, which are those that it names.
    ///
    /// # Errors
    /// When a number makes no sense, a count does not divide, or the model does not fit.
    pub fn cluster(&self, mut gpu: Gpu, model: Model) -> Result<Cluster, PerfError> {
        if let Some(nic) = self.nodes.nic_gb_per_s {
            range("nodes.nic_gb_per_s", nic, 0.1, 2_000.0)?;
            gpu.nic_bytes_per_s = nic * 1e9;
        }
        if let Some(price) = self.nodes.price_usd_per_gpu_hour {
            range("nodes.price_usd_per_gpu_hour", price, 0.0, 1_000.0)?;
            gpu.price = Price { low: price, high: price };
        }
        let sequences =
            self.limits.prefill.sequences.max(self.limits.decode.sequences).max(self.limits.aggregated.sequences);
        let parallel = Parallel { tp: self.unit.tp, ep: self.unit.ep, attention_dp: self.unit.attention_dp };
        let (constants, posterior) = self.checked_constants()?;
        let deployment = Deployment::new(Parts {
            gpu,
            model,
            parallel,
            precision: Precision {
                weights: self.precision.weights,
                experts: self.precision.experts.unwrap_or(self.precision.weights),
                kv: self.precision.kv,
            },
            constants,
            memory: Memory {
                share: self.limits.gpu_memory_share,
                activation_bytes: self.limits.activation_gb * 1e9,
                max_context: self.limits.max_context_tokens,
                sequences,
            },
            gpus_per_node: self.nodes.gpus_per_node,
            handoff: self.limits.handoff,
        })?
        .with_replicas_from(self.replicas.as_ref().map(|table| table.from));
        let config = self.config(&deployment)?;
        let units = self.units(parallel.gpus())?;
        Ok(Cluster { description: self.description.clone(), units, deployment, config, posterior })
    }

    /// Checks what can be told from the text alone.
    ///
    /// # Errors
    /// The first number that makes no sense, constant that is missing, or joint belief that is none.
    pub(super) fn check(&self) -> Result<(), PerfError> {
        self.checked_constants().map(|_| ())
    }

    fn checked_constants(&self) -> Result<(Constants, Option<Posterior>), PerfError> {
        let constants = self.constants.constants()?;
        let overhead = Constant::ReplicaOverhead.key();
        match (&self.replicas, constants.prior(Constant::ReplicaOverhead, Phase::Decode)) {
            (Some(_), None) => {
                let why = format!("lacks `{overhead}`, which `replicas.from` is about");
                return Err(PerfError::Unsupported { key: "constants.all", why });
            }
            (None, Some(_)) => {
                let why = format!("has `{overhead}`, but no `replicas.from` says with how many units");
                return Err(PerfError::Unsupported { key: "constants.all", why });
            }
            (Some(table), Some(_)) => range("replicas.from", f64::from(table.from), 2.0, 4_096.0)?,
            (None, None) => {}
        }
        let posterior = self.posterior.as_ref().map(|table| table.posterior(&constants)).transpose()?;
        Ok((constants, posterior))
    }

    /// The same with nodes for so many units: as large as they are, where that comes out even, and smaller otherwise.
    #[must_use]
    pub fn with_units(mut self, units: u16) -> Self {
        let (units, gpus) = (u32::from(units.max(1)), self.unit.tp.max(1));
        let most = (self.nodes.gpus_per_node / gpus).max(1);
        let on_a_node = (1..=most).rev().find(|on_a_node| units.is_multiple_of(*on_a_node)).unwrap_or(1);
        (self.nodes.count, self.nodes.gpus_per_node) = (units / on_a_node, on_a_node * gpus);
        self
    }

    fn units(&self, gpus: u32) -> Result<u16, PerfError> {
        range("nodes.count", f64::from(self.nodes.count), 1.0, 4_096.0)?;
        if !self.nodes.gpus_per_node.is_multiple_of(gpus) {
            let what = "`nodes.gpus_per_node`".to_owned();
            return Err(PerfError::Indivisible { key: "unit.tp", value: gpus, what, of: self.nodes.gpus_per_node });
        }
        let units = self.nodes.count * (self.nodes.gpus_per_node / gpus);
        range("nodes.count", f64::from(units), 1.0, 4_096.0)?;
        Ok(units as u16)
    }

    fn config(&self, deployment: &Deployment) -> Result<ClusterConfig, PerfError> {
        let limits = &self.limits;
        range("limits.block_tokens", f64::from(limits.block_tokens), 1.0, 4_096.0)?;
        range("limits.watermark_permille", f64::from(limits.watermark_permille), 0.0, 999.0)?;
        let batch = |keys: [&str; 2], table: &BatchTable| {
            range(keys[0], f64::from(table.tokens), 1.0, 1e7)?;
            range(keys[1], f64::from(table.sequences), 1.0, 65_536.0)?;
            Ok(BatchLimits { tokens: table.tokens, sequences: table.sequences })
        };
        Ok(ClusterConfig {
            block_tokens: limits.block_tokens,
            blocks_per_unit: deployment.kv_blocks(limits.block_tokens).max(1),
            max_context: limits.max_context_tokens,
            prefill: batch(["limits.prefill.tokens", "limits.prefill.sequences"], &limits.prefill)?,
            decode: batch(["limits.decode.tokens", "limits.decode.sequences"], &limits.decode)?,
            aggregated: batch(["limits.aggregated.tokens", "limits.aggregated.sequences"], &limits.aggregated)?,
            watermark_permille: limits.watermark_permille,
            prefix_cache: limits.prefix_cache,
            first_token: FirstToken::default(),
            drain_timeout: None,
        })
    }
}

fn range(key: &str, value: f64, low: f64, high: f64) -> Result<(), PerfError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(PerfError::OutOfRange { key: key.to_owned(), value, low, high })
}
