//! Small clusters and traffic for the tests of the cluster.

use engine::cluster::{Arrival, BatchLimits, BlockHash, Cluster, ClusterConfig, FirstToken, StepShape};
use engine::drive::virtual_time::{Costs, Input, Log, Pace, VirtualDriver};
use engine::executor::sim::{HandOff, Replicas, StepLine, Ticks, Timing, TransferShape, TransferWork};
use engine::units::{Nanos, RequestId, Role, Split};
use proptest::test_runner::{Config, RngSeed};

/// The same `cases` cases in every run.
pub(crate) fn proptest_config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..Config::default() }
}

/// Blocks of 4 tokens, 64 of them a unit, generous limits.
pub(crate) fn config() -> ClusterConfig {
    ClusterConfig {
        block_tokens: 4,
        blocks_per_unit: 64,
        max_context: 256,
        prefill: BatchLimits { tokens: 32, sequences: 8 },
        decode: BatchLimits { tokens: 16, sequences: 16 },
        aggregated: BatchLimits { tokens: 24, sequences: 8 },
        watermark_permille: 50,
        prefix_cache: true,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    }
}

/// A step of n tokens takes 100 + n, a transfer of n blocks 30 + 2n, a role change 50 + 70.
pub(crate) const COSTS: Costs = Costs {
    step: Nanos(100),
    token: Nanos(1),
    transfer: Nanos(30),
    block: Nanos(2),
    switch: Nanos(50),
    warm: Nanos(70),
};

/// Steps whose length grows with their contexts by parts of a nanosecond, attention to prompts, and links that are shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    pub(crate) per_position: Ticks,
    pub(crate) hand_off: HandOff,
    pub(crate) replicas: Option<Replicas>,
}

/// Seven tenths of a nanosecond for each position; links that a dozen blocks keep busy for as long as a step.
pub(crate) const AFFINE: Affine = Affine {
    per_position: Ticks(45_875),
    hand_off: HandOff { bytes_per_token: 100, setup: Nanos(30), link_bytes_per_second: 40_000_000_000, layers: 3 },
    replicas: None,
};

impl Timing for Affine {
    fn step(&self, role: Role, shape: &StepShape) -> StepLine {
        let parts = if role == Role::Aggregated { 70_001 } else { 65_432 };
        let tokens = u64::from(shape.decodes + shape.prompt_tokens);
        let base = 100 * Ticks::PER_NANO + parts * tokens + 300 * shape.doubled_pairs + 777 * u64::from(shape.sampled);
        StepLine { base: Ticks(base), per_position: self.per_position }
    }

    fn replicas(&self) -> Option<Replicas> {
        self.replicas
    }

    fn transfer(&self, transfer: &TransferShape) -> TransferWork {
        self.hand_off.work(transfer)
    }

    fn link_bytes_per_second(&self) -> u64 {
        self.hand_off.link_bytes_per_second
    }

    fn switch(&self, from: Role, _: Role) -> Nanos {
        if from == Role::Prefill { Nanos(50) } else { Nanos(60) }
    }

    fn warm(&self, to: Role) -> Nanos {
        if to == Role::Prefill { Nanos(70) } else { Nanos(20) }
    }
}

/// The chained hashes of the first blocks of a prompt: `shared` blocks that all prompts of one `family` have in common, then its own.
pub(crate) fn hashes(request: u64, family: u64, shared: u32, blocks: u32) -> Vec<BlockHash> {
    let mut hash = 0_u64;
    (0..blocks)
        .map(|block| {
            let owner = if block < shared { family + 1 } else { (request + 1) << 20 };
            hash = (hash.rotate_left(17) ^ owner).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(block);
            BlockHash(hash)
        })
        .collect()
}

/// A request whose prompt shares nothing.
pub(crate) fn request(number: u64, prompt: u32, output: u32) -> Arrival {
    family_request(number, 0, 0, prompt, output)
}

/// A request whose prompt starts with `shared` blocks of its family.
pub(crate) fn family_request(number: u64, family: u64, shared: u32, prompt: u32, output: u32) -> Arrival {
    Arrival {
        request: RequestId(number),
        prompt_tokens: prompt,
        output_tokens: output,
        prompt_hashes: hashes(number, family, shared, prompt / config().block_tokens).into(),
    }
}

/// A split, spelled.
pub(crate) fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// A cluster in virtual time whose steps take what `timing` says.
pub(crate) fn timed_driver<T: Timing>(
    config: ClusterConfig,
    split_text: &str,
    pace: Pace,
    timing: T,
) -> VirtualDriver<T> {
    VirtualDriver::new(Cluster::new(config, split(split_text)).expect("a cluster"), timing, pace)
}

/// A cluster in virtual time.
pub(crate) fn driver(config: ClusterConfig, split_text: &str, pace: Pace) -> VirtualDriver {
    VirtualDriver::new(Cluster::new(config, split(split_text)).expect("a cluster"), COSTS, pace)
}

/// Runs a schedule to its end, with every invariant checked after every event.
pub(crate) fn run<T: Timing>(driver: &mut VirtualDriver<T>, schedule: impl IntoIterator<Item = (u64, Input)>) -> Log {
    for (at, input) in schedule {
        driver.schedule(Nanos(at), input);
    }
    while let Some(now) = driver.step() {
        if let Err(broken) = driver.cluster().check() {
            panic!("at {now:?}: {broken}");
        }
    }
    driver.take_log()
}
