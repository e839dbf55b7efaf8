//! Command lines and what they mean.

use std::fmt::Write;

use loadgen::control::at::ControlAt;
use loadgen::http::ApiKey;
use loadgen::profile::Library;
use tui::cli::{Cli, Command, Served, TargetSpec};

/// A target in words: a simulated one by the name of its cluster, whose figures are the profile's affair.
fn target(spec: &TargetSpec) -> String {
    match spec {
        TargetSpec::Sim(sim) => format!("Sim({} {:?} x{})", sim.cluster.name, sim.split, sim.time_scale),
        other => format!("{other:?}"),
    }
}

/// What a command line means, or its refusal, as text. Words are split at spaces; `_` stands for a space in a word.
fn meaning(line: &str) -> String {
    let words = std::iter::once("pdtune".to_owned()).chain(line.split_whitespace().map(|word| word.replace('_', " ")));
    let command = match Cli::read(words).map_err(anyhow::Error::from) {
        Ok(cli) => cli.command(&Library::new(Vec::new())),
        Err(refusal) => Err(refusal),
    };
    match command {
        Ok(Command::Live(options)) => {
            let load = serde_json::to_string(&options.load).expect("JSON");
            let files = (&options.out, &options.asciicast);
            format!(
                "live   {} out={:?} asciicast={:?} {:?}\n  {load}",
                target(&options.watched.target),
                files.0,
                files.1,
                options.screen
            )
        }
        Ok(Command::Record(options)) => {
            let load = serde_json::to_string(&options.load).expect("JSON");
            let (json, fail) = (options.json, options.fail_on_slo);
            let (target, out) = (target(&options.watched.target), &options.out);
            format!("record {target} out={out:?} json={json} fail_on_slo={fail}\n  {load}")
        }
        Ok(Command::View(options)) => format!("{options:?}"),
        Ok(Command::Replay(options)) => format!("{options:?}"),
        Ok(Command::Report(options)) => format!("{options:?}"),
        Ok(Command::Serve(options)) => match &options.engine {
            Served::Cpu(_) => format!("{options:?}"),
            Served::Sim(sim) => {
                let control = options.control.is_some();
                format!(
                    "serve sim:{} {:?} time_scale={} control={control}",
                    sim.cluster.name, sim.split, sim.time_scale
                )
            }
        },
        Ok(Command::Plan(options)) => {
            let question = &options.question;
            let load = serde_json::to_string(&question.load).expect("JSON");
            let (cluster, splits) = (&question.cluster.name, &question.splits);
            format!(
                "plan   {cluster} rate={:?} slo={} attainment={} {} splits={splits:?} requests={} draws={} json={}\n  {load}",
                question.rate,
                question.slo,
                question.attainment,
                question.procedure,
                question.requests,
                question.draws,
                options.json
            )
        }
        Ok(Command::Search(options)) => {
            let load = serde_json::to_string(&options.load).expect("JSON");
            let (target, goal, requests) = (target(&options.target), options.goal, options.requests);
            let (budget, draws, json) = (options.budget, options.draws, options.json);
            format!("search {target} {goal:?} requests={requests} {budget:?} draws={draws} json={json}\n  {load}")
        }
        Ok(Command::Calibrate(options)) => {
            let (target, start, splits) = (target(&options.target), &options.start.cluster.name, &options.splits);
            let (budget, out, json) = (options.budget, options.out.display(), options.json);
            format!("calibrate {target} from={start} splits={splits:?} {budget:?} out={out} json={json}")
        }
        Ok(Command::Shift(options)) => format!("{options:?}"),
        Ok(Command::Profiles(options)) => format!("{options:?}"),
        Ok(Command::Shot(options)) => format!("{options:?}"),
        Err(error) => format!("error: {error:#}"),
    }
}

fn assert_meanings(name: &str, lines: &[&str]) {
    let mut text = String::new();
    for line in lines {
        let _ = writeln!(text, "$ pdtune {line}\n{}\n", meaning(line));
    }
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, text) });
}

