//! A model on the GPUs of one unit, checked to go together.

use super::constants::{Constant, Constants, Phase, Values};
use super::dtype::Precision;
use super::error::PerfError;
use super::gpu::Gpu;
use super::handoff::{Handoff, HandoffStart};
use super::model::Model;
use super::parallel::Parallel;
use super::posterior::Drawn;
use super::step::StepShape;

/// What a deployment is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The GPU.
    pub gpu: Gpu,
    /// The model.
    pub model: Model,
    /// How a unit is spread over GPUs.
    pub parallel: Parallel,
    /// What is stored in which format.
    pub precision: Precision,
    /// The constants.
    pub constants: Constants,
    /// What the engine may use of a GPU's memory.
    pub memory: Memory,
    /// GPUs joined by scale-up links; a unit spans no more.
    pub gpus_per_node: u32,
    /// When KV is handed off.
    pub handoff: HandoffStart,
}

/// What the engine may use of a GPU's memory, and what for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// The share of the memory that is used at all.
    pub share: f64,
    /// Bytes for activations, buffers and captured graphs.
    pub activation_bytes: f64,
    /// Longest sequence, in tokens.
    pub max_context: u32,
    /// Most sequences of a unit at once.
    pub sequences: u32,
}

/// A unit of a cluster, as far as time and memory go.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    parts: Parts,
    decode: Values,
    prompt: Values,
    /// By how much steps without prompts, and those with, take longer than the formula says.
    step_factors: [f64; 2],
    /// With so many aggregated units, steps of theirs have the overhead of replicas.
    replicas_from: Option<u16>,
}

impl Deployment {
    /// A deployment of `parts`.
    ///
    /// # Errors
    /// When a number makes no sense, a count does not divide, or the model does not fit.
    pub fn new(parts: Parts) -> Result<Self, PerfError> {
        parts.gpu.check()?;
        parts.model.check()?;
        parts.parallel.check(&parts.model)?;
        PerfError::range("limits.gpu_memory_share", parts.memory.share, 0.01, 1.0)?;
        PerfError::range("limits.activation_gb", parts.memory.activation_bytes / 1e9, 0.0, parts.gpu.hbm_bytes / 1e9)?;
        PerfError::range("limits.max_context_tokens", f64::from(parts.memory.max_context), 2.0, 1e8)?;
        PerfError::range("nodes.gpus_per_node", f64::from(parts.gpus_per_node), 1.0, 1024.0)?;
        if parts.parallel.gpus() > parts.gpus_per_node {
            let (gpus, node) = (parts.parallel.gpus(), parts.gpus_per_node);
            let why = format!("times `unit.attention_dp` is {gpus} GPUs, but a node has {node} and a unit spans one");
            return Err(PerfError::Unsupported { key: "unit.tp", why });
        }
        let (decode, prompt) = (parts.constants.values(Phase::Decode), parts.constants.values(Phase::Prompt));
        let deployment = Self { parts, decode, prompt, step_factors: [1.0; 2], replicas_from: None };
        deployment.check_memory()?;
        Ok(deployment)
    }

    /// The same with other constants.
    #[must_use]
    pub fn with_constants(mut self, constants: Constants) -> Self {
        self.decode = constants.values(Phase::Decode);
        self.prompt = constants.values(Phase::Prompt);
        self.parts.constants = constants;
        self
    }

    /// The same as one draw of a belief has it: other constants, and steps that take other times than the formula says.
    #[must_use]
    pub fn drawn(self, drawn: Drawn) -> Self {
        Self { step_factors: drawn.step_factors, ..self.with_constants(drawn.constants) }
    }

    /// The same where steps of aggregated units take [`Constant::ReplicaOverhead`] longer as soon as there are `from` such units.
    #[must_use]
    pub fn with_replicas_from(self, from: Option<u16>) -> Self {
        Self { replicas_from: from, ..self }
    }

    /// From how many aggregated units on their steps have the overhead of replicas, if they ever do.
    pub fn replicas_from(&self) -> Option<u16> {
        self.replicas_from
    }

    /// By how much steps of a phase take longer than the formula says: 1 but for a draw.
    pub(super) fn step_factor(&self, phase: Phase) -> f64 {
        self.step_factors[usize::from(phase == Phase::Prompt)]
    }

