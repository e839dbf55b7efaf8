//! Exchange between the GPUs of a unit.
//!
//! An all-reduce of `b` bytes among `n` ranks moves `2(n − 1)/n · b` bytes over each rank's links, whatever its algorithm
//! (Patarasuk and Yuan 2009), after a floor that is a property of the software. Dispatch sends the hidden states of tokens to
//! their experts, combine brings bf16 results back; what stays on a GPU crosses no link.

use super::Site;
use super::constants::Constant;
use super::dtype::{Dtype, Precision};
use super::model::{Experts, Model};
use super::parallel::Parallel;

impl Site<'_> {
    /// Seconds of an all-reduce; none on one rank.
    pub(super) fn all_reduce(self, ranks: u32, bytes: f64) -> f64 {
        if ranks < 2 || bytes <= 0.0 {
            return 0.0;
        }
        let n = f64::from(ranks);
        let rate = self.values.get(Constant::AllReduceEfficiency) * self.gpu.scale_up.among(ranks);
        self.values.get(Constant::AllReduceFloor) + 2.0 * (n - 1.0) / n * bytes / rate
    }

    /// Seconds of dispatch and combine for the `tokens` that one GPU holds; none where experts are not divided.
    pub(super) fn all_to_all(
        self,
        model: &Model,
        experts: Experts,
        precision: Precision,
        parallel: Parallel,
        tokens: f64,
    ) -> f64 {
        if parallel.ep < 2 || tokens <= 0.0 {
            return 0.0;
        }
        let leaving = 1.0 - 1.0 / f64::from(parallel.ep);
        let sent = if precision.experts == Dtype::Fp8 { Dtype::Fp8 } else { Dtype::Bf16 };
        let width = sent.bytes() + Dtype::Bf16.bytes();
        let bytes = tokens * f64::from(experts.chosen) * f64::from(model.hidden) * width * leaving;
        let rate = self.values.get(Constant::AllToAllEfficiency) * self.gpu.scale_up.among(parallel.gpus());
        self.values.get(Constant::AllToAllFloor) + bytes / rate
    }
}
