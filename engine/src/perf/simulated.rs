//! A deployment as what the simulator asks.

use super::constants::{Constant, Phase};
use super::deployment::Deployment;
use crate::cluster::{ClusterConfig, StepShape};
use crate::executor::sim::{HandOff, StepModel, Tabulated, TabulatedLimits, Unusable};
use crate::units::Nanos;

/// Prompt steps are tabulated at multiples of so many tokens: a kernel's tile, less than a percent of a step that counts.
const GRANULARITY: u32 = 64;

impl StepModel for Deployment {
    fn decode_line(&self, decodes: u32) -> (f64, f64) {
        let line = Self::decode_line(self, decodes);
        (line.base_s, line.per_position_s)
    }

    fn step_seconds(&self, shape: &StepShape) -> f64 {
        Self::step_seconds(self, shape)
    }
}

impl Deployment {
    /// The tables with which the simulator runs a cluster of such units.
    ///
    /// # Errors
    /// When some step within the limits would take longer than a day.
    pub fn tabulated(&self, config: &ClusterConfig, by_layer: bool) -> Result<Tabulated, Unusable> {
        let limits = TabulatedLimits {
            prefill: config.prefill,
            decode: config.decode,
            aggregated: config.aggregated,
            granularity: GRANULARITY,
            hand_off: self.hand_off(by_layer),
            switch: nanos(self.values(Phase::Decode).get(Constant::RoleSwitch)),
            warm: nanos(self.values(Phase::Decode).get(Constant::RoleWarm)),
        };
        Tabulated::new(limits, |_| Box::new(self.clone()))
    }

    /// Layers with a window count with their share of the longest sequence.
    fn hand_off(&self, by_layer: bool) -> HandOff {
        let (alone, longest) = (self.handoff(), u64::from(self.parts().memory.max_context));
        HandOff {
            bytes_per_token: (self.handoff_bytes(longest) / longest as f64).ceil() as u64,
            setup: nanos(alone.setup_s),
            link_bytes_per_second: alone.bytes_per_s as u64,
            layers: if by_layer { self.parts().model.layers } else { 1 },
        }
    }
}

fn nanos(seconds: f64) -> Nanos {
    Nanos((seconds * 1e9).round() as u64)
}
