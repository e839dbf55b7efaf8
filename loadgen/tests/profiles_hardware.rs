//! The shipped GPUs, models and clusters, and what is said of wrong ones.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use engine::cluster::{Arrival, Cluster as Scheduler, StepShape};
use engine::drive::virtual_time::{Input, Pace, Samples, VirtualDriver};
use engine::executor::sim::{StepModel, Tabulated};
use engine::perf::fit::{Free, Observation, fit};
use engine::perf::{Constant, Phase, PriorKind};
use engine::units::{Nanos, RequestId, Role};
use loadgen::profile::{Cluster, ClusterProfile, Kind, Library, Origin};

fn shipped() -> Library {
    Library::new(Vec::new())
}

/// A prompt of `new` tokens after `cached` ones.
fn prompt(cached: u64, new: u32) -> StepShape {
    let doubled_pairs = u64::from(new) * (2 * cached + u64::from(new));
    StepShape { prompt_tokens: new, doubled_pairs, sampled: 1, ..StepShape::default() }
}

#[test]
fn shipped_models_have_the_parameters_and_the_kv_that_are_published() {
    for (name, total, active, kv) in [
        ("qwen3-0.6b", 0.6e9, 0.6e9, 114_688.0),
        ("qwen3-8b", 8.2e9, 8.2e9, 147_456.0),
        ("qwen3-32b", 32.8e9, 32.8e9, 262_144.0),
        ("qwen3-235b-a22b", 235e9, 22e9, 192_512.0),
        ("deepseek-v3", 671e9, 37e9, 70_272.0),
        ("llama-3.1-8b", 8.0e9, 8.0e9, 131_072.0),
        ("llama-3.1-70b", 70.6e9, 70.6e9, 327_680.0),
        ("gpt-oss-120b", 117e9, 5.1e9, 73_728.0),
    ] {
        let model = shipped().model(name).expect(name).profile.1;
        assert!((model.parameters() / total - 1.0).abs() < 0.01, "{name}: {:e}", model.parameters());
        // Published counts of active parameters leave out the embedding in some cases.
        let difference = model.active_parameters() / active - 1.0;
        assert!((-0.01..0.13).contains(&difference), "{name}: {:e}", model.active_parameters());
        let found = model.kv_bytes_per_token_per_rank(engine::perf::Dtype::Bf16, 1);
        assert!((found - kv).abs() < 0.5, "{name}: {found}");
    }
}

#[test]
fn every_shipped_cluster_fits_and_says_which_constants_are_guesses() {
    for entry in shipped().list(Kind::Cluster).expect("a list") {
        let cluster = shipped().cluster(&entry.name).expect(&entry.name).profile;
        cluster.config.check().expect(&entry.name);
        let parts = cluster.deployment.parts();
        // Four nodes of eight GPUs, and a machine with four threads.
        let gpus = if parts.gpu.name == "cpu-unit" { 4 } else { 32 };
        assert_eq!(u32::from(cluster.units) * parts.parallel.gpus(), gpus, "{}", entry.name);
        let tokens = u64::from(cluster.config.blocks_per_unit) * u64::from(cluster.config.block_tokens);
        assert!(tokens > u64::from(cluster.config.max_context), "{}: {tokens}", entry.name);
        let mut guesses = 0;
        for constant in Constant::ALL {
            for phase in [Phase::Decode, Phase::Prompt] {
                let Some(prior) = parts.constants.prior(constant, phase) else {
                    assert!(!constant.is_required(), "{} {}", entry.name, constant.key());
                    continue;
                };
                assert!(prior.spread > 0.0 && !prior.source.is_empty(), "{} {}", entry.name, constant.key());
                guesses += u32::from(prior.kind == PriorKind::Prior);
            }
        }
        assert!(guesses > 0, "{}", entry.name);
    }
}