#[test]
fn accepted() {
    assert_meanings(
        "accepted",
        &[
            "",
            "live",
            "--rate 8 --split 1P3D",
            "live --theme high-contrast --symbols ascii --read-only",
            "record --requests 1 --read-only",
            "replay run.jsonl.zst --read-only",
            "live --split 4A --workload long-answer --rate 2 --out run.jsonl.zst",
            "record --requests 200 --rate 4 --isl 128 --osl 32",
            "record --target cpu --split 2P2D --rate 4 --isl 128 --osl 32 --requests 200 --seed 7 --slo ttft=2s,tpot=200ms \
         --shift 5s=1P3D,12s=3P1D:migrate --json --out run.jsonl.zst",
            "record --split 2P2D --requests 200 --split 4A --requests 60",
            "record --workload chat --duration 60s --slo smooth --fail-on-slo",
            "record --workload chat --duration 60s --slo none",
            "record --phases 4/s_10s,_4..12/s_20s --arrival constant --warmup 5s",
            "record --workload wave",
            "record --isl uniform:10..90 --osl normal:50,20 --duration 1m --clamp",
            "record --trace traces/azure.csv --trace-format azure --speed 4 --limit 60 --clamp",
            "record --model models/tiny --requests 1",
            "record --model models/Tiny.GGUF --requests 1",
            "record --target http://127.0.0.1:8080/v1 --model qwen --request-timeout 30s --requests 1",
            "record --target http://gpu:8000 --control grpc://gpu:50051 --shift 5s=1P3D --requests 1",
            "record --target http://a:1,http://b:2/v1 --api chat --header X-Team:red --body-field top_p=0.9 --requests 1",
            "record --target http://a:1 --prompt text --strict-openai --first-token-timeout 5s --between-tokens-timeout 1s --requests 1",
            "record --target https://gpu --http2 --proxy http://127.0.0.1:3128 --connect-timeout 2s --requests 1",
            "record --target http://gpu:8000 --control smg+http://gpu:30000 --shift 5s=1P3D --requests 1",
            "record --target http://gpu:8000 --control sglang+http://gpu:30000 --engine-switch never --bootstrap-port 8998 --requests 1",
            "live --target grpc://127.0.0.1:50051",
            "record --target grpc://127.0.0.1:50051 --control none --requests 1",
            "record --target vllm+grpc://gpu-7:50051 --request-timeout 30s --first-token-timeout 5s --between-tokens-timeout 1s --requests 1",
            "replay run.jsonl.zst --target vllm+grpc://gpu-7:50051 --control none --no-wait",
            "replay run.jsonl.zst",
            "replay run.jsonl.zst.partial --target http://gpu:8000 --speed 2 --limit 50 --slo none --seed 3 --out new.jsonl.zst --json",
            "replay traces/azure.csv --split 1P3D --trace-format azure --slo ttft=1s --warmup 5s --duration 1m --shift 5s=2P2D \
         --clamp --fail-on-slo",
            "replay run.jsonl.zst --live --theme mono --read-only",
            "record --target sim:mi325x-qwen3-235b --split 2P1D --time-scale 20 --requests 1",
            "plan --cluster h200-llama70b --slo ttft=2s,tpot=30ms",
            "plan --cluster mi325x-qwen3-235b --split 2P1D,3A --isl 16000 --osl 1024 --rate 2 --slo tpot=25ms --procedure burst:50 \
         --draws 0 --attainment 0.95 --json",
            "calibrate --out no-such-file.toml --split 2P2D",
            "calibrate --target sim:mi325x-qwen3-235b --out no-such-file.toml --json",
            "calibrate --target http://gpu:8000 --cluster h200-llama70b --out no-such-file.toml --budget 5m",
            "plan --scenario mi325x-qwen3-235b-16k1k",
            "plan --scenario mi325x-qwen3-235b-16k1k --split 2P1D,3A --procedure burst:50 --attainment 0.9 --slo tpot=30ms --isl 8000 \
         --rate 2 --prefix-hit 0.5",
            "plan --scenario mi325x-qwen3-235b-16k1k --cluster h200-llama70b --workload chat",
            "live --scenario mi325x-deepseek-v3-5k140",
            "record --scenario mi325x-deepseek-v3-5k140 --target cpu --requests 3 --rate 1 --isl 100 --osl 10 --slo none",
            "record --requests 9 --isl 100 --osl 8 --prefix-hit 0.5",
            "record --requests 9 --isl 100 --osl 8 --turns 3",
            "record --requests 9 --isl 100 --osl 8 --turns 3 --think 250ms --prefix-hit 0.5",
            "record --requests 9 --turns 1",
            "search --slo ttft=2s,tpot=200ms",
            "search --target http://gpu:8000 --workload chat --rate 8 --budget 3m --steps 12 --requests 100 --attainment 0.95 --json",
            "search --target sim:h200-llama70b --slo ttft=2s,tpot=30ms --split 2P6D --procedure burst:50 --draws 0",
            "report run.jsonl.zst --json",
            "shot live --out live.svg --size 80x24 --theme light",
            "serve",
            "serve --split 1P3D --model models/Tiny.gguf --listen [::1]:0 --served-model-name tiny --max-requests 64 \
         --max-connections 10 --drain-timeout 5s",
            "serve --control-listen none",
            "serve --target sim:h200-llama70b --split 2P2D",
            "serve --target sim:h200-llama70b --time-scale 20 --control-listen none",
            "serve --control-listen [::1]:0 --listen [::1]:0",
            "shift --target grpc://127.0.0.1:50051 --to 3P1D",
            "shift --target grpc://gpu-7:50051 --to 4A --how migrate --timeout 5m --json",
            "shift --target grpc://gpu-7:50051 --to 3P1D --how restart",
            "profiles list",
            "profiles show slo smooth",
            "profiles check",
            "profiles check workload mine.toml",
            "profiles check cluster mi325x-qwen3-235b",
        ],
    );
}

