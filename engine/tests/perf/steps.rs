//! How the time of a step answers to what it computes and to what computes it.

use engine::perf::{Constant, Constants, Deployment, Gpu, Model, Parallel, Phase, StepShape};
use proptest::prelude::*;

use super::world::{dense, deployment, experts, gpu, latent, models, parts, windowed};

fn model() -> impl Strategy<Value = Model> {
    prop::sample::select(models().to_vec())
}

/// A step with decodes, prompts or both.
fn shape() -> impl Strategy<Value = StepShape> {
    let prompts = prop::collection::vec((0u64..40_000, 1u64..20_000), 0..4);
    (0u32..300, 0u64..5_000_000, prompts).prop_map(|(decodes, context, prompts)| {
        let context = if decodes == 0 { 0 } else { context };
        prompts
            .iter()
            .fold(StepShape::decode(decodes, context), |shape, &(cached, new)| shape.with_prompt(cached, new, true))
    })
}

fn with_gpu(model: Model, gpu: Gpu) -> Deployment {
    Deployment::new(engine::perf::Parts { gpu, ..parts(model, 8) }).expect("a deployment")
}

/// Constants by which every time is longer by `factor`: all that is paid whatever the size, and every rate.
fn slower(constants: Constants, factor: f64) -> Constants {
    let phases = |constants: Constants, constant: Constant| {
        [Phase::Decode, Phase::Prompt].into_iter().fold(constants, |constants, phase| {
            if phase == Phase::Prompt && !constants.differs(constant) {
                return constants;
            }
            let value = constants.prior(constant, phase).expect("a constant").value;
            constants.with(constant, phase, value * factor)
        })
    };
    Constant::ALL.into_iter().filter(|constant| constant.si() < 1.0).fold(constants, phases)
}

proptest! {
    #![proptest_config(super::world::random())]

    #[test]
    fn decode_is_affine_in_the_sum_of_contexts(model in model(), decodes in 1u32..600, context in 0u64..20_000_000) {
        let deployment = deployment(model, 8);
        let line = deployment.decode_line(decodes);
        let step = |context| deployment.step_seconds(&StepShape::decode(decodes, context));
        prop_assert_eq!(step(context).to_bits(), line.at(context).to_bits());
        let (near, far) = (step(0), step(2 * context));
        prop_assert!((step(context) - f64::midpoint(near, far)).abs() <= 1e-12 * far);
        prop_assert!(line.base_s > 0.0 && line.per_position_s > 0.0);
    }

    #[test]
    fn more_work_never_takes_less_time(model in model(), shape in shape(), more in 1u64..10_000) {
        let deployment = deployment(model, 8);
        let now = deployment.step_seconds(&shape);
        let longer = StepShape { decode_context: shape.decode_context + more, ..shape };
        prop_assert!(shape.decodes == 0 || deployment.step_seconds(&longer) > now);
        let samples = StepShape { sampled: shape.sampled + 1, ..shape };
        prop_assert!(deployment.step_seconds(&samples) >= now);
        if shape.prompt_tokens > 0 {
            prop_assert!(deployment.step_seconds(&shape.with_prompt(0, more, false)) > now);
            let wider = StepShape { decodes: shape.decodes + 1, ..shape };
            prop_assert!(deployment.step_seconds(&wider) > now);
        }
        prop_assert!(deployment.decode_line(shape.decodes + 1).base_s > deployment.decode_line(shape.decodes).base_s);
    }

    #[test]
    fn a_better_gpu_is_never_slower(model in model(), shape in shape(), factor in 1.0..4.0f64, which in 0..6) {
        let mut better = gpu();
        match which {
            0 => better.bf16_flops *= factor,
            1 => better.fp8_flops *= factor,
            2 => better.hbm_bytes_per_s *= factor,
            3 => better.scale_up.bytes_per_s *= factor,
            4 => better.scale_up.pair_bytes_per_s = None,
            _ => better.nic_bytes_per_s *= factor,
        }
        let (plain, better) = (deployment(model.clone(), 8), with_gpu(model, better));
        prop_assert!(better.step_seconds(&shape) <= plain.step_seconds(&shape) * (1.0 + 1e-12));
        prop_assert!(better.handoff().at_end(1e9) <= plain.handoff().at_end(1e9));
    }

    /// Every term is a time: with all rates divided and all floors multiplied by one factor, so is the step.
    #[test]
    fn times_scale(model in model(), shape in shape(), factor in 1.0..3.0f64) {
        let mut slow = gpu();
        slow.bf16_flops /= factor;
        slow.fp8_flops /= factor;
        slow.hbm_bytes_per_s /= factor;
        slow.scale_up.bytes_per_s /= factor;
        slow.scale_up.pair_bytes_per_s = slow.scale_up.pair_bytes_per_s.map(|pair| pair / factor);
        let plain = deployment(model.clone(), 8);
        let slow = with_gpu(model, slow).with_constants(slower(plain.parts().constants.clone(), factor));
        let (expected, found) = (plain.step_seconds(&shape) * factor, slow.step_seconds(&shape));
        prop_assert!((found - expected).abs() <= 1e-9 * expected, "{found} {expected}");
    }

    /// One pass over the prompt, or several over its chunks: pairs add up, and every pass pays its fixed part again.
    #[test]
    fn chunks_cost_more_than_the_whole(model in model(), chunk in 1u64..4_000, chunks in 2u64..8) {
        let deployment = deployment(model, 8);
        let whole = StepShape::default().with_prompt(0, chunk * chunks, true);
        let parts = (0..chunks).map(|i| StepShape::default().with_prompt(i * chunk, chunk, i + 1 == chunks));
        let (mut seconds, mut pairs) = (0.0, 0.0);
        for part in parts {
            seconds += deployment.step_seconds(&part);
            pairs += part.prompt_pairs;
        }
        prop_assert!((pairs - whole.prompt_pairs).abs() <= 1e-9 * pairs);
        prop_assert!(seconds > deployment.step_seconds(&whole));
    }
}