/// What its constants are fitted to: TPOT of decode units under sustained load with prompts of 16,000 tokens and answers of 1,024,
/// and prompts as fast as they come in the end. What it says of other runs is in the report of `perf_accuracy`.
#[test]
fn mi325x_with_qwen_takes_what_it_was_measured_to_take() {
    let deployment = shipped().cluster("mi325x-qwen3-235b").expect("a cluster").profile.deployment;
    for (requests_per_ks, tpot_ms) in [(250.0, 16.25), (510.0, 19.05), (970.0, 22.36), (2030.0, 27.74), (1930.0, 28.84)]
    {
        // By Little's law: each request decodes for so long.
        let decodes = f64::round(requests_per_ks * 1.023e-3 * tpot_ms) as u32;
        let found = 1e3 * deployment.decode_line(decodes).at(u64::from(decodes) * 16_500);
        assert!((found / tpot_ms - 1.0).abs() < 0.05, "{decodes}: {found} ms instead of {tpot_ms}");
    }
    let prompt = StepModel::step_seconds(&deployment, &prompt(0, 16_008));
    assert!((0.48..0.53).contains(&prompt), "{prompt}");
    // Two copies of 1.54 GB.
    let bytes = deployment.handoff_bytes(16_008);
    assert!((bytes / 3.08e9 - 1.0).abs() < 0.01, "{bytes}");
}

#[test]
fn mi325x_with_deepseek_takes_what_it_was_measured_to_take() {
    let deployment = shipped().cluster("mi325x-deepseek-v3").expect("a cluster").profile.deployment;
    for (decodes, measured) in [(9, 22.6e-3), (13, 23.2e-3), (18, 26.1e-3), (22, 26.8e-3), (27, 27.3e-3)] {
        let found = deployment.decode_line(decodes).at(u64::from(decodes) * 5_470);
        assert!((found / measured - 1.0).abs() < 0.06, "{decodes}: {found} instead of {measured}");
    }
    let prompt = StepModel::step_seconds(&deployment, &prompt(1_620, 3_780));
    assert!((prompt / 0.255 - 1.0).abs() < 0.05, "{prompt}");
    let handoff = deployment.handoff().at_end(deployment.handoff_bytes(5_400));
    assert!((handoff / 0.070 - 1.0).abs() < 0.05, "{handoff}");
}

/// Of a prompt alone in the cluster: seconds of its one step, and from its end to the first token.
fn prefill_and_tail(cluster: &Cluster, tokens: u32) -> (f64, f64) {
    let tables = Tabulated::of(&cluster.deployment, &cluster.config).expect("tables");
    let split = "1P1D".parse().expect("a split");
    let scheduler = Scheduler::new(cluster.config.clone(), split).expect("a cluster");
    let mut driver = VirtualDriver::with_sink(scheduler, tables, Pace::Bulk, Samples::with_capacity(1));
    let hashes = Arc::default();
    let arrival = Arrival { request: RequestId(0), prompt_tokens: tokens, output_tokens: 4, prompt_hashes: hashes };
    driver.schedule(Nanos::ZERO, Input::Arrive(arrival));
    driver.run();
    let sample = driver.sink().rows()[0];
    let seconds = |from: Nanos, to: Nanos| to.since(from).as_secs_f64();
    (seconds(sample.arrived, sample.prefill_end), seconds(sample.prefill_end, sample.first))
}

