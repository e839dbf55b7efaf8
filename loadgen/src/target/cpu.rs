//! The embedded engine on the CPU: a model, one executor for each unit, wall time.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken, How};
use engine::drive::wall::{EngineError, EventReader, Pace, WallConfig, WallEngine};
use engine::executor::cpu::{self, CpuModel, KvDtype, LoadError};
use engine::executor::{Executor, ExecutorError};
use engine::model::{ModelSource, ModelText};
use engine::units::Split;

use super::{Abilities, Connection, TargetInfo, TargetLimits, Ways, embedded};
use crate::whatif::UnitTerms;

/// Positions in a KV block: a multiple of what the kernels work on, and vLLM's default.
const BLOCK_TOKENS: u32 = 16;
/// Most memory that the KV of one unit may come to take.
const KV_BYTES: u64 = 512 << 20;
/// Bounds on the tokens that the KV of one unit holds, whatever the memory.
const KV_TOKENS: (u64, u64) = (8_192, 32_768);
/// What the embedded engine is called as a target, on screens and in recordings.
pub const NAME: &str = "cpu";
/// Its units are threads: there is no process of theirs to start anew.
pub const ABILITIES: Abilities = Abilities { ways: Ways::of(&[How::Drain, How::Migrate]), ..Abilities::ENGINE };
/// Prompt tokens of one prefill step, and so how long a cancel may have to wait: about 0.1 s of a core for the built-in
/// model (2,700 tokens per CPU-second on an AVX-512 core, `cargo bench -p pdtune-engine --bench model`).
const PREFILL: BatchLimits = BatchLimits { tokens: 256, sequences: 16 };
/// Most sequences that decode together, a token each: TPOT grows with the batch.
const DECODE: BatchLimits = BatchLimits { tokens: 64, sequences: 64 };
/// A small chunk, because every decoding sequence waits for it.
const AGGREGATED: BatchLimits = BatchLimits { tokens: 128, sequences: 64 };
/// Requests that may be in flight, waiting ones included: an overloaded engine refuses instead of filling memory.
pub const REQUESTS: u32 = 8_192;
/// Requests that may wait for the engine's intake thread.
const INBOX: usize = 16_384;
/// Events that may wait to be read before units stop between steps.
const EVENTS: usize = 262_144;

/// What to run.
#[derive(Clone, Debug)]
pub struct CpuTarget {
    /// The model.
    pub model: ModelSource,
    /// The roles at the start.
    pub split: Split,
}

/// Why the embedded engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The model could not be loaded.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A unit could not be made.
    #[error("cannot make a unit for this model: {0}")]
    Executor(#[from] ExecutorError),
    /// The engine could not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The split of an engine that is not told one: as many units as cores, at least four, half of them prefill.
pub fn default_split() -> Split {
    let units = kernels::thread::usable_cores().len().clamp(4, 64) as u16;
    Split { prefill: units / 2, decode: units - units / 2, aggregated: 0 }
}

/// A running engine, and what its users have to know of it.
#[derive(Debug)]
pub struct Started {
    /// The engine.
    pub engine: WallEngine,
    /// Its events.
    pub events: EventReader,
    /// The text side of its model.
    pub text: Arc<ModelText>,
    /// What it is and can take.
    pub info: TargetInfo,
    /// Bytes of one KV block.
    pub kv_block_bytes: u64,
}

/// Loads the model and starts the engine as a target.
///
/// # Errors
/// When the model cannot be loaded, or its shape or the split cannot be served.
pub fn open(target: &CpuTarget) -> Result<Connection, OpenError> {
    let Started { engine, events, info, .. } = start(target)?;
    Ok(Connection { terms: Some(terms(info.limits)), ..embedded::connect(engine, events, info) })
}

/// Loads the model and starts the engine.
///
/// # Errors
/// When the model cannot be loaded, or its shape or the split cannot be served.
pub fn start(target: &CpuTarget) -> Result<Started, OpenError> {
    let model = CpuModel::load(&target.model)?;
    let config = model.config();
    let token_bytes = config.layers as u64 * config.kv_width() as u64 * 2 * 2;
    let blocks = kv_blocks(token_bytes);
    let kv_tokens = blocks * BLOCK_TOKENS;
    let context_tokens = (config.context as u64).min(u64::from(kv_tokens)) as u32;
    let info = TargetInfo {
        name: NAME.to_owned(),
        model: describe(&target.model, config.parameters()),
        split: Some(target.split),
        limits: TargetLimits { context_tokens, kv_tokens, vocabulary: config.vocab as u32 },
        facts: BTreeMap::new(),
    };
    let units = target.split.units();
    let executors = cpu::executors(&model, units, blocks, BLOCK_TOKENS, KvDtype::F16)?;
    let executors = executors.into_iter().map(|executor| Box::new(executor) as Box<dyn Executor>);
    let config = WallConfig {
        cluster: cluster(BLOCK_TOKENS, info.limits),
        split: target.split,
        pace: Pace::Shared { cores: kernels::thread::usable_cores().len() as u16 },
        request_limit: REQUESTS as usize,
        inbox_limit: INBOX,
        event_limit: EVENTS,
    };
    let (engine, events) = WallEngine::start(config, executors.collect())?;
    let kv_block_bytes = token_bytes * u64::from(BLOCK_TOKENS);
    Ok(Started { engine, events, text: Arc::clone(model.text()), info, kv_block_bytes })
}

/// A cluster of units with these limits and blocks of so many tokens, as this engine has it.
fn cluster(block_tokens: u32, limits: TargetLimits) -> ClusterConfig {
    ClusterConfig {
        block_tokens,
        blocks_per_unit: limits.kv_tokens / block_tokens.max(1),
        max_context: limits.context_tokens,
        prefill: PREFILL,
        decode: DECODE,
        aggregated: AGGREGATED,
        watermark_permille: 20,
        prefix_cache: true,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    }
}

/// What is known of the units of this engine.
pub(crate) fn terms(limits: TargetLimits) -> UnitTerms {
    UnitTerms { config: cluster(BLOCK_TOKENS, limits), assumed: None }
}

/// What is known of the units of another engine: where it does not tell, they are taken for such as this one has.
pub(crate) fn terms_like(block_tokens: Option<u32>, limits: TargetLimits) -> UnitTerms {
    let steps = format!("{} prompt tokens or {} sequences", PREFILL.tokens, DECODE.sequences);
    let blocks = if block_tokens.is_none() { format!(", blocks of {BLOCK_TOKENS} tokens") } else { String::new() };
    let assumed = format!("steps of at most {steps}{blocks}, as in pdtune's own engine: the target does not tell");
    let config = cluster(block_tokens.filter(|tokens| *tokens > 0).unwrap_or(BLOCK_TOKENS), limits);
    UnitTerms { config, assumed: Some(assumed) }
}

/// Blocks of one unit's KV, where a token takes `token_bytes`.
fn kv_blocks(token_bytes: u64) -> u32 {
    let tokens = (KV_BYTES / token_bytes.max(1)).clamp(KV_TOKENS.0, KV_TOKENS.1);
    (tokens / u64::from(BLOCK_TOKENS)) as u32
}

fn describe(source: &ModelSource, parameters: usize) -> String {
    let millions = parameters as f64 / 1e6;
    match source {
        ModelSource::Builtin { seed } => format!("built-in {millions:.0}M (seed {seed})"),
        ModelSource::Folder(path) | ModelSource::Gguf(path) => {
            let name =
                path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
            format!("{name} {millions:.0}M")
        }
    }
}