#[test]
fn refused() {
    assert_meanings(
        "refused",
        &[
            "--rate 4 --phases 4/s_10s",
            "record --trace a.csv --isl 100",
            "record --trace a.csv --rate 4",
            "record --requests 1 --speed 2",
            "record --requests 1 --limit 5",
            "record --rate 4",
            "record --split 3P0D --requests 1",
            "record --split 2Q --requests 1",
            "record --target hip --requests 1",
            "record --rate 0 --requests 1",
            "record --rate fast --requests 1",
            "record --phases 4/s",
            "record --arrival gamma --requests 1",
            "record --isl zero --requests 1",
            "record --osl lognormal:5 --requests 1",
            "record --slo ttft=fast --requests 1",
            "record --slo itl=5ms --requests 1",
            "record --slo quick --requests 1",
            "record --duration 60",
            "record --duration 0s",
            "record --requests 0",
            "record --duration 10s --warmup 10s",
            "record --phases 4/s_10s --warmup 1m",
            "record --trace a.csv --speed 0",
            "record --trace a.csv --trace-format parquet",
            "record --shift 30s=1P3D,10s=2P2D --requests 1",
            "record --shift 30s=1P3D:reboot --requests 1",
            "record --workload chatty --requests 1",
            "record --workload no/such.toml --requests 1",
            "record --requests 1 --fail-on-slo",
            "record --requests 1 --seeds 3",
            "--scenario x",
            "--rate 4 record",
            "--theme blue",
            "replay",
            "replay run.jsonl.zst --speed 0",
            "replay run.jsonl.zst --rate 4",
            "replay run.jsonl.zst --live --json",
            "replay run.jsonl.zst --theme mono",
            "replay run.jsonl.zst --trace-format parquet",
            "replay run.jsonl.zst --slo quick",
            "serve --target http://gpu:8000",
            "frobnicate",
            "report",
            "serve --listen 0.0.0.0:8080",
            "serve --listen localhost",
            "serve --listen 127.0.0.1:99999",
            "serve --api-key-env PDTUNE-NO-SUCH-VARIABLE",
            "serve --max-requests 0",
            "serve --control-listen 0.0.0.0:50051",
            "serve --control-listen off",
            "serve --control-listen 127.0.0.1:8080",
            "shift --to 3P1D",
            "shift --target grpc://127.0.0.1:50051",
            "shift --target http://127.0.0.1:8080 --to 3P1D",
            "shift --target cpu --to 3P1D",
            "shift --target grpc://127.0.0.1 --to 3P1D",
            "shift --target grpc://127.0.0.1:0 --to 3P1D",
            "shift --target grpc://127.0.0.1:50051 --to 3P0D",
            "shift --target grpc://127.0.0.1:50051 --to more",
            "shift --target grpc://127.0.0.1:50051 --to 3P1D --how reboot",
            "shift --target grpc://127.0.0.1:50051 --to 3P1D --timeout 0s",
            "shift --target grpc://127.0.0.1:50051 --to 3P1D --timeout soon",
            "shift --target grpc://127.0.0.1:50051 --to 3P1D --api-key-env PDTUNE-NO-SUCH-VARIABLE",
            "shift --target grpc://127.0.0.1:50051 --to 3P1D now",
            "serve --drain-timeout soon",
            "serve --rate 4",
            "profiles",
            "profiles show engine x",
            "profiles check slo",
            "shot live",
            "shot live --out live.svg --size 0x24",
        ],
    );
}

