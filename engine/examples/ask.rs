//! Asks a model one question and writes the answer as it is made:
//!
//! ```text
//! cargo run --release --example ask -- MODEL "question" [most tokens]
//! ```
//!
//! MODEL is a GGUF file, a Hugging Face folder, or the word `builtin` (which answers in no language).

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;

use engine::cluster::{Extent, PlannedSequence, StepPlan};
use engine::executor::cpu::{CpuModel, KvDtype, executors};
use engine::executor::{Executor as _, Sampling, StepInput};
use engine::model::{ChatMessage, ModelSource};
use engine::units::RequestId;

const BLOCK_TOKENS: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(question)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask MODEL \"question\" [most tokens]".into());
    };
    let most = arguments.next().map_or(Ok(128), |n| n.parse::<usize>())?;
    let path = PathBuf::from(&model);
    let source = match model.as_str() {
        "builtin" => ModelSource::Builtin { seed: 0 },
        _ if path.is_dir() => ModelSource::Folder(path),
        _ => ModelSource::Gguf(path),
    };
    let model = CpuModel::load(&source)?;

    let mut tokens = match model.chat_template() {
        Some(template) => model.tokenizer().encode(&template.render(&[ChatMessage::user(question)])?, false)?,
        None => model.tokenizer().encode(&question, true)?,
    };
    let prompt = tokens.len();
    let blocks = u32::try_from(model.config().context.min(prompt + most))?.div_ceil(BLOCK_TOKENS);
    let mut unit = executors(&model, 1, blocks, BLOCK_TOKENS, KvDtype::F16)?.pop().ok_or("no unit")?;
    let mut plan = StepPlan { extents: vec![Extent { first: 0, blocks }], ..StepPlan::new() };
    let mut out = std::io::stdout().lock();
    let (mut start, mut written) = (0, 0);
    while tokens.len() < model.config().context.min(prompt + most) {
        plan.sequences = vec![PlannedSequence {
            request: RequestId(0),
            start: u32::try_from(start)?,
            tokens: u32::try_from(tokens.len() - start)?,
            sample: true,
            output_index: u32::try_from(tokens.len() - prompt)?,
            table: 0..1,
        }];
        let mut sampled = Vec::new();
        unit.step(StepInput { plan: &plan, tokens: &tokens[start..], sampling: &[Sampling::Greedy] }, &mut sampled)?;
        let next = sampled.first().ok_or("nothing was sampled")?.token;
        if model.eos().contains(&next) {
            break;
        }
        start = tokens.len();
        tokens.push(next);
        // A character may be spread over several tokens: it is written once it is whole.
        let text = model.tokenizer().decode(&tokens[prompt..])?;
        if let Some(new) = text.get(written..)
            && !new.ends_with(char::REPLACEMENT_CHARACTER)
        {
            out.write_all(new.as_bytes())?;
            out.flush()?;
            written = text.len();
        }
    }
    writeln!(out)?;
    Ok(())
}
