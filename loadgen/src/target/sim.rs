//! A simulated cluster of GPUs as a target: the embedded engine's scheduler, times from a performance model, no tokens that mean
//! anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::drive::simulated::SimulatedConfig;
use engine::drive::wall::EngineError;
use engine::executor::sim::{Tabulated, Unusable};
use engine::model::{ModelText, Tokenizer};
use engine::units::Split;

use super::cpu::Started;
use super::{Connection, TargetInfo, TargetLimits, embedded};
use crate::profile::{Cluster, Loaded, TooManyUnits};

/// Requests that may be in flight, waiting ones included.
const REQUESTS: usize = 65_536;
/// Messages that may wait for the simulation.
const INBOX: usize = 65_536;
/// Events that may wait to be read before simulated time stands still.
const EVENTS: usize = 1 << 20;

/// What the names of simulated targets begin with, here, on screen and in recordings.
pub const PREFIX: &str = "sim:";

/// What to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct SimTarget {
    /// The cluster.
    pub cluster: Loaded<Cluster>,
    /// The roles at the start; `None` makes half of the units prefill.
    pub split: Option<Split>,
    /// Simulated seconds for each second of wall time, above 0.
    pub time_scale: f64,
}

/// Why a cluster cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// More units than there are.
    #[error(transparent)]
    Units(#[from] TooManyUnits),
    /// The model of its time gives no times.
    #[error("cluster {cluster}: {why}")]
    Unusable {
        /// The name of the cluster.
        cluster: String,
        /// What is wrong.
        why: Unusable,
    },
    /// The engine could not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl SimTarget {
    /// The split at the start.
    ///
    /// # Errors
    /// When it has more units than the cluster.
    pub fn split(&self) -> Result<Split, TooManyUnits> {
        let units = self.cluster.profile.units;
        let half = match units {
            1 => Split { prefill: 0, decode: 0, aggregated: 1 },
            _ => Split { prefill: units / 2, decode: units - units / 2, aggregated: 0 },
        };
        let split = self.split.unwrap_or(half);
        self.cluster.check_units(split)?;
        Ok(split)
    }

    fn info(&self, split: Split) -> TargetInfo {
        let Cluster { deployment, config, .. } = &self.cluster.profile;
        let parts = deployment.parts();
        let gpus = u64::from(parts.parallel.gpus());
        let facts = [
            ("simulated", "true".to_owned()),
            ("cluster", self.cluster.name.clone()),
            ("gpu", parts.gpu.name.clone()),
            ("gpus_per_unit", gpus.to_string()),
            ("time_scale", self.time_scale.to_string()),
        ];
        TargetInfo {
            name: format!("{PREFIX}{}", self.cluster.name),
            model: format!("{} on {} {}, simulated", parts.model.name, gpus * u64::from(split.units()), parts.gpu.name),
            split: Some(split),
            limits: TargetLimits {
                context_tokens: config.max_context,
                kv_tokens: config.blocks_per_unit.saturating_mul(config.block_tokens),
                vocabulary: parts.model.vocab,
            },
            facts: BTreeMap::from(facts.map(|(name, fact)| (name.to_owned(), fact))),
        }
    }
}

/// Starts the simulation as a target.
///
/// # Errors
/// When the split has more units than the cluster, or its constants lead to times that are none.
pub fn open(target: &SimTarget) -> Result<Connection, SimError> {
    let Started { engine, events, info, .. } = start(target)?;
    Ok(Connection { time_scale: target.time_scale, ..embedded::connect(engine, events, info) })
}

/// Starts the simulation. Its text is that of the built-in model: a byte of a prompt is a token, and a token of an answer, which
/// means nothing, is a byte or a number such as `<7000>`.
///
/// # Errors
/// When the split has more units than the cluster, or its constants lead to times that are none.
pub fn start(target: &SimTarget) -> Result<Started, SimError> {
    let split = target.split()?;
    let info = target.info(split);
    let Cluster { deployment, config, .. } = &target.cluster.profile;
    let tables = Tabulated::of(deployment, config)
        .map_err(|why| SimError::Unusable { cluster: target.cluster.name.clone(), why })?;
    let simulated = SimulatedConfig {
        cluster: config.clone(),
        split,
        time_scale: target.time_scale,
        vocabulary: info.limits.vocabulary,
        request_limit: REQUESTS,
        inbox_limit: INBOX,
        event_limit: EVENTS,
    };
    let (engine, events) = simulated.start(tables)?;
    let tokenizer = Tokenizer::bytes(info.limits.vocabulary);
    let text = Arc::new(ModelText { tokenizer, chat_template: None, eos: Vec::new() });
    let kv_block_bytes = deployment.handoff_bytes(u64::from(config.block_tokens)) as u64;
    Ok(Started { engine, events, text, info, kv_block_bytes })
}
