//! Feed-forward networks.
//!
//! Dense ones are two matrix products, the first for gate and value at once. Routed experts are bound by the weights of those
//! experts that a step touches: with `T` tokens of `k` out of `E` experts chosen alike, `E·(1 − (1 − k/E)^T)` of them, which
//! is nearly all from a moderate batch on. The busiest GPU has more than its share by the imbalance. Fitted to measured tables
//! of H100 and H200, half of the shapes of Qwen3-235B are within 5..10 %; those of DeepSeek-V3 are not (35 %): there the kernel
//! that is chosen matters more than coverage, and a calibration is needed.

use super::Site;
use super::constants::Constant;
use super::dtype::Precision;
use super::gemm::join;
use super::model::{Experts, Model};
use super::parallel::Parallel;

impl Site<'_> {
    /// Seconds of a dense network of `inner` width over `tokens`; none without width.
    pub(super) fn dense(self, precision: Precision, tokens: f64, hidden: u32, inner: f64) -> f64 {
        if inner <= 0.0 {
            return 0.0;
        }
        let hidden = f64::from(hidden);
        self.gemm(precision.weights, tokens, 2.0 * inner, hidden) + self.gemm(precision.weights, tokens, hidden, inner)
    }

    /// Seconds of the routed experts of a layer over the `tokens` of the whole unit.
    pub(super) fn experts(self, model: &Model, experts: Experts, unit: Unit, tokens: f64) -> f64 {
        let values = self.values;
        // Numbers of one expert that are on one GPU.
        let expert = 3.0 * f64::from(model.hidden) * f64::from(experts.inner) / f64::from(unit.parallel.expert_tp());
        let groups = f64::from(unit.parallel.ep);
        let bytes = touched(experts, tokens) / groups * expert * unit.precision.experts.bytes();
        let memory = bytes / (values.get(Constant::ExpertMbu) * self.gpu.hbm_bytes_per_s);
        let imbalance = if unit.parallel.ep > 1 { values.get(Constant::ExpertImbalance) } else { 1.0 };
        let flop = 2.0 * expert * tokens * f64::from(experts.chosen) / groups;
        let rate = values.get(Constant::ExpertMfu) * self.gpu.flops(unit.precision.experts);
        values.get(Constant::ExpertFloor) + join(imbalance * flop / rate, memory, values.get(Constant::ExpertPower))
    }
}

/// How a unit is divided, and in which formats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    pub parallel: Parallel,
    pub precision: Precision,
}

/// Experts of a layer that at least one of `tokens` has chosen, on average.
pub(super) fn touched(experts: Experts, tokens: f64) -> f64 {
    let count = f64::from(experts.count);
    count * (1.0 - (1.0 - f64::from(experts.chosen) / count).powf(tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_touches_what_it_chooses_and_many_touch_all() {
        let experts = Experts { count: 128, chosen: 8, inner: 1536, shared_inner: 0, dense_layers: 0, dense_inner: 0 };
        assert!((touched(experts, 1.0) - 8.0).abs() < 1e-9);
        assert!((touched(experts, 64.0) - 125.94).abs() < 0.01);
        assert!((touched(experts, 1e6) - 128.0).abs() < 1e-9);
    }
}
