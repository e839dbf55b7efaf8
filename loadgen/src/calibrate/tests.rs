//! Calibrations of simulated clusters whose constants are known, from beliefs that are wrong.

use engine::perf::{Prior, StepShape};

use super::*;
use crate::profile::Library;
use crate::sample::{Failure, FailureKind, Outcome};
use crate::target::sim::{self, SimTarget};
use crate::target::{TargetEvent, TargetEvents};

fn start(cluster: &str) -> Start {
    let library = Library::new(Vec::new());
    Start {
        profile: library.cluster_profile(cluster).expect("a profile").profile,
        cluster: library.cluster(cluster).expect("a cluster"),
    }
}

/// The cluster with some constants multiplied, and otherwise as it is believed to be.
fn truth(start: &Start, changes: &[(Constant, f64)]) -> Loaded<Cluster> {
    let mut cluster = start.cluster.clone();
    let mut constants = cluster.profile.deployment.parts().constants.clone();
    for &(constant, factor) in changes {
        for phase in [Phase::Prompt, Phase::Decode] {
            if phase == Phase::Decode || constants.differs(constant) {
                let Prior { value, .. } = *constants.prior(constant, phase).expect("a constant");
                constants = constants.with(constant, phase, value * factor);
            }
        }
    }
    cluster.profile.deployment = cluster.profile.deployment.with_constants(constants);
    cluster
}

fn calibrate(start: &Start, truth: &Loaded<Cluster>, splits: &[&str]) -> (Calibration, ClusterProfile) {
    let mut calibrator = Calibrator::new(start.clone(), Micros(1), 7);
    for split in splits {
        let split: Split = split.parse().expect("a split");
        let target = SimTarget { cluster: truth.clone(), split: Some(split), time_scale: 1.0 };
        let connection = sim::open_jumping(&target).expect("a target");
        calibrator.probe(connection, split, true, &mut |_, _, _| {}).expect("probed");
    }
    calibrator.finish().expect("fitted")
}

const CHANGES: [(Constant, f64); 6] = [
    (Constant::GemmMfu, 0.7),
    (Constant::GemmMbu, 0.75),
    (Constant::DecodeAttentionMbu, 0.7),
    (Constant::StepOverhead, 2.5),
    (Constant::HandoffEfficiency, 0.5),
    (Constant::HandoffSetup, 2.0),
];

#[test]
fn the_constants_of_a_simulated_cluster_are_found_as_far_as_they_can_be_seen() {
    let start = start("h200-llama70b");
    let truth = truth(&start, &CHANGES);
    let (found, profile) = calibrate(&start, &truth, &["1P1D", "1A"]);

    assert!(found.skipped.is_empty(), "{:?}", found.skipped);
    assert!(found.held_out.n >= 4 && found.held_out.max.is_some_and(|max| max < 0.05), "{found:#?}");
    assert!(found.fitted.median.is_some_and(|median| median < 0.02), "{found:#?}");
    let row = |name: &str| found.constants.iter().find(|row| row.constant == name).expect(name);
    for (name, value) in
        [("all.handoff_efficiency", 0.25), ("all.gemm_mbu", 0.666), ("all.decode_attention_mbu", 0.539)]
    {
        let row = row(name);
        assert!(row.identified && (row.value / value - 1.0).abs() < 0.1, "{row:?}");
    }
    // What a layer and a step take whatever their size cannot be told apart; what is believed more firmly stays.
    assert!(!row("all.layer_floor_us").identified, "{:?}", row("all.layer_floor_us"));

    // What was never probed is predicted, too, by the profile that is written.
    let text = profile.to_toml("a test");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("found.toml");
    std::fs::write(&file, text).expect("written");
    let library = Library::new(Vec::new());
    let written = library.cluster(file.to_str().expect("a name")).expect("usable").profile;
    assert!(written.posterior.is_some());
    for shape in [
        StepShape::decode(3, 3 * 700),
        StepShape::decode(32, 32 * 9_000),
        StepShape::decode(128, 128 * 2_000),
        StepShape::default().with_prompt(0, 6_016, true),
        StepShape::default().with_prompt(8_192, 1_024, true),
    ] {
        let (predicted, taken) =
            (written.deployment.step_seconds(&shape), truth.profile.deployment.step_seconds(&shape));
        assert!((predicted / taken - 1.0).abs() < 0.04, "{shape:?}: {predicted} instead of {taken}");
    }
}

