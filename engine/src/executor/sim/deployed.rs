//! A deployment as tables: what [`crate::perf`] says of it, for the units of a cluster.

use super::{HandOff, Replicas, StepModel, Tabulated, TabulatedLimits, Ticks, Unusable};
use crate::cluster::{ClusterConfig, StepShape};
use crate::perf::{self, Constant, Deployment, Phase};
use crate::units::Nanos;

/// Most tokens from one entry of the tables to the next: a few thousandths of the steps that prompts are computed in.
const GRANULARITY: u32 = 32;
/// The context at which the bytes of a position are read off: where a window of positions is kept, it is full by then.
const LONG: u64 = 8192;

impl StepModel for Deployment {
    fn decode_line(&self, decodes: u32) -> (f64, f64) {
        let line = Self::decode_line(self, decodes);
        (line.base_s, line.per_position_s)
    }

    fn step_seconds(&self, shape: &StepShape) -> f64 {
        Self::step_seconds(
            self,
            &perf::StepShape {
                decodes: shape.decodes,
                decode_context: shape.context,
                prompt_tokens: u64::from(shape.prompt_tokens),
                prompt_pairs: shape.doubled_pairs as f64 / 2.0,
                sampled: shape.sampled,
            },
        )
    }
}

impl Tabulated {
    /// The tables of a cluster of such units.
    ///
    /// # Errors
    /// When the constants lead to times that are none.
    pub fn of(deployment: &Deployment, config: &ClusterConfig) -> Result<Self, Unusable> {
        let values = deployment.values(Phase::Decode);
        let nanos = |constant| Nanos(Ticks::from_seconds(values.get(constant)).0 / Ticks::PER_NANO);
        let hand_off = deployment.handoff();
        let longest = config.prefill.tokens.max(config.aggregated.tokens);
        let limits = TabulatedLimits {
            prefill: config.prefill,
            decode: config.decode,
            aggregated: config.aggregated,
            granularity: (longest / 1024).clamp(1, GRANULARITY),
            hand_off: HandOff {
                bytes_per_token: (deployment.handoff_bytes(LONG) / LONG as f64).ceil() as u64,
                setup: nanos(Constant::HandoffSetup),
                link_bytes_per_second: (hand_off.bytes_per_s as u64).max(1),
                layers: deployment.handoff_layers(),
            },
            switch: nanos(Constant::RoleSwitch),
            warm: nanos(Constant::RoleWarm),
        };
        let overhead = Ticks::from_seconds(values.get(Constant::ReplicaOverhead));
        let replicas = deployment.replicas_from().map(|from| Replicas { from, overhead });
        Ok(Self::new(limits, |_| Box::new(deployment.clone()))?.with_replicas(replicas))
    }
}