#[test]
fn layers_that_leave_while_later_ones_are_computed_leave_the_tail_that_the_formula_says() {
    let plain = changed(r#"handoff = "at_end""#, r#"handoff = "at_end""#);
    let at_end = plain.1.cluster("mine").expect("a cluster").profile;
    let folder = changed(r#"handoff = "at_end""#, r#"handoff = "by_layer""#);
    let by_layer = folder.1.cluster("mine").expect("a cluster").profile;
    // Links on which a transfer is shorter, and longer, than the prompt.
    let slow = |cluster: &Cluster| {
        let constants = cluster.deployment.parts().constants.clone();
        let constants = constants.with(Constant::HandoffEfficiency, Phase::Decode, 0.005);
        Cluster { deployment: cluster.deployment.clone().with_constants(constants), ..cluster.clone() }
    };
    let pairs = [(slow(&at_end), slow(&by_layer)), (at_end, by_layer)];
    let mut kinds = [false; 2];
    for (at_end, by_layer) in pairs {
        let layers = f64::from(by_layer.deployment.parts().model.layers);
        assert_eq!((at_end.deployment.handoff_layers(), by_layer.deployment.handoff_layers()), (1, 94));
        for tokens in [64, 1_024, 16_000] {
            let bytes = by_layer.deployment.handoff_bytes(u64::from(tokens));
            let handoff = by_layer.deployment.handoff();
            let (_, whole) = prefill_and_tail(&at_end, tokens);
            assert!((whole / handoff.at_end(bytes) - 1.0).abs() < 1e-3, "{whole} for {tokens} tokens");
            let (prefill, tail) = prefill_and_tail(&by_layer, tokens);
            let transfer = bytes / handoff.bytes_per_s;
            let expected = handoff.setup_s + (transfer / layers).max(transfer - (1.0 - 1.0 / layers) * prefill);
            assert!((tail / expected - 1.0).abs() < 1e-3, "{tail} instead of {expected} for {tokens} tokens");
            assert!(tail < whole);
            let told = by_layer.deployment.handoff_seconds(tokens);
            assert!((told / tail - 1.0).abs() < 0.03, "{told} is told, {tail} simulated");
            kinds[usize::from(transfer > prefill)] = true;
        }
    }
    assert_eq!(kinds, [true; 2]);
}

/// A cluster as a person writes it.
const PLAIN: &str = include_str!("data/perf/mi325x-qwen3-235b-priors.toml");

/// A folder with a cluster `mine` that is that one with some text replaced.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, Library) {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(PLAIN.contains(from), "{from}");
    write(folder.path(), "cluster", "mine", &PLAIN.replacen(from, to, 1));
    let library = Library::new(vec![folder.path().to_owned()]);
    (folder, library)
}

fn write(folder: &Path, kind: &str, name: &str, text: &str) {
    fs::create_dir_all(folder.join(kind)).expect("a folder");
    fs::write(folder.join(kind).join(name).with_extension("toml"), text).expect("written");
}

/// The refusal of such a cluster, without what names the file, which is checked here.
fn refusal(from: &str, to: &str) -> String {
    let (folder, library) = changed(from, to);
    let message = library.cluster("mine").expect_err("refused").to_string();
    let path = folder.path().join("cluster").join("mine.toml");
    message.strip_prefix(&format!("cluster profile mine ({}) ", path.display())).expect(&message).to_owned()
}

#[test]
fn a_cluster_that_cannot_be_is_refused_with_line_key_and_numbers() {
    assert_eq!(refusal("tp = 8", "tp = 7"), "line 12: `unit.tp` = 7 does not divide `heads` of qwen3-235b-a22b = 64");
    assert_eq!(
        refusal("ep = 8", "ep = 6"),
        "line 13: `unit.ep` = 6 does not divide the GPUs of a unit, `tp` times `attention_dp`, = 8"
    );
    assert_eq!(
        refusal("tp = 8\nep = 8", "tp = 1"),
        "line 5: `model`: each GPU needs 249.49 GB (236.34 of weights, 10.00 of activations, 3.15 of KV for one sequence) and \
         230.40 GB are available (0.9 of 256)"
    );
    assert_eq!(
        refusal("gpus_per_node = 8", "gpus_per_node = 4"),
        "line 12: `unit.tp` times `unit.attention_dp` is 8 GPUs, but a node has 4 and a unit spans one"
    );
    assert_eq!(
        refusal("gpu = \"mi325x\"", "gpu = \"mi325\""),
        "line 4: no gpu profile is called `mi325`; there are b200, cpu-unit, h100, h200, mi300x, mi325x, mi355x"
    );
    assert_eq!(
        refusal("decode = { tokens = 256", "decode = { tokens = 0"),
        "line 28: `limits.decode.tokens` = 0 is not between 1 and 10000000"
    );
}

#[test]
fn a_constant_that_is_missing_unknown_or_in_another_unit_is_refused_by_name() {
    let line = PLAIN.lines().find(|line| line.starts_with("gemm_mbu")).expect("a line");
    assert_eq!(refusal(&format!("{line}\n"), ""), "line 33: `constants.all` lacks `gemm_mbu`");
    let unknown = refusal("layer_floor_us", "layer_floor_ms");
    assert!(
        unknown.starts_with("line 48: unknown variant `layer_floor_ms`, expected one of `gemm_mfu`, `gemm_mbu`"),
        "{unknown}"
    );
    assert_eq!(
        refusal("gemm_mfu = { value = 0.35", "gemm_mfu = { value = 35"),
        "line 34: `constants.all.gemm_mfu` = 35 is not between 0.01 and 1"
    );
    assert_eq!(
        refusal(
            "gemm_mfu = { value = 0.35, spread = 0.12, kind = \"prior\"",
            "gemm_mfu = { value = 0.35, spread = 0.12, kind = \"sure\""
        ),
        "line 34: unknown variant `sure`, expected one of `measured`, `fitted`, `prior`"
    );
    assert_eq!(
        refusal("block_tokens", "block_token"),
        "line 20: unknown field `block_token`, expected one of `block_tokens`, `gpu_memory_share`, `activation_gb`, `max_context_tokens`, `watermark_permille`, `prefix_cache`, `handoff`, `prefill`, `decode`, `aggregated`"
    );
    assert_eq!(refusal("tp = 8\n", ""), "line 11: missing field `tp`");
    assert_eq!(
        refusal("weights = \"fp8\"", "weights = \"int8\""),
        "line 8: unknown variant `int8`, expected one of `bf16`, `fp8`, `fp4`"
    );
}

#[test]
fn what_many_units_cost_is_said_with_how_many_are_many_or_not_at_all() {
    let gemm = "gemm_mfu = { value = 0.35";
    let overhead = "replica_overhead_us = { value = 2000, spread = 500, kind = \"prior\", source = \"a test\" }\n";
    let table = |from: u32| format!("[replicas]\nfrom = {from}\n\n[constants.all]");
    assert!(
        refusal(gemm, &format!("{overhead}{gemm}"))
            .ends_with("`constants.all` has `replica_overhead_us`, but no `replicas.from` says with how many units")
    );
    assert!(
        refusal("[constants.all]", &table(3))
            .ends_with("`constants.all` lacks `replica_overhead_us`, which `replicas.from` is about")
    );
    assert!(
        refusal("[constants.all]\n", &format!("{}\n{overhead}", table(1)))
            .ends_with("`replicas.from` = 1 is not between 2 and 4096")
    );
}

#[test]
fn a_users_own_gpu_goes_before_the_shipped_one_in_a_shipped_cluster() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = shipped().text(Kind::Gpu, "mi325x").expect("a text").profile;
    write(folder.path(), "gpu", "mi325x", &text.replace("hbm_tb_per_s = 6.0", "hbm_tb_per_s = 3.0"));
    let library = Library::new(vec![folder.path().to_owned()]);
    let own = library.cluster("mi325x-qwen3-235b").expect("a cluster");
    assert_eq!(own.origin, Origin::Shipped);
    let plain = shipped().cluster("mi325x-qwen3-235b").expect("a cluster");
    let slope = |cluster: &loadgen::profile::Cluster| cluster.deployment.decode_line(32).per_position_s;
    assert!((slope(&own.profile) / slope(&plain.profile) - 2.0).abs() < 1e-9);
}

