//! Steps of dense models in bf16: the constants are those of `h200-llama70b`, which were measured operator by operator. Nothing
//! is fitted to these steps but in the test that says so.

use engine::perf::fit::Observation;
use engine::perf::{Deployment, Dtype, Parallel, Precision};

use super::world::{Spread, Table, deployment, errors, free, held_out, shape};

const STEPS: &str = include_str!("../data/perf/dense_steps.csv");

/// The four deployments with their steps.
fn deployments() -> Vec<(String, Deployment, Vec<Observation>)> {
    let table = Table::read(STEPS);
    let mut found: Vec<(String, Deployment, Vec<Observation>)> = Vec::new();
    for row in table.rows() {
        let tp: u32 = row.number("tp");
        let name = format!("{} {} TP{tp}", row.get("gpu"), row.get("model"));
        if found.last().is_none_or(|last| last.0 != name) {
            let parallel = Parallel { tp, ..Parallel::default() };
            let precision = Precision::all(Dtype::Bf16);
            let deployment = deployment(row.get("gpu"), row.get("model"), parallel, precision, "h200-llama70b");
            found.push((name, deployment, Vec::new()));
        }
        let shape = shape(row.get("phase"), row.number("batch"), row.number("tokens"));
        let seconds = row.number::<f64>("step_ms") / 1e3;
        if let Some((_, _, observations)) = found.last_mut() {
            observations.push(Observation { shape, seconds });
        }
    }
    found
}

/// Errors without a fit.
pub(crate) fn plain() -> Spread {
    let mut all = Vec::new();
    for (name, deployment, observations) in deployments() {
        assert_eq!(observations.len(), 16, "{name}");
        let errors = errors(&deployment, &observations);
        let spread = Spread::of(&errors);
        assert!(spread.median <= 8.0 && spread.largest <= 25.0, "{name}: {spread}");
        all.extend(errors);
    }
    Spread::of(&all)
}

/// Errors on the half that nothing was fitted to.
pub(crate) fn fitted() -> Spread {
    let mut all = Vec::new();
    for (_, deployment, observations) in deployments() {
        let ranks = deployment.parts().parallel.tp;
        let errors = held_out(&deployment, &observations, &free(false, ranks));
        all.extend(errors);
    }
    Spread::of(&all)
}

#[test]
fn without_a_fit_half_of_the_steps_are_within_8_percent() {
    let spread = plain();
    println!("dense bf16, no fit: {spread}");
    assert!(spread.median <= 6.0 && spread.mean <= 8.0, "{spread}");
}

#[test]
fn fitted_to_half_of_the_steps_half_of_the_others_are_within_6_percent() {
    let spread = fitted();
    println!("dense bf16, eight constants fitted to the other half: {spread}");
    assert!(spread.median <= 6.0, "{spread}");
}