#[test]
fn every_shipped_cluster_can_be_calibrated_and_calibrated_again() {
    for name in ["cpu-built-in", "mi325x-deepseek-v3", "mi325x-qwen3-235b"] {
        let start = start(name);
        let truth = truth(&start, &CHANGES[..2]);
        let (found, profile) = calibrate(&start, &truth, &["1P1D", "1A"]);
        assert!(found.held_out.max.is_some_and(|max| max < 0.08), "{name}: {found:#?}");
        let again = toml::from_str::<ClusterProfile>(&profile.to_toml("a test")).expect("a profile");
        let parts = start.cluster.profile.deployment.parts().clone();
        let cluster = again.cluster(parts.gpu, parts.model).expect("goes together");
        let cluster = Loaded { profile: cluster, ..start.cluster.clone() };
        let (_, twice) = calibrate(&Start { profile: again, cluster }, &truth, &["1P1D", "1A"]);
        assert_eq!(twice.description.matches("calibrated on").count(), 1, "{}", twice.description);
    }
}

#[test]
fn units_that_do_both_are_probed_without_hand_offs() {
    let start = start("h200-llama70b");
    let (found, _) = calibrate(&start, &start.cluster, &["2A"]);
    assert!(found.probes.iter().all(|row| row.measure != Measure::HandOff), "{found:#?}");
    assert!(found.constants.iter().all(|row| !row.constant.contains("handoff")), "{found:#?}");
    assert!(found.probes.iter().any(|row| row.probe.contains("+ prompt") && row.held_out), "{found:#?}");
    assert!(found.held_out.max.is_some_and(|max| max < 0.03), "{found:#?}");
}

#[test]
fn a_profile_of_another_model_is_refused() {
    let (wrong, right) = (start("mi325x-qwen3-235b"), start("h200-llama70b"));
    let target = SimTarget { cluster: right.cluster, split: None, time_scale: 1.0 };
    let connection = sim::open_jumping(&target).expect("a target");
    let split = connection.info.split.expect("told");
    let error = Calibrator::new(wrong, Micros(1), 7).probe(connection, split, true, &mut |_, _, _| {});
    let error = error.expect_err("refused").to_string();
    assert!(
        error.starts_with("sim:h200-llama70b has a vocabulary of 128256 tokens, the model qwen3-235b-a22b of"),
        "{error}"
    );
}

/// A target of which some requests fail: every one whose number `fails` says so of, without a token.
#[derive(Debug)]
struct Failing {
    inner: Box<dyn TargetEvents>,
    fails: fn(u64) -> bool,
}

impl TargetEvents for Failing {
    fn align(&mut self, clock: crate::clock::RunClock) {
        self.inner.align(clock);
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: std::time::Duration) -> bool {
        let mut fresh = Vec::new();
        let open = self.inner.drain(&mut fresh, wait);
        into.extend(fresh.into_iter().filter_map(|event| match event {
            TargetEvent::Token { index, .. } if (self.fails)(index) => None,
            TargetEvent::Ended { index, at, server, .. } if (self.fails)(index) => {
                let failure = Failure { kind: FailureKind::Status, message: "500".to_owned() };
                Some(TargetEvent::Ended { index, at, outcome: Outcome::Failed(failure), server })
            }
            other => Some(other),
        }));
        open
    }
}

fn calibrated_while(fails: fn(u64) -> bool) -> Result<Calibration, CalibrateError> {
    let start = start("h200-llama70b");
    let split: Split = "1P1D".parse().expect("a split");
    let target = SimTarget { cluster: start.cluster.clone(), split: Some(split), time_scale: 1.0 };
    let mut connection = sim::open_jumping(&target).expect("a target");
    connection.events = Box::new(Failing { inner: connection.events, fails });
    let mut calibrator = Calibrator::new(start, Micros(1), 7);
    calibrator.probe(connection, split, true, &mut |_, _, _| {})?;
    Ok(calibrator.finish()?.0)
}

#[test]
fn a_request_that_fails_is_asked_again_and_a_target_that_always_fails_is_lost() {
    let found = calibrated_while(|index| [0, 3].contains(&index)).expect("a calibration");
    assert!(found.skipped.is_empty(), "{:?}", found.skipped);
    assert!(found.held_out.max.is_some_and(|max| max < 0.05), "{found:#?}");

    let why = calibrated_while(|_| true).expect_err("nothing is answered").to_string();
    assert_eq!(why, "3 probes in a row failed, the last one: a request failed, status: 500; nothing was written");
}

#[test]
fn a_profile_is_of_as_many_units_as_there_are() {
    let of = |name: &str, units| {
        let profile = start(name).profile.with_units(units);
        let gpus = profile.unit.tp;
        assert_eq!(profile.nodes.count * (profile.nodes.gpus_per_node / gpus), u32::from(units), "{name} {units}");
        (profile.nodes.count, profile.nodes.gpus_per_node / gpus)
    };
    assert_eq!(of("cpu-built-in", 4), (4, 1));
    // Eight GPUs of a node make two units.
    assert_eq!(of("h200-llama70b", 4), (2, 2));
    assert_eq!(of("h200-llama70b", 3), (3, 1));
}
