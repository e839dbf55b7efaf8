//! Tables of measurements, deployments as they were measured, and errors.

use engine::perf::fit::{Free, Observation, fit};
use engine::perf::{Constant, Deployment, HandoffStart, Memory, Parallel, Parts, Phase, Precision, StepShape};
use loadgen::profile::Library;

/// A table with a line of names.
pub(crate) struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One line of a table.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    names: &'a [String],
    cells: &'a [String],
}

impl Table {
    /// Cells without quotes or commas in them; lines that begin with `#` are not of the table.
    pub(crate) fn read(text: &str) -> Self {
        let split = |line: &str| line.split(',').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        Self { names: lines.next().map(split).unwrap_or_default(), rows: lines.map(split).collect() }
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { names: &self.names, cells })
    }
}

impl<'a> Row<'a> {
    pub(crate) fn get(self, name: &str) -> &'a str {
        let column = self.names.iter().position(|known| known == name).expect("a column");
        &self.cells[column]
    }

    pub(crate) fn number<T: std::str::FromStr>(self, name: &str) -> T
    where
        T::Err: std::fmt::Debug,
    {
        self.get(name).parse().expect(name)
    }
}

/// A shipped model on a shipped GPU with the constants of a shipped cluster, without the overhead of an engine.
pub(crate) fn deployment(
    gpu: &str,
    model: &str,
    parallel: Parallel,
    precision: Precision,
    constants_of: &str,
) -> Deployment {
    let library = Library::new(Vec::new());
    let constants = library.cluster(constants_of).expect("a cluster").profile.deployment.parts().constants.clone();
    let constants = constants.with(Constant::StepOverhead, Phase::Decode, 0.0);
    let constants = constants.with(Constant::SequenceOverhead, Phase::Decode, 0.0);
    Deployment::new(Parts {
        gpu: library.gpu(gpu).expect("a gpu").profile.1,
        model: library.model(model).expect("a model").profile.1,
        parallel,
        precision,
        constants,
        memory: Memory { share: 1.0, activation_bytes: 0.0, max_context: 2, sequences: 1 },
        gpus_per_node: 8,
        handoff: HandoffStart::default(),
    })
    .expect("a deployment")
}

/// The step of a row.
pub(crate) fn shape(phase: &str, batch: u32, tokens: u64) -> StepShape {
    if phase == "decode" {
        return StepShape::decode(batch, u64::from(batch) * tokens);
    }
    (0..batch).fold(StepShape::default(), |shape, _| shape.with_prompt(0, tokens, true))
}

/// Relative errors of what a deployment says of measured steps.
pub(crate) fn errors(deployment: &Deployment, observations: &[Observation]) -> Vec<f64> {
    observations.iter().map(|one| deployment.step_seconds(&one.shape) / one.seconds - 1.0).collect()
}

/// Eight constants that a short calibration can move.
pub(crate) fn free(experts: bool, ranks: u32) -> Vec<Free> {
    let mut constants = vec![
        Constant::GemmMfu,
        Constant::GemmMbu,
        Constant::GemmFloor,
        Constant::PromptAttentionMfu,
        Constant::DecodeAttentionMbu,
        Constant::LayerFloor,
    ];
    if experts {
        constants.extend([Constant::ExpertMfu, Constant::ExpertMbu]);
    } else if ranks > 1 {
        constants.extend([Constant::AllReduceFloor, Constant::AllReduceEfficiency]);
    } else {
        constants.extend([Constant::ElementwiseMbu, Constant::DecodeAttentionFloor]);
    }
    constants.into_iter().map(|constant| Free { constant, phase: Phase::Decode }).collect()
}

/// Errors on one half of the observations with constants fitted to the other, and the other way round.
pub(crate) fn held_out(deployment: &Deployment, observations: &[Observation], free: &[Free]) -> Vec<f64> {
    let half = |which: usize| {
        let chosen = observations.iter().enumerate().filter(move |(index, _)| index % 2 == which);
        chosen.map(|(_, one)| *one).collect::<Vec<_>>()
    };
    let (even, odd) = (half(0), half(1));
    let against = |known: &[Observation], unknown: &[Observation]| {
        let fitted = fit(deployment, known, free);
        errors(&deployment.clone().with_constants(fitted.constants), unknown)
    };
    [against(&even, &odd), against(&odd, &even)].concat()
}

/// Median, mean and largest of absolute errors, in per cent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) mean: f64,
    pub(crate) largest: f64,
}

impl Spread {
    pub(crate) fn of(errors: &[f64]) -> Self {
        let mut sizes: Vec<f64> = errors.iter().map(|error| 100.0 * error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let middle = sizes.len() / 2;
        let median = if sizes.len() % 2 == 1 { sizes[middle] } else { f64::midpoint(sizes[middle - 1], sizes[middle]) };
        Self { median, mean: sizes.iter().sum::<f64>() / sizes.len() as f64, largest: sizes[sizes.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "median {:.1} %, mean {:.1} %, largest {:.1} %", self.median, self.mean, self.largest)
    }
}
