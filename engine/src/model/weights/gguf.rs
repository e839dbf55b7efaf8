//! A GGUF file: shape, tokenizer, chat template and tensors in one.
//!
//! `Q8_0` tensors are kept as they are and floating-point ones become single precision. All other quantised formats
//! (`Q4_1`, `Q4_K`, ...) are requantised to `Q8_0` at load: the engine then has one fast integer kernel instead of a dozen,
//! at a quarter of the memory of single precision, and the rounding that this adds (1/254 of a block's largest value) is
//! an order of magnitude below that of the four-bit format itself.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result as CandleResult};

use super::{Matrix, Names, Part, Q8_0_BLOCK, TensorSource, assemble};
use crate::model::chat::ChatTemplate;
use crate::model::config::gguf::{self as metadata, text, whole};
use crate::model::config::{Family, RopeScaling};
use crate::model::error::{ModelError, one_line};
use crate::model::tokenizer::Tokenizer;
use crate::model::{LoadedModel, ModelConfig};

/// Divisors of the rotary frequencies (Llama 3.1).
const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// Loads the model in `path`.
///
/// # Errors
/// When the file is damaged, or the model is not supported.
pub fn load(path: &Path) -> Result<LoadedModel, ModelError> {
    let file = File::open(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let content = Content::read(&mut reader).map_err(|error| malformed(path, &error))?;
    let embedding = Names::Gguf.of(Part::Embedding, 0);
    let vocab = content
        .tensor_infos
        .get(&embedding)
        .and_then(|info| info.shape.dims().first().copied())
        .ok_or_else(|| ModelError::TensorMissing { name: embedding, expected: Vec::new() })?;
    let tied_head = !content.tensor_infos.contains_key(&Names::Gguf.of(Part::Head, 0));
    let mut config = metadata::read(&content.metadata, vocab, tied_head)?;

    let tokenizer = Tokenizer::from_gguf(&content)?;
    let token = |key: &str| whole(&content.metadata, key).and_then(|id| tokenizer.token(id as u32));
    let chat_template = text(&content.metadata, "tokenizer.chat_template")
        .map(|template| {
            let (bos, eos) = (token("tokenizer.ggml.bos_token_id"), token("tokenizer.ggml.eos_token_id"));
            ChatTemplate::new(template.to_owned(), bos, eos)
        })
        .transpose()?;
    let eos = metadata::eos(&content.metadata);

    let mut source = Gguf { path: path.to_owned(), content, reader, config: config.clone() };
    if source.content.tensor_infos.contains_key(ROPE_DIVISORS) {
        config.rope.scaling = source.rope_divisors()?;
    }
    let weights = assemble(&config, &mut source)?;
    Ok(LoadedModel { config, weights, tokenizer, chat_template, eos })
}

struct Gguf {
    path: PathBuf,
    content: Content,
    reader: BufReader<File>,
    config: ModelConfig,
}

impl Gguf {
    fn tensor(&mut self, name: &str) -> Result<QTensor, ModelError> {
        let tensor = self.content.tensor(&mut self.reader, name, &Device::Cpu);
        tensor.map_err(|error| ModelError::Malformed {
            path: self.path.clone(),
            format: "GGUF file",
            why: format!("tensor `{name}`: {}", one_line(&error)),
        })
    }

    fn rope_divisors(&mut self) -> Result<RopeScaling, ModelError> {
        let divisors = self.vector(ROPE_DIVISORS)?;
        let expected = vec![self.config.head_dim / 2];
        if divisors.len() != self.config.head_dim / 2 {
            let found = vec![divisors.len()];
            return Err(ModelError::TensorShape { name: ROPE_DIVISORS.to_owned(), expected, found });
        }
        Ok(RopeScaling::Divisors(divisors))
    }

    /// GGUF files of the Llama family hold the rows of queries and keys in the order of interleaved rotary pairs. Brings
    /// them back to the order of two halves, so that there is one rotary embedding for all families.
    fn halves(&self, name: &str, matrix: Matrix) -> Matrix {
        let interleaved = self.config.family == Family::Llama
            && (name.ends_with(".attn_q.weight") || name.ends_with(".attn_k.weight"));
        if !interleaved {
            return matrix;
        }
        let (head, half) = (self.config.head_dim, self.config.head_dim / 2);
        matrix.with_rows_from(|row| {
            let within = row % head;
            row - within + 2 * (within % half) + within / half
        })
    }
}

fn malformed(path: &Path, error: &candle_core::Error) -> ModelError {
    ModelError::Malformed { path: path.to_owned(), format: "GGUF file", why: one_line(error) }
}

fn floats(tensor: &QTensor) -> CandleResult<Vec<f32>> {
    tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
}

fn requantised(tensor: &QTensor) -> CandleResult<Vec<u8>> {
    let quantised = QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, GgmlDType::Q8_0)?;
    Ok(quantised.data()?.into_owned())
}

impl TensorSource for Gguf {
    const NAMES: Names = Names::Gguf;

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.content.tensor_infos.iter().map(|(name, info)| (name.clone(), info.shape.dims().to_vec())).collect()
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix, ModelError> {
        let tensor = self.tensor(name)?;
        let read = match tensor.dtype() {
            GgmlDType::Q8_0 => tensor.data().map(|blocks| Matrix::Q8_0 { rows, columns, blocks: blocks.into_owned() }),
            GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => {
                floats(&tensor).map(|values| Matrix::F32 { rows, columns, values })
            }
            _ if columns.is_multiple_of(Q8_0_BLOCK) => {
                requantised(&tensor).map(|blocks| Matrix::Q8_0 { rows, columns, blocks })
            }
            _ => floats(&tensor).map(|values| Matrix::F32 { rows, columns, values }),
        };
        let matrix = read.map_err(|error| malformed(&self.path, &error))?;
        Ok(self.halves(name, matrix))
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        let tensor = self.tensor(name)?;
        floats(&tensor).map_err(|error| malformed(&self.path, &error))
    }

    fn may_ignore(name: &str) -> bool {
        name == ROPE_DIVISORS
    }
}
