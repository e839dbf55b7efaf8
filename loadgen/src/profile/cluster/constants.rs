//! The constants of a cluster profile: for all steps, and what differs in steps with prompts.

use std::collections::BTreeMap;

use engine::perf::{Constant, Constants, PerfError, Prior, PriorKind};
use serde::{Deserialize, Serialize};

/// Both tables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConstantTables {
    /// Every constant there is.
    pub all: BTreeMap<Constant, PriorText>,
    /// Those that differ in steps with prompt tokens.
    #[serde(default)]
    pub prompt: BTreeMap<Constant, PriorText>,
}

/// One constant, in the unit of its key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriorText {
    /// The value.
    pub value: f64,
    /// Its standard deviation.
    pub spread: f64,
    /// `measured`, `fitted`, or `prior` for a guess.
    pub kind: PriorKind,
    /// Who says so, or what the guess rests on.
    pub source: String,
}

impl ConstantTables {
    pub(super) fn constants(&self) -> Result<Constants, PerfError> {
        let priors = |table: &BTreeMap<Constant, PriorText>| {
            let prior = |text: &PriorText| Prior {
                value: text.value,
                spread: text.spread,
                kind: text.kind,
                source: text.source.clone(),
            };
            table.iter().map(|(constant, text)| (*constant, prior(text))).collect()
        };
        Constants::new(priors(&self.all), priors(&self.prompt))
    }
}