#[test]
fn a_wrong_gpu_or_model_is_refused_as_itself_also_when_a_cluster_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = Library::new(vec![folder.path().to_owned()]);
    let gpu = shipped().text(Kind::Gpu, "mi325x").expect("a text").profile;
    let of_gpu = |from: &str, to: &str| {
        write(folder.path(), "gpu", "mi325x", &gpu.replacen(from, to, 1));
        let message = library.cluster("mi325x-qwen3-235b").expect_err("refused").to_string();
        let path = folder.path().join("gpu").join("mi325x.toml");
        message.strip_prefix(&format!("gpu profile mi325x ({}) ", path.display())).expect(&message).to_owned()
    };
    assert_eq!(
        of_gpu("hbm_tb_per_s = 6.0", "hbm_tb_per_s = 6000"),
        "line 7: `hbm_tb_per_s` = 6000 is not between 0.1 and 100"
    );
    assert_eq!(of_gpu("hbm_gb = 256", "hbm_gb = \"256 GB\""), "line 6: invalid type: string \"256 GB\", expected f64");
    assert!(
        of_gpu("hbm_gb", "hbm_gib")
            .starts_with("line 6: unknown field `hbm_gib`, expected one of `description`, `bf16_tflops`")
    );
    assert_eq!(of_gpu("nic_gb_per_s = 50\n", ""), "line 1: missing field `nic_gb_per_s`");

    let model = shipped().text(Kind::Model, "deepseek-v3").expect("a text").profile;
    let of_model = |from: &str, to: &str| {
        write(folder.path(), "model", "deepseek-v3", &model.replacen(from, to, 1));
        let message = library.model("deepseek-v3").expect_err("refused").to_string();
        let path = folder.path().join("model").join("deepseek-v3.toml");
        message.strip_prefix(&format!("model profile deepseek-v3 ({}) ", path.display())).expect(&message).to_owned()
    };
    assert_eq!(
        of_model("layers = 3\n", ""),
        "line 17: `ffn` lacks `layers`: with `experts`, the number of leading layers without any"
    );
    assert_eq!(of_model("chosen = 8", "chosen = 800"), "line 23: `experts.chosen` = 800 is not between 1 and 256");
    assert_eq!(
        of_model("[latent_attention]", "[attention]"),
        "line 11: unknown field `latent`, expected `kv_heads` or `head_dim`"
    );
    assert_eq!(of_model("layers = 61", "layers = 3"), "line 18: `ffn.layers` = 3 is not between 0 and 2");
}