    /// What it is made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The constants of steps of a phase, in SI units.
    pub fn values(&self, phase: Phase) -> &Values {
        match phase {
            Phase::Decode => &self.decode,
            Phase::Prompt => &self.prompt,
        }
    }

    /// Bytes of weights on each GPU.
    pub fn weight_bytes_per_gpu(&self) -> f64 {
        self.parts.model.weight_bytes_per_gpu(self.parts.precision, self.parts.parallel)
    }

    /// Bytes of each GPU that are left for KV.
    pub fn kv_bytes_per_gpu(&self) -> f64 {
        let memory = self.parts.memory;
        self.parts.gpu.hbm_bytes * memory.share - self.weight_bytes_per_gpu() - memory.activation_bytes
    }

    /// KV blocks of `block_tokens` that a unit has room for, over all its groups. Windows are set aside for all sequences.
    pub fn kv_blocks(&self, block_tokens: u32) -> u32 {
        let Parts { model, precision, parallel, memory, .. } = &self.parts;
        let whole = model.kv_bytes_per_token_per_rank(precision.kv, parallel.tp);
        let growing = whole * f64::from(model.full_layers()) / f64::from(model.layers);
        let sequences = f64::from(memory.sequences.div_ceil(parallel.attention_dp));
        let windows = model.window.map_or(0.0, |window| (whole - growing) * f64::from(window.positions) * sequences);
        let blocks = (self.kv_bytes_per_gpu() - windows).max(0.0) / (growing.max(1.0) * f64::from(block_tokens.max(1)));
        (blocks.floor() * f64::from(parallel.attention_dp)).min(f64::from(u32::MAX)) as u32
    }

    /// Bytes that cross the network when a sequence of `tokens` is handed off.
    pub fn handoff_bytes(&self, tokens: u64) -> f64 {
        self.parts.model.kv_bytes_handed_off(self.parts.precision.kv, self.parts.parallel, tokens as f64)
    }

    /// What hand-offs between two units of this deployment take: a sequence lives on `tp` GPUs, each with its network card.
    pub fn handoff(&self) -> Handoff {
        let rails = f64::from(self.parts.parallel.tp);
        Handoff {
            setup_s: self.decode.get(Constant::HandoffSetup),
            bytes_per_s: self.decode.get(Constant::HandoffEfficiency) * self.parts.gpu.nic_bytes_per_s * rails,
        }
    }

    /// Parts that a hand-off is sent in: layers, where each leaves by itself.
    pub fn handoff_layers(&self) -> u32 {
        match self.parts.handoff {
            HandoffStart::AtEnd => 1,
            HandoffStart::ByLayer => self.parts.model.layers.max(1),
        }
    }

    /// Seconds from the end of a prompt of `tokens`, computed at once by a unit that does nothing else, to the last byte of its
    /// KV over idle links.
    pub fn handoff_seconds(&self, tokens: u32) -> f64 {
        let prompt = StepShape {
            prompt_tokens: u64::from(tokens),
            prompt_pairs: f64::from(tokens).powi(2) / 2.0,
            sampled: 1,
            ..StepShape::default()
        };
        let bytes = self.handoff_bytes(u64::from(tokens));
        self.handoff().by_layer(bytes, self.handoff_layers(), self.step_seconds(&prompt))
    }

    fn check_memory(&self) -> Result<(), PerfError> {
        let Parts { gpu, model, precision, parallel, memory, .. } = &self.parts;
        let weights = self.weight_bytes_per_gpu();
        let kv = model.kv_bytes_per_rank(precision.kv, parallel.tp, f64::from(memory.max_context));
        let needed = weights + memory.activation_bytes + kv;
        let available = gpu.hbm_bytes * memory.share;
        if needed <= available {
            return Ok(());
        }
        let gb = |bytes: f64| bytes / 1e9;
        Err(PerfError::DoesNotFit {
            key: "model",
            needed: gb(needed),
            weights: gb(weights),
            activations: gb(memory.activation_bytes),
            kv: gb(kv),
            available: gb(available),
            share: memory.share,
            hbm: gb(gpu.hbm_bytes),
        })
    }
}