#[test]
fn the_key_of_etcd_is_a_user_with_a_password() {
    // Cargo gives tests this variable, whose value is one word.
    let line = "pdtune record --requests 1 --target http://gpu:8000 --control dynamo+etcds://gpu:2379 --control-key-env CARGO_PKG_NAME";
    let refused = Cli::read(line.split_whitespace()).expect(line).command(&Library::new(Vec::new()));
    let why = refused.expect_err("it has no password").to_string();
    assert_eq!(why, "--control-key-env: CARGO_PKG_NAME is not USER:PASSWORD, as etcd wants it");
}

#[test]
fn the_key_of_a_target_goes_to_a_control_of_its_own_host_alone() {
    // Cargo gives tests two variables with values that can be keys.
    let control_key = |line: &str| {
        let words = ["pdtune", "record", "--requests", "1", "--api-key-env", "CARGO_PKG_NAME"];
        let cli = Cli::read(words.into_iter().chain(line.split_whitespace())).expect(line);
        let Ok(Command::Record(options)) = cli.command(&Library::new(Vec::new())) else { panic!("{line}") };
        let TargetSpec::Http(target) = options.watched.target else { panic!("{line}") };
        assert!(target.key.is_some(), "{line}");
        match target.control {
            Some(ControlAt::Ray(at)) => at.key,
            Some(ControlAt::Gateway(at)) => at.key,
            other => panic!("{line}: {other:?}"),
        }
    };
    let [targets, controls] =
        [env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")].map(|key| ApiKey::new(key.to_owned()));
    for (line, wanted) in [
        ("--target http://gpu:8000 --control ray+http://gpu:8265", &targets),
        ("--target http://a:8000,http://gpu:8000 --control smg+http://GPU:3000", &targets),
        ("--target http://gpu:8000 --control ray+https://gpu", &targets),
        ("--target https://gpu --control ray+https://gpu:8265", &targets),
        ("--target https://gpu --control ray+http://gpu:8265", &None),
        ("--target http://gpu:8000 --control ray+http://head:8265", &None),
        ("--target http://gpu:8000 --control sglang+http://gpu.evil.example:8000", &None),
        ("--target http://gpu:8000 --control ray+http://head:8265 --control-key-env CARGO_PKG_VERSION", &controls),
        ("--target http://gpu:8000 --control smg+http://gpu:3000 --control-key-env CARGO_PKG_VERSION", &controls),
    ] {
        assert_eq!(control_key(line), *wanted, "{line}");
    }
}

#[test]
fn refused_servers() {
    assert_meanings(
        "refused_servers",
        &[
            "record --target http://gpu:8000 --ca-file no/such.pem --requests 1",
            "record --target http://gpu:8000 --proxy socks5://host:1 --requests 1",
            "record --target http://gpu:8000 --proxy http://me:secret@host:1 --requests 1",
            "record --proxy http://host:1 --requests 1",
            "record --control-key-env PATH --requests 1",
            "record --target http://gpu:8000 --control-key-env PATH --requests 1",
            "record --target http://gpu:8000 --control exec:x --control-key-env PATH --requests 1",
            "record --target http://gpu:8000 --control ray+http://h:8265 --control-key-env PDTUNE-NO-SUCH-VARIABLE --requests 1",
            "record --target grpc://gpu:50051 --control-key-env PATH --requests 1",
            "record --target http://gpu:8000 --control smg+http://h:1 --worker-key-env PDTUNE-NO-SUCH-VARIABLE --requests 1",
            "shift --target none --to 3P1D",
            "shift --target exec:x --to 3P1D --api-key-env PATH",
            "record --api chat --requests 1",
            "record --target http://gpu:8000 --api chat --prompt tokens --requests 1",
            "record --target http://gpu:8000,gpu:8001 --requests 1",
            "record --target http://gpu:8000 --header swordfish --requests 1",
            "record --target http://gpu:8000 --header Host:swordfish --requests 1",
            "record --target http://gpu:8000 --header-env X-Team --requests 1",
            "record --target http://gpu:8000 --header-env X-Team=PDTUNE-NO-SUCH-VARIABLE --requests 1",
            "record --target http://gpu:8000 --body-field stop=x --requests 1",
            "record --target http://gpu:8000 --body-field prompt=1 --requests 1",
            "record --target grpc://gpu:50051 --first-token-timeout 1s --requests 1",
            "record --target grpc://gpu:50051 --http2 --requests 1",
            "record --target vllm+grpc://gpu --requests 1",
            "record --target vllm+grpc://gpu:1,vllm+grpc://gpu:2 --requests 1",
            "record --target vllm+grpc://gpu:1 --split 2A --requests 1",
            "record --target vllm+grpc://gpu:1 --model qwen --requests 1",
            "record --target vllm+grpc://gpu:1 --control grpc://gpu:2 --requests 1",
            "record --target vllm+grpc://gpu:1 --control-key-env KEY --requests 1",
            "record --target vllm+grpc://gpu:1 --api chat --requests 1",
            "record --target vllm+grpc://gpu:1 --http2 --requests 1",
            "record --target vllm+grpc://gpu:1 --ca-file x.pem --requests 1",
            "record --target vllm+grpc://gpu:1 --worker-command serve-{role} --requests 1",
            "serve --target vllm+grpc://gpu:1",
            "shift --target vllm+grpc://gpu:1 --to 1P3D",
            "shift --target grpc://gpu:50051 --ca-file x.pem --to 1P3D",
            "record --target http://me:secret@gpu:8000 --requests 1",
            "record --target grpc://gpu --requests 1",
            "record --target http://gpu:8000 --control grpc://gpu:50051 --split 2P2D --requests 1",
            "record --target http://gpu:8000 --api-key-env PDTUNE-NO-SUCH-VARIABLE --requests 1",
            "record --target http://gpu:8000 --control http://gpu:8000 --requests 1",
            "record --target grpc://gpu:1 --control grpc://gpu:2 --requests 1",
            "record --target grpc://gpu:1 --model qwen --requests 1",
            "record --control none --requests 1",
            "record --request-timeout 5s --requests 1",
            "record --target http://gpu:8000 --request-timeout 0s --requests 1",
        ],
    );
}

#[test]
fn refused_controls() {
    assert_meanings(
        "refused_controls",
        &[
            "record --requests 1 --read-only --shift 5s=1P3D",
            "live --read-only --shift 5s=1P3D",
            "replay run.jsonl.zst --read-only --shift 5s=1P3D",
            "shift --target exec:./plane.sh --to 3P1D --read-only",
            "record --target http://gpu:8000 --control smg+http://me:secret@gpu:30000 --requests 1",
            "record --target http://gpu:8000 --control sglang+http://gpu:30000 --prefill-deployment p --requests 1",
            "record --target http://gpu:8000 --control ray+http://gpu:8265 --bootstrap-port 8998 --requests 1",
            "record --target http://gpu:8000 --control smg+http://gpu:30000 --engine-switch perhaps --requests 1",
            "shift --target exec:./plane.sh --to 3P1D --engine-switch never",
            "record --target http://gpu:8000 --control dynamo+file: --requests 1",
            "record --target http://gpu:8000 --control dynamo+file:kv --split 1P1D --requests 1",
            "record --target http://gpu:8000 --control dynamo+file:kv --worker-command serve --requests 1",
            "record --target http://gpu:8000 --control dynamo+file:kv --worker-command serve-{mode} --requests 1",
            "record --target http://gpu:8000 --control dynamo+file:kv --prefill-deployment p --requests 1",
            "record --target http://gpu:8000 --control ray+http://gpu:8265 --dynamo-namespace prod --requests 1",
            "record --target http://gpu:8000 --control dynamo+etcd://me:secret@gpu:2379/dynamo --requests 1",
            "record --target http://gpu:8000 --control dynamo+etcd://https://gpu:2379 --requests 1",
            "record --target http://gpu:8000 --control etcd://me:secret@gpu:2379 --requests 1",
            "shift --target dynamo+etcd://gpu:2379 --api-key-env PDTUNE-NO-SUCH-VARIABLE --to 3P1D",
            "record --target http://gpu:8000 --worker-command serve-{role} --requests 1",
            "shift --target dynamo+file:kv --to 3P1D",
        ],
    );
}

#[test]
fn refused_simulations() {
    assert_meanings(
        "refused_simulations",
        &[
            "record --requests 1 --target sim:none",
            "record --requests 1 --target sim:",
            "record --requests 1 --target sim:h200-llama70b --model qwen",
            "record --requests 1 --target sim:h200-llama70b --time-scale 0",
            "record --requests 1 --time-scale 2",
            "plan --cluster h200-llama70b",
            "plan --scenario nowhere",
            "plan --scenario no/such.toml",
            "plan --scenario mi325x-qwen3-235b-16k1k --split 9P9D",
            "record --scenario nowhere --requests 1",
            "record --requests 1 --prefix-hit 1",
            "record --trace a.csv --prefix-hit 0.3",
            "record --requests 1 --turns 0",
            "record --requests 1 --turns 201",
            "record --requests 1 --turns many",
            "record --requests 1 --think 1s",
            "record --requests 9 --turns 3 --clamp",
            "record --trace a.csv --turns 3",
            "replay run.jsonl.zst --turns 3",
            "plan --cluster h200-llama70b --slo ttft=2s --turns 3",
            "search --slo ttft=2s --turns 3",
            "plan --slo ttft=1s",
            "plan --cluster nowhere --slo ttft=1s",
            "plan --cluster h200-llama70b --slo ttft=1s --split 99P1D",
            "plan --cluster h200-llama70b --slo ttft=1s --duration 60s",
            "plan --cluster h200-llama70b --slo ttft=1s --attainment 0",
            "plan --cluster h200-llama70b --slo ttft=1s --procedure burst",
            "serve --target sim:nowhere",
            "serve --target sim:h200-llama70b --time-scale 20",
            "serve --target sim:h200-llama70b --model qwen",
            "serve --target sim:h200-llama70b --split 99P1D",
            "serve --time-scale 20",
            "calibrate",
            "calibrate --out no-such-folder/found.toml",
            "calibrate --out src/main.rs",
            "calibrate --out found.toml --target sim:nowhere",
            "calibrate --out found.toml --target http://gpu:8000",
            "calibrate --out found.toml --model no-such-folder",
            "calibrate --out found.toml --target sim:h200-llama70b --time-scale 20",
            "calibrate --out found.toml --target sim:h200-llama70b --split 99P1D",
            "calibrate --out found.toml --budget 0s",
            "search --target sim:h200-llama70b",
            "search --target sim:h200-llama70b --slo ttft=1s --time-scale 20",
            "search --target sim:h200-llama70b --slo ttft=1s --budget 1m",
            "search --slo ttft=1s --draws 5",
            "search --slo ttft=1s --duration 60s",
            "search --slo ttft=1s --rate 0",
            "search --slo ttft=1s --requests 1000000",
        ],
    );
}

/// Where servers tell of themselves, as a command line has it.
fn sources(line: &str) -> String {
    let words = std::iter::once("pdtune").chain(line.split_whitespace());
    match Cli::read(words).map_err(anyhow::Error::from).and_then(|cli| cli.command(&Library::new(Vec::new()))) {
        Ok(Command::Live(options)) => format!("{:?}", options.watched.metrics),
        Ok(Command::Record(options)) => format!("{:?}", options.watched.metrics),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("error: {error:#}"),
    }
}

#[test]
fn metrics() {
    let mut text = String::new();
    for line in [
        "live",
        "live --target http://gpu:8000",
        "live --target http://gpu:8000 --metrics none",
        "record --requests 1 --target http://gpu:8000 --metrics prefill=http://a:8101,decode=http://b:8102/metrics",
        "record --requests 1 --target http://gpu:8000 --metrics ray:/tmp/ray/sd.json --metrics-period 5s",
        "record --requests 1 --target grpc://gpu:50051",
        "record --requests 1 --target grpc://gpu:50051 --metrics http://gpu:8080",
        "record --requests 1 --target vllm+grpc://gpu:50051",
        "record --requests 1 --target vllm+grpc://gpu:50051 --metrics http://gpu:8080",
        "record --requests 1 --metrics http://gpu:8080",
        "record --requests 1 --target cpu --metrics-period 2s",
        "record --requests 1 --target http://gpu:8000 --metrics gpu:8000",
        "record --requests 1 --target http://gpu:8000 --metrics router=http://gpu:8000",
        "record --requests 1 --target http://gpu:8000 --metrics ray:",
        "record --requests 1 --target http://gpu:8000 --metrics http://me:hunter2@gpu:8000",
        "record --requests 1 --target http://gpu:8000 --metrics-period 10ms",
        "search --target http://gpu:8000 --slo ttft=1s --metrics none",
    ] {
        let _ = writeln!(text, "$ pdtune {line}\n{}\n", sources(line));
    }
    assert_eq!(text.matches("hunter2").count(), 1, "it stands in the line alone: {text}");
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!("metrics", text) });
}
