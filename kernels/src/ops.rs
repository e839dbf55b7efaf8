//! What a transformer does between its matrix products: norms, rotary positions, the gated activation, sums. Each works on
//! rows that stand for themselves, so a row's bits do not depend on how many there are.

mod activation;
mod norm;
mod rope;

pub use activation::{add_in_place, silu_mul};
pub use norm::rms_norm;
pub use rope::RopeTable;
