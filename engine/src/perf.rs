//! How long a step takes on a GPU that is not here: an operator-level roofline.
//!
//! ```text
//!   Gpu ─┐
//!   Model ├─► Deployment (checked: divides, fits) ─► step_seconds(StepShape), decode_line(decodes), handoff()
//!   Parallel, Precision, Constants ─┘                      ▲
//!                         fit: measured steps, or whole runs ─┘ (constants move, within what their priors allow) ─► Posterior
//! ```
//!
//! Pure: no IO, no clock. Inside, everything is `f64` in SI units: seconds, bytes, FLOP, and their quotients. The formulas are
//! those of the roofline literature (Williams et al. 2009; for attention and experts the byte and FLOP counts of the papers
//! that introduced them, named where they stand); every constant in them is a [`Prior`] that says where it comes from.

mod attention;
mod band;
mod collective;
mod constants;
mod deployment;
mod dtype;
mod error;
mod ffn;
pub mod fit;
mod gemm;
mod gpu;
mod handoff;
mod kv;
mod linear;
mod model;
mod parallel;
mod posterior;
mod step;
mod weights;

pub use constants::{Constant, Constants, Phase, Prior, PriorKind, Values};
pub use deployment::{Deployment, Memory, Parts};
pub use dtype::{Dtype, Precision};
pub use error::PerfError;
pub use gpu::{Gpu, Price, ScaleUp};
pub use handoff::{Handoff, HandoffStart};
pub use model::{Attention, Experts, Ffn, Model, Window};
pub use parallel::Parallel;
pub use posterior::{Drawn, Free, Posterior};
pub use step::{Line, StepShape};

/// Where an operator runs: the GPU, and the constants that hold there.
#[derive(Clone, Copy, Debug)]
struct Site<'a> {
    gpu: &'a Gpu,
    values: &'a Values,
}
