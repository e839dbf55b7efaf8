//! A fit finds the constants that made the measurements, and says which it could not tell.

use engine::perf::fit::{Fitted, Free, Observation, fit, fit_to};
use engine::perf::{Constant, Deployment, Phase, StepShape};

use super::world::{dense, deployment};

/// Decode steps of many sizes.
fn decodes() -> Vec<StepShape> {
    let batches = [1, 4, 16, 64, 256];
    batches
        .into_iter()
        .flat_map(|b| [256, 2_048, 8_192].map(|context| StepShape::decode(b, u64::from(b) * context)))
        .collect()
}

fn measured(truth: &Deployment, shapes: &[StepShape], error: impl Fn(usize) -> f64) -> Vec<Observation> {
    let of = |(index, shape): (usize, &StepShape)| Observation {
        shape: *shape,
        seconds: truth.step_seconds(shape) * error(index),
    };
    shapes.iter().enumerate().map(of).collect()
}

fn decode(constant: Constant) -> Free {
    Free { constant, phase: Phase::Decode }
}

fn value(fitted: &Fitted, constant: Constant) -> f64 {
    fitted.constants.prior(constant, Phase::Decode).expect("a constant").value
}

#[test]
fn constants_are_found_again_from_the_steps_they_make() {
    let believed = deployment(dense(), 1);
    let constants = believed.parts().constants.clone();
    let truth =
        constants.with(Constant::GemmMbu, Phase::Decode, 0.75).with(Constant::DecodeAttentionMbu, Phase::Decode, 0.45);
    let truth = believed.clone().with_constants(truth);
    let free = [decode(Constant::GemmMbu), decode(Constant::DecodeAttentionMbu), decode(Constant::PromptAttentionMfu)];
    let fitted = fit(&believed, &measured(&truth, &decodes(), |_| 1.0), &free);
    assert!((value(&fitted, Constant::GemmMbu) / 0.75 - 1.0).abs() < 0.01, "{:?}", fitted.estimates);
    assert!((value(&fitted, Constant::DecodeAttentionMbu) / 0.45 - 1.0).abs() < 0.01, "{:?}", fitted.estimates);
    assert!(fitted.residuals.iter().all(|residual| residual.abs() < 0.005));
    // Decode steps say nothing of prompts: that constant stays what it was, and is said to be no more than a belief.
    assert!((value(&fitted, Constant::PromptAttentionMfu) - 0.6).abs() < 1e-6);
    let identified: Vec<bool> = fitted.estimates.iter().map(engine::perf::fit::Estimate::is_identified).collect();
    assert_eq!(identified, [true, true, false]);
}

#[test]
fn one_wild_step_moves_little() {
    let believed = deployment(dense(), 1);
    let wild = |index| if index == 7 { 10.0 } else { 1.0 };
    let fitted = fit(&believed, &measured(&believed, &decodes(), wild), &[decode(Constant::GemmMbu)]);
    // With squares alone it would be a sixth: the mean over fifteen steps of which one is ten times too long.
    assert!((value(&fitted, Constant::GemmMbu) / 0.6 - 1.0).abs() < 0.03, "{:?}", fitted.estimates);
}

#[test]
fn without_measurements_beliefs_stand() {
    let believed = deployment(dense(), 1);
    let free = [decode(Constant::GemmMfu), decode(Constant::LayerFloor)];
    let nothing = [Observation { shape: StepShape::decode(1, 100), seconds: 0.0 }];
    let fitted = fit(&believed, &nothing, &free);
    assert!((value(&fitted, Constant::GemmMfu) - 0.6).abs() < 1e-9);
    assert!(fitted.estimates.iter().all(|estimate| !estimate.is_identified()));
}

#[test]
fn what_makes_up_for_each_other_is_known_together_and_not_apart() {
    let believed = deployment(dense(), 1);
    // Small batches of one context: bandwidth and floors add up to one number.
    let shapes: Vec<StepShape> = [1, 2, 3, 4].into_iter().map(|b| StepShape::decode(b, 0)).collect();
    let free = [decode(Constant::GemmMbu), decode(Constant::LayerFloor), decode(Constant::GemmFloor)];
    let fitted = fit(&believed, &measured(&believed, &shapes, |_| 1.0), &free);
    let covariance = fitted.posterior.covariance();
    let correlation = |a: usize, b: usize| covariance[a][b] / (covariance[a][a] * covariance[b][b]).sqrt();
    // More bandwidth makes up for longer floors; longer floors of one kind for shorter ones of the other.
    assert!(correlation(0, 1) > 0.05 && correlation(0, 2) > 0.5 && correlation(1, 2) < -0.05, "{covariance:?}");
    assert!(!fitted.posterior.holds(Constant::PromptAttentionMfu, Phase::Decode));
    let of_step: f64 = {
        let at = |log: f64, which: Free| {
            let constants = &fitted.constants;
            let value = constants.prior(which.constant, Phase::Decode).expect("a constant").value * log.exp();
            let moved = believed.clone().with_constants(constants.clone().with(which.constant, Phase::Decode, value));
            moved.step_seconds(&shapes[0]).ln()
        };
        let slopes: Vec<f64> = free.iter().map(|which| (at(1e-3, *which) - at(-1e-3, *which)) / 2e-3).collect();
        let variance = |a: usize, b: usize| slopes[a] * slopes[b] * covariance[a][b];
        (0..3).flat_map(|a| (0..3).map(move |b| (a, b))).map(|(a, b)| variance(a, b)).sum::<f64>().sqrt()
    };
    let apart = fitted.estimates.iter().map(|estimate| estimate.log_spread).fold(0.0, f64::max);
    assert!(of_step < 0.3 * apart, "a step is known to {of_step}, a constant only to {apart}");
}

#[test]
fn any_figure_that_is_predicted_can_be_fitted_to() {
    let believed = deployment(dense(), 1);
    let constants = believed.parts().constants.clone();
    let truth = believed.clone().with_constants(constants.with(Constant::HandoffEfficiency, Phase::Decode, 0.3));
    let figures = |deployment: &Deployment| {
        [1_000, 8_000, 32_000].map(|tokens| deployment.handoff().at_end(deployment.handoff_bytes(tokens))).to_vec()
    };
    let free = [decode(Constant::HandoffEfficiency)];
    let fitted = fit_to(&believed, &free, &figures(&truth), figures);
    assert!((value(&fitted, Constant::HandoffEfficiency) / 0.3 - 1.0).abs() < 0.03, "{:?}", fitted.estimates);
    // What else a hand-off depends on was not moved, but is believed together with it.
    assert_eq!(fitted.posterior.free(), [free[0], decode(Constant::HandoffSetup)]);
}
