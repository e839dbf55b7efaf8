//! The built-in model: a Qwen3 of about 33 million weights, made from a seed in a fraction of a second.
//!
//! It needs no file and says nothing sensible, but every step is that of a real model: the same layers, the same paged
//! KV, the same sampling. Each `Q8_0` block is a function of (seed, tensor, block index) alone, so a weight never depends
//! on the order in which tensors are made.

use half::f16;

use super::config::{Family, Rope, RopeScaling};
use super::counter;
use super::weights::{LayerWeights, Matrix, Part, Q8_0_BLOCK, Q8_0_BYTES, Weights};
use super::{ChatTemplate, LoadedModel, ModelConfig, Tokenizer};

/// The shape of the built-in model.
pub fn config() -> ModelConfig {
    ModelConfig {
        family: Family::Qwen3,
        layers: 8,
        hidden: 512,
        ffn: 1536,
        heads: 8,
        kv_heads: 4,
        head_dim: 64,
        vocab: 8192,
        context: 16_384,
        norm_epsilon: 1e-6,
        rope: Rope { theta: 1_000_000.0, scaling: RopeScaling::None },
        tied_head: false,
    }
}

/// Makes the built-in model of `seed`.
pub(super) fn load(seed: u64) -> LoadedModel {
    let config = config();
    let weights = weights(seed, &config);
    let tokenizer = Tokenizer::bytes(config.vocab as u32);
    // No id ends an answer: a random model would stop at random, and a load test wants the length that it asked for.
    LoadedModel { config, weights, tokenizer, chat_template: chat_template(), eos: Vec::new() }
}

/// Messages one after another, each with its role: the model understands neither, but chats have prompts of their length.
fn chat_template() -> Option<ChatTemplate> {
    let template = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}assistant: ";
    ChatTemplate::new(template.to_owned(), None, None).ok()
}

/// Standard deviation of a uniform byte in `-127..=127`.
const BYTE_DEVIATION: f32 = 73.32;

/// Gain of the norms on query and key heads. At 1 the attention of random heads is nearly flat; this makes it look at a
/// few positions, so that what comes out depends on the text and does not settle into a loop at once.
const QK_GAIN: f32 = 1.6;

/// Makes random weights of shape `config`. Every matrix keeps the scale of its input, as a trained one about does.
fn weights(seed: u64, config: &ModelConfig) -> Weights {
    let matrix = |part: Part, layer: usize| matrix(seed, config, part, layer);
    let layers = (0..config.layers)
        .map(|layer| LayerWeights {
            attention_norm: vec![1.0; config.hidden],
            query: matrix(Part::Query, layer),
            key: matrix(Part::Key, layer),
            value: matrix(Part::Value, layer),
            qk_norm: Some((vec![QK_GAIN; config.head_dim], vec![QK_GAIN; config.head_dim])),
            output: matrix(Part::Output, layer),
            ffn_norm: vec![1.0; config.hidden],
            gate: matrix(Part::Gate, layer),
            up: matrix(Part::Up, layer),
            down: matrix(Part::Down, layer),
        })
        .collect();
    Weights {
        embedding: matrix(Part::Embedding, 0),
        layers,
        norm: vec![1.0; config.hidden],
        head: Some(matrix(Part::Head, 0)),
    }
}

fn matrix(seed: u64, config: &ModelConfig, part: Part, layer: usize) -> Matrix {
    let shape = part.shape(config);
    let (rows, columns) = (shape[0], shape[1]);
    let deviation = match part {
        Part::Embedding => 1.0,
        // The gate's SiLU and the product with `up` halve the scale; the averaging of attention lowers it as well.
        Part::Down | Part::Output => 2.0 / (columns as f32).sqrt(),
        _ => 1.0 / (columns as f32).sqrt(),
    };
    let key = counter::stream(seed, (part as u64) << 32 | layer as u64);
    Matrix::Q8_0 { rows, columns, blocks: blocks(key, rows * columns / Q8_0_BLOCK, deviation) }
}

/// `count` blocks of uniform bytes with one scale, from four 64-bit values each.
fn blocks(key: u64, count: usize, deviation: f32) -> Vec<u8> {
    let scale = f16::from_f32(deviation / BYTE_DEVIATION).to_le_bytes();
    let mut bytes = vec![0u8; count * Q8_0_BYTES];
    for (index, block) in bytes.chunks_exact_mut(Q8_0_BYTES).enumerate() {
        let (head, quants) = block.split_at_mut(2);
        head.copy_from_slice(&scale);
        for (word, quants) in quants.chunks_exact_mut(8).enumerate() {
            let random = counter::value(key, (4 * index + word) as u64).to_le_bytes();
            // -128 would make the bytes lopsided, and quantisers never write it.
            quants.copy_from_slice(&random.map(|byte| if byte == 0x80 { 0 } else { byte }));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ChatMessage;

    #[test]
    fn it_has_about_thirty_million_weights_and_a_long_context() {
        let config = config();
        assert!((25_000_000..35_000_000).contains(&config.parameters()), "{}", config.parameters());
        assert!(config.context >= 8192);
    }

    #[test]
    fn messages_become_a_prompt() {
        let messages = [ChatMessage::system("Be kind."), ChatMessage::user("Hi")];
        let prompt = chat_template().expect("a template").render(&messages).expect("a prompt");
        assert_eq!(prompt, "system: Be kind.\nuser: Hi\nassistant: ");
    }

    #[test]
    fn a_matrix_has_the_deviation_asked_for_and_mean_zero() {
        let matrix = Matrix::Q8_0 { rows: 64, columns: 512, blocks: blocks(9, 64 * 16, 0.05) };
        let mut row = vec![0.0; 512];
        let (mut sum, mut squares) = (0.0, 0.0);
        for index in 0..64 {
            assert!(matrix.read_row(index, &mut row));
            sum += row.iter().sum::<f32>();
            squares += row.iter().map(|x| x * x).sum::<f32>();
        }
        let n = 64.0 * 512.0;
        assert!((sum / n).abs() < 0.001, "{}", sum / n);
        assert!(((squares / n).sqrt() - 0.05).abs() < 0.001, "{}", (squares / n).sqrt());
    }

    #[test]
    fn the_seed_decides_every_tensor_and_no_two_tensors_are_alike() {
        let start = |seed, part, layer| {
            let Matrix::Q8_0 { blocks, .. } = matrix(seed, &config(), part, layer) else { panic!("format") };
            blocks[2..34].to_vec()
        };
        assert_eq!(start(1, Part::Key, 0), start(1, Part::Key, 0));
        let others = [start(2, Part::Key, 0), start(1, Part::Key, 1), start(1, Part::Value, 0)];
        assert!(others.iter().all(|other| *other != start(1, Part::Key, 0)));
    }
}
