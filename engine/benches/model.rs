//! The built-in model on one thread against candle-transformers on the same weights:
//!
//! ```text
//! cargo bench -p pdtune-engine --bench model
//! ```
//!
//! Both sides are measured in turns, in one process, by the processor time of the thread that computes, so that neither a
//! busy machine nor its neighbours favour one of them. candle's quantised Qwen3 takes one sequence at a time on a CPU, so a
//! batch is as many calls; its dense Qwen3 takes batches, in single precision. The faster of the two is what counts.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark reports, and fails where it cannot")]

#[path = "model_reference/candle.rs"]
mod candle;
#[path = "model_reference/ours.rs"]
mod ours;

use candle::{Dense, Quantized};
use ours::Ours;

/// What is measured: steps of so many tokens, and what each side needs to run them.
trait Side {
    /// Computes a prompt into an empty cache.
    fn prefill(&mut self, prompt: &[u32]);
    /// Gives each of `batch` sequences a context of `prompt`.
    fn start_decoding(&mut self, prompt: &[u32], batch: usize);
    /// One decode step for every sequence.
    fn decode(&mut self);
}

const PROMPT: usize = 512;
const CONTEXT: usize = 128;
const STEPS: usize = 16;
const ROUNDS: usize = 7;

fn main() {
    // candle's thread pools read these when they are first used, and a program cannot safely set its own environment.
    let single = [("RAYON_NUM_THREADS", "1"), ("CANDLE_NUM_THREADS", "1")];
    if single.iter().any(|(name, value)| std::env::var(name).as_deref() != Ok(value)) {
        let program = std::env::current_exe().expect("this program");
        let status = std::process::Command::new(program).envs(single).status().expect("this program once more");
        assert!(status.success(), "the benchmark failed");
        return;
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    pool.install(run);
}

fn run() {
    let started = cpu_seconds();
    let mut ours = Ours::new();
    let prompt = ours.prompt(32);
    ours.prefill(&prompt);
    println!("start to first token of a 32-token prompt: {:.2} s of processor time", cpu_seconds() - started);

    let mut quantized = Quantized::new();
    let mut dense = Dense::new();
    let prompt = ours.prompt(PROMPT);
    compare_logits(&mut ours, &mut quantized, &prompt);

    println!("\ntokens per second of processor time, median (best) of {ROUNDS} rounds");
    println!("{:>8} {:>16} {:>16} {:>16}   engine / faster of candle's", "", "engine", "candle Q8_0", "candle F32");
    let prefill = |side: &mut dyn Side| {
        let from = cpu_seconds();
        side.prefill(&prompt);
        PROMPT as f64 / (cpu_seconds() - from)
    };
    row("pp512", &mut [&mut ours, &mut quantized, &mut dense], prefill);
    for batch in [1, 8, 32] {
        let decode = |side: &mut dyn Side| {
            side.start_decoding(&prompt[..CONTEXT], batch);
            let from = cpu_seconds();
            for _ in 0..STEPS {
                side.decode();
            }
            (STEPS * batch) as f64 / (cpu_seconds() - from)
        };
        row(&format!("b{batch}"), &mut [&mut ours, &mut quantized, &mut dense], decode);
    }
}

/// Measures all sides in turns and prints a line.
fn row(name: &str, sides: &mut [&mut dyn Side; 3], mut measure: impl FnMut(&mut dyn Side) -> f64) {
    let mut rates = [const { Vec::new() }; 3];
    for round in 0..=ROUNDS {
        for (side, rates) in sides.iter_mut().zip(&mut rates) {
            let rate = measure(&mut **side);
            // The first round packs candle's weights and touches all memory once.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let [ours, quantized, dense] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        (rates[ROUNDS / 2], rates[ROUNDS - 1])
    });
    let cell = |(median, best): (f64, f64)| format!("{median:.0} ({best:.0})");
    let ratio = ours.0 / quantized.0.max(dense.0);
    println!("{name:>8} {:>16} {:>16} {:>16}   {ratio:.2}", cell(ours), cell(quantized), cell(dense));
}

/// The two quantised sides round activations in blocks of different size, so logits agree only about; a wrong model would
/// not agree at all.
fn compare_logits(ours: &mut Ours, quantized: &mut Quantized, prompt: &[u32]) {
    ours.prefill(prompt);
    let (a, b) = (ours.logits(), quantized.logits(prompt));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x * y)).sum::<f64>();
    let cosine = dot(a, &b) / (dot(a, a) * dot(&b, &b)).sqrt();
    println!("cosine of the logits after {} tokens, engine and candle Q8_0: {cosine:.5}", prompt.len());
    assert!(cosine > 0.99, "the two sides compute different models");
}

fn cpu_seconds() -> f64 {
    kernels::thread::cpu_time_ns().expect("processor time of the thread") as f64 / 1e9
}