/// The simulator's tables are the model: exactly for decode, nearly for prompts and for both together.
#[test]
fn the_tables_of_the_simulator_say_what_the_model_says() {
    for entry in shipped().list(Kind::Cluster).expect("a list") {
        let cluster = shipped().cluster(&entry.name).expect(&entry.name).profile;
        let tables = Tabulated::of(&cluster.deployment, &cluster.config).expect("tables");
        let deviation = |role, shape: &StepShape| tables.deviation(role, shape, &cluster.deployment);
        let limits = [&cluster.config.decode, &cluster.config.prefill, &cluster.config.aggregated];
        let [decode, prefill, aggregated] = limits.map(|limits| (limits.sequences, limits.tokens));
        for decodes in [1, 8, 64, 256].into_iter().filter(|decodes| *decodes <= decode.0) {
            let shape =
                StepShape { decodes, context: u64::from(decodes) * 16_500, sampled: decodes, ..StepShape::default() };
            assert!(deviation(Role::Decode, &shape).abs() < 1e-6, "{} {decodes}", entry.name);
        }
        for tokens in [104, 128, 256, 1_024, 4_096, 8_192] {
            // Of steps so short, what tables round off is a larger part.
            let bound = if tokens < 256 { 0.02 } else { 0.01 };
            if tokens <= prefill.1 {
                let found = deviation(Role::Prefill, &prompt(0, tokens));
                assert!(found.abs() < bound, "{} {tokens}: {found}", entry.name);
            }
            for decodes in [8, 64].into_iter().filter(|_| tokens <= aggregated.1) {
                let context = u64::from(decodes) * 16_500;
                let mixed = StepShape { decodes, context, sampled: decodes + 1, ..prompt(0, tokens - decodes) };
                let found = deviation(Role::Aggregated, &mixed);
                assert!(found.abs() < bound, "{} {tokens} {decodes}: {found}", entry.name);
            }
        }
    }
}

/// The refusal of a cluster with this text at its end.
fn refusal_with(end: &str) -> String {
    let text = shipped().text(Kind::Cluster, "mi325x-deepseek-v3").expect("a text").profile;
    let (line, why) = Kind::Cluster.check(&format!("{text}\n{end}")).expect_err("refused");
    format!("line {}: {why}", line - text.lines().count() - 1)
}

