//! Every deployment of the wider tables, where they are at hand: reported, good or bad, and held to what was found once.

use std::fs;
use std::path::Path;

use engine::perf::fit::Observation;
use engine::perf::{Constant, Constants, Deployment, Dtype, Parallel, Precision, Prior, PriorKind};

use super::world::{Row, Spread, Table, deployment, errors, free, held_out, shape};

fn model(name: &str) -> Option<&'static str> {
    let known = [
        ("Llama-3.1-8B", "llama-3.1-8b"),
        ("Llama-3.1-70B", "llama-3.1-70b"),
        ("Qwen3-235B-A22B", "qwen3-235b-a22b"),
        ("DeepSeek-V3", "deepseek-v3"),
    ];
    known.into_iter().find(|(part, _)| name.contains(part)).map(|(_, model)| model)
}

fn dtype(text: &str) -> Dtype {
    if text == "bfloat16" { Dtype::Bf16 } else { Dtype::Fp8 }
}

/// What the tables of fp8 operators on H200 say where they differ from bf16. vLLM's products with block scales have a plateau;
/// other engines use other kernels for them, which are in no table here and are believed to be like those with one scale.
fn with_fp8(constants: Constants, plateau: bool) -> Constants {
    let (mfu, floor) = if plateau { (0.69, 68.0) } else { (0.60, 6.8) };
    [
        (Constant::GemmMfu, mfu, 0.15),
        (Constant::GemmMbu, 0.79, 0.15),
        (Constant::GemmFloor, floor, 0.5 * floor),
        (Constant::GemmPower, 2.8, 1.0),
        (Constant::DecodeAttentionMbu, 0.50, 0.15),
        (Constant::DecodeAttentionFloor, 14.8, 5.0),
    ]
    .into_iter()
    .fold(constants, |constants, (constant, value, spread)| {
        let prior = Prior { value, spread, kind: PriorKind::Fitted, source: "operator tables of H200".to_owned() };
        constants.with_prior(constant, prior)
    })
}

fn deployed(row: Row<'_>) -> Deployment {
    let number = |name: &str| row.get(name).parse::<u32>().unwrap_or(1);
    let parallel = Parallel { tp: number("tp"), ep: number("moe_ep"), attention_dp: number("attn_dp") };
    let weights = dtype(row.get("gemm_quant"));
    let precision = Precision { weights, experts: dtype(row.get("moe_quant")), kv: dtype(row.get("kv_quant")) };
    let (gpu, _) = row.get("system").split_once('_').expect("a system");
    let model = model(row.get("model")).expect("a model");
    let plain = deployment(gpu, model, parallel, precision, "h200-llama70b");
    if weights == Dtype::Bf16 {
        return plain;
    }
    let constants =
        with_fp8(plain.parts().constants.clone(), row.get("gemm_quant") == "fp8_block" && row.get("backend") == "vllm");
    plain.with_constants(constants)
}

#[test]
fn every_deployment_of_the_wider_table_is_reported() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference/composed_steps.csv");
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: no {} here", path.display());
        return;
    };
    let table = Table::read(&text);
    let mut deployments: Vec<(String, Deployment, Vec<Observation>)> = Vec::new();
    for row in table.rows() {
        let name = ["system", "model", "backend", "gemm_quant", "tp"].map(|column| row.get(column)).join(" ");
        if deployments.last().is_none_or(|last| last.0 != name) {
            deployments.push((name, deployed(row), Vec::new()));
        }
        let shape = shape(row.get("phase"), row.number("batch"), row.number("isl"));
        if let Some((_, _, observations)) = deployments.last_mut() {
            observations.push(Observation { shape, seconds: row.number::<f64>("step_ms") / 1e3 });
        }
    }
    let (mut plain, mut fitted) = (Vec::new(), Vec::new());
    for (name, deployment, observations) in &deployments {
        let experts = deployment.parts().model.expert_layers() > 0;
        let (without, with) = (
            errors(deployment, observations),
            held_out(deployment, observations, &free(experts, deployment.parts().parallel.tp)),
        );
        println!("{name}\n  no fit:   {}\n  held out: {}", Spread::of(&without), Spread::of(&with));
        plain.extend(without);
        fitted.extend(with);
    }
    let (plain, fitted) = (Spread::of(&plain), Spread::of(&fitted));
    println!("all {} deployments\n  no fit:   {plain}\n  held out: {fitted}", deployments.len());
    assert!(plain.median <= 20.0, "{plain}");
    assert!(fitted.median <= 8.0, "{fitted}");
}
