//! One token from a row of logits. The choice depends on the logits, the request's seed and the index of the token alone.

use super::counter;
use crate::executor::{Logprobs, Sampling};

/// Chooses a token. `output_index` is the index of the token in the answer.
pub fn sample(logits: &[f32], sampling: Sampling, output_index: u32) -> u32 {
    match sampling {
        Sampling::Greedy => greedy(logits),
        Sampling::TopP { temperature, .. } if temperature <= 0.0 => greedy(logits),
        Sampling::TopP { temperature, top_p, seed } => {
            let point = counter::unit_interval(counter::stream(seed, 0), u64::from(output_index));
            nucleus(logits, f64::from(temperature), f64::from(top_p), point)
        }
    }
}

/// The largest logit, the smaller id on a tie. Not-a-number is never chosen while there is a number.
fn greedy(logits: &[f32]) -> u32 {
    let mut best = 0;
    let mut largest = f32::NEG_INFINITY;
    for (id, &logit) in logits.iter().enumerate() {
        if logit > largest {
            (best, largest) = (id, logit);
        }
    }
    best as u32
}

/// Top-p (nucleus) sampling (Holtzman et al. 2020): the smallest set of most likely tokens whose probability reaches
/// `top_p`, drawn from at `point` of its mass. Probabilities are in double precision and ties go to the smaller id.
fn nucleus(logits: &[f32], temperature: f64, top_p: f64, point: f64) -> u32 {
    let likeliest = greedy(logits);
    let Some(&largest) = logits.get(likeliest as usize) else { return 0 };
    let weight = |logit: f32| ((f64::from(logit) - f64::from(largest)) / temperature).exp();
    let mut candidates: Vec<(f64, u32)> = logits
        .iter()
        .enumerate()
        .map(|(id, &logit)| (weight(logit), id as u32))
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));

    let total: f64 = candidates.iter().map(|(weight, _)| weight).sum();
    let mut mass = 0.0;
    let kept = candidates
        .iter()
        .position(|(weight, _)| {
            mass += weight;
            mass >= top_p * total
        })
        .map_or(candidates.len(), |last| last + 1);
    let kept = candidates.get(..kept).unwrap_or(&candidates);

    let mut left = point * kept.iter().map(|(weight, _)| weight).sum::<f64>();
    for &(weight, id) in kept {
        if left < weight {
            return id;
        }
        left -= weight;
    }
    kept.last().map_or(likeliest, |&(_, id)| id)
}

/// How likely `token` was, and the `most` likeliest tokens; the smaller id goes first on a tie. Of those that are no number
/// nothing can be said; `None` when `token` is one, or there is no such token.
pub fn logprobs(logits: &[f32], token: u32, most: usize) -> Option<Logprobs> {
    let own = *logits.get(token as usize).filter(|logit| !logit.is_nan())?;
    let numbers = || logits.iter().copied().filter(|logit| !logit.is_nan());
    let largest = f64::from(numbers().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = numbers().map(|logit| (f64::from(logit) - largest).exp()).sum();
    let logarithm = |logit: f32| (f64::from(logit) - largest - total.ln()) as f32;
    let mut likeliest: Vec<(u32, f32)> = Vec::with_capacity(most + 1);
    for (id, &logit) in logits.iter().enumerate().filter(|(_, logit)| !logit.is_nan()) {
        if likeliest.len() == most && likeliest.last().is_none_or(|&(_, least)| logit <= least) {
            continue;
        }
        let place = likeliest.partition_point(|&(_, other)| other >= logit);
        likeliest.insert(place, (id as u32, logit));
        likeliest.truncate(most);
    }
    for (_, logit) in &mut likeliest {
        *logit = logarithm(*logit);
    }
    Some(Logprobs { chosen: logarithm(own), likeliest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top_p(temperature: f32, top_p: f32, seed: u64) -> Sampling {
        Sampling::TopP { temperature, top_p, seed }
    }

    #[test]
    fn greedy_takes_the_smaller_id_on_a_tie_and_never_nan() {
        assert_eq!(sample(&[0.0, 3.0, 3.0, f32::NAN], Sampling::Greedy, 0), 1);
        assert_eq!(sample(&[f32::NAN, -1.0, f32::NEG_INFINITY], Sampling::Greedy, 0), 1);
    }

    #[test]
    fn sampling_follows_the_probabilities() {
        let logits = [0.0f32, 2.0f32.ln(), 5.0f32.ln()];
        let mut counts = [0u32; 3];
        for index in 0..8_000 {
            counts[sample(&logits, top_p(1.0, 1.0, 42), index) as usize] += 1;
        }
        for (count, expected) in counts.into_iter().zip([1_000.0, 2_000.0, 5_000.0]) {
            assert!((f64::from(count) - expected).abs() < 150.0, "{counts:?}");
        }
    }

    #[test]
    fn a_small_top_p_keeps_only_the_likeliest() {
        let logits = [1.0, 1.2, 0.9];
        assert!((0..200).all(|index| sample(&logits, top_p(1.0, 0.2, 1), index) == 1));
        assert!((0..200).all(|index| sample(&logits, top_p(1.0, 0.0, 1), index) == 1));
        assert!((0..200).all(|index| sample(&logits, top_p(1.0, 0.6, 1), index) != 2));
    }

    #[test]
    fn log_probabilities_are_those_of_the_softmax() {
        let logits = [0.0_f32, 2.0_f32.ln(), f32::NAN, 5.0_f32.ln(), 2.0_f32.ln()];
        let told = logprobs(&logits, 0, 3).expect("a token");
        let near = |found: f32, probability: f32| (found.exp() - probability).abs() < 1e-6;
        assert!(near(told.chosen, 0.1), "{told:?}");
        assert_eq!(told.likeliest.iter().map(|&(id, _)| id).collect::<Vec<_>>(), [3, 1, 4]);
        assert!(near(told.likeliest[0].1, 0.5) && near(told.likeliest[2].1, 0.2), "{told:?}");
        assert_eq!(logprobs(&logits, 1, 0).map(|told| told.likeliest.len()), Some(0));
        assert_eq!(logprobs(&logits, 0, 20).map(|told| told.likeliest.len()), Some(4));
        assert_eq!((logprobs(&logits, 2, 1), logprobs(&logits, 5, 1)), (None, None));
    }

    #[test]
    fn the_choice_depends_on_seed_and_index_alone() {
        let logits: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin()).collect();
        let draw = |seed| (0..50).map(|index| sample(&logits, top_p(0.8, 0.95, seed), index)).collect::<Vec<_>>();
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
