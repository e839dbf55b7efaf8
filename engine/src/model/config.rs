//! The shape of a transformer, whichever file it was read from.

pub mod gguf;
pub mod huggingface;

use super::error::ModelError;

/// What [`ModelError::Architecture`] says is supported.
pub(super) const SUPPORTED: &str =
    "the engine computes Qwen3ForCausalLM and LlamaForCausalLM (in GGUF: `qwen3` and `llama`)";

/// A family of architectures; the two differ in the QK-norm and in names alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Qwen3 (dense): RMS norm on every head of queries and keys.
    Qwen3,
    /// Llama 2 and 3, and models of the same shape such as `SmolLM2`.
    Llama,
}

impl Family {
    /// Whether queries and keys are normalised head by head.
    pub fn qk_norm(self) -> bool {
        self == Self::Qwen3
    }
}

/// How the frequencies of the rotary embedding are changed for long contexts.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All divided by one factor.
    Linear {
        /// At least 1.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by `factor`, short ones kept, a smooth passage between.
    Llama3 {
        /// The divisor of long wavelengths.
        factor: f64,
        /// Wavelengths above `original_context / low_freq_factor` are long.
        low_freq_factor: f64,
        /// Wavelengths below `original_context / high_freq_factor` are short.
        high_freq_factor: f64,
        /// The context that the model was first trained with.
        original_context: f64,
    },
    /// One divisor for each frequency, as GGUF stores them in `rope_freqs.weight`.
    Divisors(Vec<f32>),
}

/// The rotary position embedding (Su et al. 2021), with the two halves of a head as the pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies.
    pub theta: f64,
    /// The change for long contexts.
    pub scaling: RopeScaling,
}

impl Rope {
    /// The angle per position of each of the `head_dim / 2` pairs.
    pub fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        let plain = (0..head_dim / 2).map(|i| 1.0 / self.theta.powf(2.0 * i as f64 / head_dim as f64));
        match &self.scaling {
            RopeScaling::None => plain.map(|f| f as f32).collect(),
            RopeScaling::Linear { factor } => plain.map(|f| (f / factor) as f32).collect(),
            RopeScaling::Divisors(divisors) => plain.zip(divisors).map(|(f, &d)| (f / f64::from(d)) as f32).collect(),
            &RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => plain
                .map(|f| {
                    // The share of the unscaled frequency: 0 for long wavelengths, 1 for short ones.
                    let turns = original_context * f / std::f64::consts::TAU;
                    let kept = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
                    (f * kept + f / factor * (1.0 - kept)) as f32
                })
                .collect(),
        }
    }
}

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
    /// Transformer layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward network.
    pub ffn: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Token ids.
    pub vocab: usize,
    /// Longest sequence.
    pub context: usize,
    /// Added to the mean square in every RMS norm.
    pub norm_epsilon: f32,
    /// The position embedding.
    pub rope: Rope,
    /// Whether the embedding is the output head too.
    pub tied_head: bool,
}

impl ModelConfig {
    /// Width of all query heads together.
    pub fn query_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together, which is that of the values too.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Weights in the model, norms included.
    pub fn parameters(&self) -> usize {
        let attention = self.hidden * (2 * self.query_width() + 2 * self.kv_width());
        let norms = 2 * self.hidden + if self.family.qk_norm() { 2 * self.head_dim } else { 0 };
        let layer = attention + 3 * self.hidden * self.ffn + norms;
        let heads = if self.tied_head { 1 } else { 2 };
        self.layers * layer + heads * self.vocab * self.hidden + self.hidden
    }

    /// Refuses shapes that no forward pass exists for.
    pub(super) fn check(self) -> Result<Self, ModelError> {
        let sizes = [
            ("layers", self.layers),
            ("hidden size", self.hidden),
            ("feed-forward size", self.ffn),
            ("attention heads", self.heads),
            ("key-value heads", self.kv_heads),
            ("head size", self.head_dim),
            ("vocabulary size", self.vocab),
            ("context length", self.context),
        ];
        for (key, size) in sizes {
            // Far beyond any model; it keeps every product of two sizes within the address space.
            if size == 0 || size > 1 << 24 {
                return Err(value_error(key, &size, "a whole number from 1 to 16777216"));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(value_error("key-value heads", &self.kv_heads, "it must divide the number of attention heads"));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(value_error("head size", &self.head_dim, "it must be even for rotary positions"));
        }
        if !(self.norm_epsilon > 0.0 && self.norm_epsilon < 1.0) {
            return Err(value_error("norm epsilon", &self.norm_epsilon, "it must lie between 0 and 1"));
        }
        if !(self.rope.theta >= 1.0 && self.rope.theta.is_finite()) {
            return Err(value_error("rope theta", &self.rope.theta, "it must be at least 1"));
        }
        let scaling = match self.rope.scaling {
            RopeScaling::None | RopeScaling::Divisors(_) => true,
            RopeScaling::Linear { factor } => factor >= 1.0 && factor.is_finite(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                factor >= 1.0 && low_freq_factor > 0.0 && high_freq_factor > low_freq_factor && original_context > 0.0
            }
        };
        if !scaling {
            return Err(value_error(
                "rope scaling",
                &format_args!("{:?}", self.rope.scaling),
                "factors must be at least 1, and the high-frequency factor above the low one",
            ));
        }
        Ok(self)
    }
}

fn value_error(key: &str, found: &dyn std::fmt::Display, allowed: &'static str) -> ModelError {
    ModelError::ConfigValue { key: key.to_owned(), found: found.to_string(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_frequencies_are_powers_of_theta() {
        let rope = Rope { theta: 10_000.0, scaling: RopeScaling::None };
        let found = rope.frequencies(8);
        for (found, expected) in found.into_iter().zip([1.0, 0.1, 0.01, 0.001]) {
            assert!((found - expected).abs() < 1e-7 * expected, "{found} {expected}");
        }
    }

    #[test]
    fn llama3_scaling_keeps_short_wavelengths_divides_long_ones_and_is_monotonic() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192.0 };
        let plain = Rope { theta: 500_000.0, scaling: RopeScaling::None }.frequencies(128);
        let scaled = Rope { theta: 500_000.0, scaling }.frequencies(128);
        assert_eq!(plain[0].to_bits(), scaled[0].to_bits());
        assert!((plain[63] / scaled[63] - 8.0).abs() < 1e-5);
        assert!(scaled.windows(2).all(|pair| pair[0] > pair[1]));
        let between = plain.iter().zip(&scaled).filter(|(p, s)| (1.01..7.99).contains(&(*p / *s))).count();
        assert!(between > 0, "some frequencies lie on the passage");
    }
}
