//! A real transformer on the units, and what it answers when nothing is going on beside a request.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use engine::cluster::{BatchLimits, ClusterConfig};
use engine::executor::cpu::{CpuExecutor, CpuModel, KvDtype, executors};
use engine::executor::{Executor, Sampled};
use engine::model::ModelSource;
use engine::units::RequestId;

use crate::stage::{Stage, staged};
use crate::world::{Asked, World, cluster, config, text};

/// Positions in a block.
pub(crate) const BLOCK: u32 = 16;
/// Most tokens of a prefill step: prompts longer than that come in chunks.
pub(crate) const CHUNK: u32 = 32;

/// A model, its number format, and the lone answers to all requests.
pub(crate) struct Model {
    pub(crate) name: &'static str,
    weights: Arc<CpuModel>,
    dtype: KvDtype,
    reference: BTreeMap<RequestId, Vec<Sampled>>,
}

/// Both families, and both number formats of the KV.
pub(crate) static MODELS: LazyLock<[Model; 2]> =
    LazyLock::new(|| [Model::load("tiny-qwen3", KvDtype::F32), Model::load("tiny-llama", KvDtype::F16)]);

/// The first sixteen requests. 0 to 3 share three blocks, 4 to 7 five, the others nothing; every second prompt takes many
/// chunks.
pub(crate) const MIXED: Range<u64> = 0..16;
/// Requests whose prompts take three blocks each, and each of which takes a fourth before it is done.
pub(crate) const CROWD: Range<u64> = 16..36;

/// All requests that the tests make.
fn requests(vocabulary: u32) -> BTreeMap<RequestId, Asked> {
    let asked = |request: u64| {
        let small = request as u32;
        let shared = match request {
            0..4 => text(100, 3 * BLOCK, vocabulary),
            4..8 => text(101, 5 * BLOCK, vocabulary),
            _ => Arc::new([]),
        };
        let (own, output) = match request {
            _ if CROWD.contains(&request) => (33 + small % 15, 40),
            _ if request.is_multiple_of(2) => (7 + small, 24 + small),
            _ => (70 + small, 24 + small),
        };
        let prompt = [&*shared, &*text(request, own, vocabulary)].concat();
        (RequestId(request), Asked { prompt: prompt.into(), output })
    };
    MIXED.chain(CROWD).map(asked).collect()
}

/// Room for everything, chunks for long prompts.
pub(crate) fn roomy() -> ClusterConfig {
    ClusterConfig {
        block_tokens: BLOCK,
        blocks_per_unit: 160,
        max_context: 256,
        prefill: BatchLimits { tokens: CHUNK, sequences: 4 },
        decode: BatchLimits { tokens: 16, sequences: 16 },
        aggregated: BatchLimits { tokens: CHUNK, sequences: 16 },
        ..cluster()
    }
}

impl Model {
    fn load(name: &'static str, dtype: KvDtype) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
        let weights = CpuModel::load(&ModelSource::Folder(folder)).expect("a model");
        let mut loaded = Self { name, weights, dtype, reference: BTreeMap::new() };
        loaded.reference = loaded.alone();
        loaded
    }

    /// One aggregated unit, one request at a time, each prompt in one step and no block reused.
    fn alone(&self) -> BTreeMap<RequestId, Vec<Sampled>> {
        let whole = BatchLimits { tokens: 256, sequences: 1 };
        let mut world = self.world("1A", ClusterConfig { aggregated: whole, prefix_cache: false, ..roomy() });
        for (request, asked) in self.requests() {
            world.submit_text(request.0, asked.prompt, asked.output);
            world.until_over([request.0]);
            assert_eq!(world.stage.prompt_steps(request), 1);
        }
        let answers = world.answers();
        for (request, answer) in &answers {
            assert_eq!(answer.len() as u32, world.asked[request].output);
            let mut digests: Vec<u64> = answer.iter().map(|sampled| sampled.logits_digest).collect();
            digests.sort_unstable();
            digests.dedup();
            assert_eq!(digests.len(), answer.len(), "tokens may settle, logits do not: {request:?}");
        }
        answers
    }

    pub(crate) fn requests(&self) -> BTreeMap<RequestId, Asked> {
        requests(self.weights.config().vocab as u32)
    }

    /// Submits requests by their numbers.
    pub(crate) fn submit(&self, world: &mut World, requests: impl IntoIterator<Item = u64>) {
        let all = self.requests();
        for request in requests {
            let asked = all[&RequestId(request)].clone();
            world.submit_text(request, asked.prompt, asked.output);
        }
    }

    /// The units of a cluster, to be wrapped.
    pub(crate) fn units(&self, split: &str, cluster: &ClusterConfig) -> Vec<CpuExecutor> {
        let units = crate::world::split(split).units();
        executors(&self.weights, units, cluster.blocks_per_unit, BLOCK, self.dtype).expect("executors")
    }

    /// An engine that runs this model.
    pub(crate) fn world(&self, split: &str, cluster: ClusterConfig) -> World {
        let units = self.units(split, &cluster);
        Self::world_of(split, cluster, units)
    }

    /// An engine with these units.
    pub(crate) fn world_of<E: Executor + 'static>(split: &str, cluster: ClusterConfig, units: Vec<E>) -> World {
        let stage = Arc::new(Stage::default());
        let units = staged(&stage, units);
        World::start(config(cluster, split), units, stage, Arc::new(()))
    }

    /// Where the answers of `world` are not those to the same requests alone, token by token and to the bit of every logit.
    pub(crate) fn differences(&self, world: &World) -> BTreeMap<RequestId, String> {
        let answers = world.answers();
        let difference = |(&request, asked): (&RequestId, &Asked)| {
            let expected = &self.reference[&request];
            let found = answers.get(&request).map_or(&[][..], Vec::as_slice);
            if found == expected.as_slice() && found.len() as u32 == asked.output {
                return None;
            }
            let at = found.iter().zip(expected).position(|(found, expected)| found != expected);
            let at = at.unwrap_or(found.len().min(expected.len()));
            let what = format!("token {at} is {:?} instead of {:?}", found.get(at), expected.get(at));
            Some((request, what))
        };
        world.asked.iter().filter_map(difference).collect()
    }
}
