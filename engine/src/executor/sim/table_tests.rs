use proptest::prelude::*;

use super::*;

/// Weights and a soft maximum for matrix products, attention by pairs and positions, a bit for every sample.
struct Roofline;

impl Roofline {
    fn products(tokens: u32) -> f64 {
        let (compute, memory): (f64, f64) = (f64::from(tokens) * 40e-6, 8e-3);
        (compute.powi(4) + memory.powi(4)).powf(0.25)
    }
}

impl StepModel for Roofline {
    fn decode_line(&self, decodes: u32) -> (f64, f64) {
        (1e-3 + Self::products(decodes) + 30e-6 * f64::from(decodes), 40e-9)
    }

    fn step_seconds(&self, shape: &StepShape) -> f64 {
        let apart = 1e-3
            + Self::products(shape.tokens())
            + 0.4e-9 * (shape.doubled_pairs as f64 / 2.0)
            + 40e-9 * shape.context as f64
            + 30e-6 * f64::from(shape.sampled);
        // A mixed step takes longer than its parts.
        if shape.prompt_tokens > 0 && shape.decodes > 0 { apart * 1.15 } else { apart }
    }
}

fn tables() -> Tabulated {
    let hand_off = HandOff { bytes_per_token: 1 << 17, setup: Nanos(1), link_bytes_per_second: 1 << 35, layers: 1 };
    let limits = TabulatedLimits {
        prefill: BatchLimits { tokens: 8192, sequences: 64 },
        decode: BatchLimits { tokens: 256, sequences: 256 },
        aggregated: BatchLimits { tokens: 2048, sequences: 256 },
        granularity: 16,
        hand_off,
        switch: Nanos(2),
        restart: Nanos(5),
        warm: Nanos(3),
    };
    Tabulated::new(limits, |_| Box::new(Roofline)).expect("tables")
}

#[test]
fn an_answer_that_is_no_duration_is_refused() {
    struct Broken;
    impl StepModel for Broken {
        fn decode_line(&self, _: u32) -> (f64, f64) {
            (1e-3, 0.0)
        }
        fn step_seconds(&self, shape: &StepShape) -> f64 {
            if shape.prompt_tokens > 4000 { f64::NAN } else { 1e-3 }
        }
    }
    let refused = Tabulated::new(tables().limits, |_| Box::new(Broken)).expect_err("not a number");
    assert!(refused.tokens > 4000 && refused.seconds.is_nan());
}

proptest! {
    #[test]
    fn decode_steps_are_exact_to_the_tick(decodes in 1_u32..=256, context in 0_u64..1 << 23) {
        let shape = StepShape { decodes, context, sampled: decodes, ..StepShape::default() };
        let line = tables().step(Role::Decode, &shape);
        let ticks = line.base.0 + line.per_position.0 * context;
        // Half a tick for the base, and half a tick for every position.
        let exact = Roofline.step_seconds(&shape) * 1e9 * Ticks::PER_NANO as f64;
        prop_assert!((ticks as f64 - exact).abs() <= 1.0 + context as f64 / 2.0 + exact * 1e-12);
    }

    #[test]
    fn prompt_steps_are_off_by_no_more_than_the_granularity(
        role in prop::sample::select(vec![Role::Prefill, Role::Aggregated]),
        prompt_tokens in 64_u32..=2048,
        cached in 0_u64..4096,
        decodes in 0_u32..64,
        context in 0_u64..1 << 18,
    ) {
        let prompt_tokens = prompt_tokens.min(2048 - decodes);
        let length = u64::from(prompt_tokens);
        let doubled_pairs = length * (2 * cached + length);
        let context = if decodes > 0 { context } else { 0 };
        let sampled = decodes + 1;
        let shape = StepShape { decodes, context, prompt_tokens, doubled_pairs, sampled };
        let off = tables().deviation(role, &shape, &Roofline);
        prop_assert!((-0.002..0.06).contains(&off), "{off} for {shape:?}");
    }
}