#[test]
fn a_step_without_tokens_takes_no_time() {
    for model in models() {
        assert!(deployment(model, 8).step_seconds(&StepShape::default()).abs() < f64::EPSILON);
    }
}

#[test]
fn prompts_run_with_the_constants_of_prompts() {
    let deployment = deployment(dense(), 1);
    let eager = deployment.parts().constants.clone().with(Constant::LayerFloor, Phase::Prompt, 140.0);
    let slower = deployment.clone().with_constants(eager);
    let prompt = StepShape::default().with_prompt(0, 512, true);
    // A hundred microseconds more in each of 36 layers.
    assert!((slower.step_seconds(&prompt) - deployment.step_seconds(&prompt) - 3.6e-3).abs() < 1e-9);
    assert_eq!(slower.decode_line(8), deployment.decode_line(8));
}

#[test]
fn a_mixed_step_is_one_pass_and_its_factor_acts_on_mixed_steps_alone() {
    let plain = deployment(experts(), 8);
    let factor = plain.parts().constants.clone().with(Constant::MixedFactor, Phase::Decode, 1.25);
    let slower = plain.clone().with_constants(factor);
    let (decode, prompt) = (StepShape::decode(64, 500_000), StepShape::default().with_prompt(0, 2_048, true));
    let mixed = decode.with_prompt(0, 2_048, true);
    assert!(plain.step_seconds(&mixed) < plain.step_seconds(&decode) + plain.step_seconds(&prompt));
    assert!((slower.step_seconds(&mixed) / plain.step_seconds(&mixed) - 1.25).abs() < 1e-12);
    for same in [decode, prompt] {
        assert_eq!(slower.step_seconds(&same).to_bits(), plain.step_seconds(&same).to_bits());
    }
}

#[test]
fn tensor_parallelism_divides_grouped_reads_until_heads_repeat_and_latent_reads_never() {
    let slope = |model: Model, tp| deployment(model, tp).decode_line(16).per_position_s;
    // Four key and value heads: half the bytes at TP4, and no less at TP8.
    assert!((slope(experts(), 4) / slope(experts(), 2) - 0.5).abs() < 1e-12);
    assert!((slope(experts(), 8) / slope(experts(), 4) - 1.0).abs() < 1e-12);
    // The latent's reads bound decode attention from below on any number of ranks.
    let bytes = 61.0 * 576.0;
    for tp in [4, 8] {
        assert!(slope(latent(), tp) >= bytes / (0.6 * 6.0e12) * (1.0 - 1e-12));
    }
    // Attention by data parallelism does divide them.
    let mut by_data = parts(latent(), 8);
    by_data.parallel = Parallel { tp: 1, ep: 8, attention_dp: 8 };
    by_data.memory.max_context = 16_384;
    let by_data = Deployment::new(by_data).expect("a deployment").decode_line(16);
    assert!(by_data.per_position_s * 8.0 >= bytes / (0.6 * 6.0e12) * (1.0 - 1e-12));
}

#[test]
fn a_window_bounds_what_its_layers_read() {
    let (windowed, whole) = (windowed(), Model { window: None, ..windowed() });
    let (windowed, whole) = (deployment(windowed, 8), deployment(whole, 8));
    let (short, long) = (windowed.decode_line(32), whole.decode_line(32));
    assert!((short.per_position_s / long.per_position_s - 0.5).abs() < 1e-12);
    let prompt = StepShape::default().with_prompt(0, 16_384, true);
    assert!(windowed.step_seconds(&prompt) < whole.step_seconds(&prompt));
}

#[test]
fn the_band_of_a_step_is_as_wide_as_what_it_rests_on() {
    let deployment = deployment(dense(), 1);
    let decode = StepShape::decode(1, 100_000);
    let band = deployment.step_log_spread(&decode);
    // Each constant has a spread of a fifth and those of decode share the step, so the whole is surer than each.
    assert!((0.05..0.2).contains(&band), "{band}");
    // What nothing of the step rests on leaves it alone: how prompts attend is no part of decode.
    let other = deployment.parts().constants.clone().with(Constant::PromptAttentionMfu, Phase::Decode, 0.1);
    assert!((deployment.clone().with_constants(other).step_log_spread(&decode) - band).abs() < 1e-12);
    assert!(deployment.step_log_spread(&StepShape::default()).abs() < f64::EPSILON);
}
