//! How one unit is spread over GPUs.

use super::error::PerfError;
use super::model::{Attention, Ffn, Model};

/// The parallelism of a unit of `tp × attention_dp` GPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parallel {
    /// Ranks that share every sequence's attention and every dense network.
    pub tp: u32,
    /// Groups that the routed experts are divided into; what is left of the GPUs divides each expert.
    pub ep: u32,
    /// Groups of `tp` GPUs that attend to different sequences.
    pub attention_dp: u32,
}

impl Default for Parallel {
    fn default() -> Self {
        Self { tp: 1, ep: 1, attention_dp: 1 }
    }
}

impl Parallel {
    /// GPUs of a unit.
    pub fn gpus(self) -> u32 {
        self.tp * self.attention_dp
    }

    /// GPUs that each expert is divided among.
    pub fn expert_tp(self) -> u32 {
        (self.gpus() / self.ep).max(1)
    }

    /// Checks that a model can be divided like this.
    ///
    /// # Errors
    /// The first count that does not divide, with the numbers.
    pub fn check(self, model: &Model) -> Result<(), PerfError> {
        for (key, value) in [("unit.tp", self.tp), ("unit.ep", self.ep), ("unit.attention_dp", self.attention_dp)] {
            PerfError::range(key, f64::from(value), 1.0, 1024.0)?;
        }
        let of = |what: &str| format!("{what} of {}", model.name);
        divides("unit.tp", self.tp, of("`heads`"), model.heads)?;
        if let Attention::Grouped { kv_heads, .. } = model.attention {
            // With more ranks than heads each head is on several ranks, on as many as the others.
            if !kv_heads.is_multiple_of(self.tp) && !self.tp.is_multiple_of(kv_heads) {
                let what = of("`attention.kv_heads`");
                return Err(PerfError::Indivisible { key: "unit.tp", value: self.tp, what, of: kv_heads });
            }
        }
        match model.ffn {
            Ffn::Dense { inner } => {
                divides("unit.tp", self.tp, of("`ffn.inner`"), inner)?;
                if self.ep != 1 {
                    let why = format!("= {}, but {} has no experts to divide", self.ep, model.name);
                    return Err(PerfError::Unsupported { key: "unit.ep", why });
                }
            }
            Ffn::Experts(experts) => {
                divides("unit.ep", self.ep, "the GPUs of a unit, `tp` times `attention_dp`,".to_owned(), self.gpus())?;
                divides("unit.ep", self.ep, of("`experts.count`"), experts.count)?;
                divides("unit.tp", self.expert_tp(), of("`experts.inner`"), experts.inner)?;
                divides("unit.tp", self.tp, of("`experts.shared_inner`"), experts.shared_inner)?;
                divides("unit.tp", self.tp, of("`ffn.inner`"), experts.dense_inner)?;
            }
        }
        Ok(())
    }
}

fn divides(key: &'static str, value: u32, what: String, of: u32) -> Result<(), PerfError> {
    if of.is_multiple_of(value) { Ok(()) } else { Err(PerfError::Indivisible { key, value, what, of }) }
}