#[test]
fn a_joint_belief_that_is_none_is_refused_with_line_and_key() {
    let table = |constants: &str, covariance: &str| {
        refusal_with(&format!("[posterior]\nconstants = {constants}\ncovariance = {covariance}\n"))
    };
    let two = r#"["all.gemm_mbu", "prompt.gemm_mfu"]"#;
    assert_eq!(
        table(two, "[[0.1, 0.0]]"),
        "line 3: `posterior.covariance` has 1 rows of 2 numbers, but `constants` names 2"
    );
    assert_eq!(
        table(two, "[[0.1, 0.05], [0.04, 0.1]]"),
        "line 3: `posterior.covariance` is not symmetric: row 0 has 0.05 for 1, row 1 has 0.04"
    );
    assert_eq!(table(two, "[[0.1, 0.2], [0.2, 0.1]]"), "line 3: `posterior.covariance` is not positive definite");
    assert_eq!(
        table(r#"["all.gemm_mub"]"#, "[[0.1]]"),
        "line 2: `posterior.constants` names `all.gemm_mub`, which is no constant: `all.KEY` or `prompt.KEY`"
    );
    assert_eq!(
        table(r#"["prompt.gemm_mbu"]"#, "[[0.1]]"),
        "line 2: `posterior.constants` names `prompt.gemm_mbu`, which the profile does not have"
    );
    assert_eq!(
        refusal_with("[posterior]\nconstants = []\ncovariance = []\nstep_log_spread = 5\n"),
        "line 4: `posterior.step_log_spread` = 5 is not between 0 and 1"
    );
    assert!(refusal_with("[posterior]\nconstants = []\ncovariances = []\n").starts_with("line 3: unknown field"));
}

#[test]
fn a_calibrated_profile_is_written_as_it_is_read() {
    let text = shipped().text(Kind::Cluster, "mi325x-deepseek-v3").expect("a text").profile;
    let profile: ClusterProfile = toml::from_str(&text).expect("a profile");
    let deployment = shipped().cluster("mi325x-deepseek-v3").expect("a cluster").profile.deployment;
    // Decode steps of long contexts with less bandwidth than believed, which say nothing of prompts.
    let free = ["all.decode_attention_mbu", "all.layer_floor_us", "prompt.gemm_mfu"];
    let free: Vec<Free> = free.into_iter().map(|name| Free::named(name).expect(name)).collect();
    let constants = deployment.parts().constants.clone();
    let truth = deployment.clone().with_constants(constants.with(free[0].constant, Phase::Decode, 0.4));
    let steps = [32_000, 128_000, 1_000_000, 4_000_000].map(|context| engine::perf::StepShape::decode(32, context));
    let steps = steps.map(|shape| Observation { shape, seconds: truth.step_seconds(&shape) });
    let fitted = fit(&deployment, &steps, &free);
    let calibrated = profile.clone().calibrated(&fitted, "four steps");
    let written = calibrated.to_toml("Made by a test.\n\nFor a test.");
    assert!(written.starts_with("# Made by a test.\n#\n# For a test.\ndescription = "), "{written}");
    let read: ClusterProfile = toml::from_str(&written).expect("a profile");
    assert_eq!(read, calibrated);
    Kind::Cluster.check(&written).expect("fine");
    let bandwidth = &read.constants.all[&Constant::DecodeAttentionMbu];
    assert_eq!((bandwidth.kind, bandwidth.source.as_str()), (PriorKind::Fitted, "four steps"));
    let (before, after) = (&profile.constants.prompt[&Constant::GemmMfu], &read.constants.prompt[&Constant::GemmMfu]);
    assert_eq!(after.source, format!("not identified by the calibration; before it: {}", before.source));
    assert_eq!(
        read.posterior.expect("a belief").constants[..3],
        ["all.decode_attention_mbu", "all.layer_floor_us", "prompt.gemm_mfu"]
    );
}
