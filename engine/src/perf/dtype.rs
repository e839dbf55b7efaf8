//! Number formats, and which part of a model is stored in which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 16 bits, bfloat16 or half.
    Bf16,
    /// 8 bits, with one scale for a tensor or a block.
    Fp8,
    /// 4 bits with an 8-bit scale for every 32 numbers (MXFP4). Weights only: they are widened and multiplied as bf16.
    Fp4,
}

impl Dtype {
    /// Bytes that one number takes, scales included.
    pub fn bytes(self) -> f64 {
        match self {
            Self::Bf16 => 2.0,
            Self::Fp8 => 1.0,
            Self::Fp4 => 0.5 + 1.0 / 32.0,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bf16 => "bf16",
            Self::Fp8 => "fp8",
            Self::Fp4 => "fp4",
        })
    }
}

/// What a deployment stores in which format. Embedding and output head stay in bf16, as in the published checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Precision {
    /// Weights of attention and of dense feed-forward networks.
    pub weights: Dtype,
    /// Weights of routed experts.
    pub experts: Dtype,
    /// Keys and values.
    pub kv: Dtype,
}

impl Precision {
    /// Everything in `dtype`.
    pub fn all(dtype: Dtype) -> Self {
        Self { weights: dtype, experts: dtype, kv: dtype }
    }
}
