//! What starting a unit anew takes.

use engine::cluster::{BatchLimits, Cluster, ClusterConfig, FirstToken, How};
use engine::drive::virtual_time::{Input, Pace, VirtualDriver};
use engine::executor::sim::Tabulated;
use engine::perf::{Constant, Deployment, Parts, Phase, Prior};
use engine::units::Nanos;

use crate::world::{constants, dense, experts, parts, prior};

fn with(parts: Parts, values: &[(Constant, f64)]) -> Deployment {
    let with = |all: engine::perf::Constants, &(constant, value): &(Constant, f64)| {
        all.with_prior(constant, Prior { spread: value, ..prior(value) })
    };
    Deployment::new(Parts { constants: values.iter().fold(constants(), with), ..parts }).expect("a deployment")
}

#[test]
fn it_is_the_start_and_the_weights_of_all_gpus_at_the_rate_of_loading() {
    let values = [(Constant::RestartStart, 20_000.0), (Constant::WeightLoad, 2.5)];
    for (model, tp) in [(dense(), 1), (dense(), 4), (experts(), 8)] {
        let deployment = with(parts(model, tp), &values);
        let bytes = deployment.weight_bytes_per_gpu() * f64::from(tp);
        let seconds = 20.0 + bytes / 2.5e9;
        assert!((deployment.restart_seconds() / seconds - 1.0).abs() < 1e-12, "{}", deployment.restart_seconds());
    }
    // No step depends on it.
    let slower = with(parts(dense(), 1), &[(Constant::RestartStart, 90_000.0), (Constant::WeightLoad, 0.5)]);
    let faster = with(parts(dense(), 1), &values);
    assert_eq!(slower.decode_line(16), faster.decode_line(16));
    assert_eq!(slower.values(Phase::Decode).get(Constant::WeightLoad).to_bits(), 0.5e9_f64.to_bits());
}

#[test]
fn an_idle_unit_that_restarts_is_away_for_start_weights_and_warm_up() {
    let values = [(Constant::RestartStart, 20_000.0), (Constant::WeightLoad, 2.5), (Constant::RoleWarm, 300.0)];
    let deployment = with(parts(dense(), 1), &values);
    let limits = BatchLimits { tokens: 512, sequences: 32 };
    let config = ClusterConfig {
        block_tokens: 16,
        blocks_per_unit: 4096,
        max_context: 8192,
        prefill: limits,
        decode: limits,
        aggregated: limits,
        watermark_permille: 10,
        prefix_cache: true,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    };
    let timing = Tabulated::of(&deployment, &config).expect("tables");
    let cluster = Cluster::new(config, "2P1D".parse().expect("a split")).expect("a cluster");
    let mut driver = VirtualDriver::new(cluster, timing, Pace::Bulk);
    driver.schedule(Nanos(7), Input::Shift("1P2D".parse().expect("a split"), How::Restart));
    driver.run();
    let report = &driver.log().shifts[0];
    let expected = (20.0 + deployment.weight_bytes_per_unit() / 2.5e9 + 0.3) * 1e9;
    assert_eq!((report.how, report.drain), (How::Restart, Nanos::ZERO));
    assert!((report.total.0 as f64 - expected).abs() <= 2.0, "{} {expected}", report.total.0);
}
