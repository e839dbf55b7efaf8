//! What a cluster does instead of what it is asked for.

use engine::cluster::How;

use super::super::Kube;
use super::world::{World, block_on, deployments, split};
use crate::control::at::{ControlAt, KubeControlAt};
use crate::control::plane::{Adapter, CallError, Unseen};
use crate::control::prepare::prepared;
use crate::http::HttpOptions;

#[test]
fn a_unit_that_finds_no_gpu_is_rolled_back_with_the_schedulers_words() {
    block_on(async {
        let mut world = World::new("kube://llm/deployment/vllm-prefill,deployment/vllm-decode").await;
        world.workload("deployments", "vllm-prefill", 2, 2);
        world.workload("deployments", "vllm-decode", 2, 1);
        world.cluster.state().gpus = 6;
        assert!(world.plan("3P1D").await.expect_err("refused").contains("1 GPUs are freed, and 2 are needed"));
        let shifted = world.shift("3P2D").await;
        let why = shifted.report.abandoned.expect("given up");
        assert!(why.contains("finds no node: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."), "{why}");
        assert!(why.ends_with("; rolled back to 2P2D"), "{why}");
        assert_eq!(shifted.split, split("2P2D"));
        assert!(shifted.remarks.contains(&"1 prefill unit of 2 GPUs more".to_owned()), "{:?}", shifted.remarks);
    });
}

#[test]
fn an_answer_of_200_that_changed_nothing_is_no_success() {
    block_on(async {
        let mut world = deployments().await;
        world.cluster.state().deaf = true;
        let shifted = world.shift("3P1D").await;
        let why = shifted.report.abandoned.expect("given up");
        assert!(why.contains("was answered, and has changed nothing within 30 s"), "{why}");
        assert!(why.ends_with("; rolled back to 2P2D"), "{why}");
    });
}

#[test]
fn a_server_that_answers_scale_with_the_whole_object_is_understood() {
    block_on(async {
        let mut world = deployments().await;
        world.cluster.state().whole = true;
        let shifted = world.shift("1P3D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("1P3D")));
    });
}

#[test]
fn a_conflict_is_tried_again_with_the_object_as_it_is_now_but_not_for_ever() {
    block_on(async {
        let mut world = deployments().await;
        world.cluster.state().conflicts = 2;
        let shifted = world.shift("3P1D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("3P1D")));
        world.cluster.state().conflicts = 1_000_000;
        let why = world.shift("2P2D").await.report.abandoned.expect("given up");
        assert!(
            why.contains("could not be done within 120 s: deployments/vllm-prefill/scale was changed by somebody else at the same moment"),
            "{why}"
        );
        assert!(why.contains("(5 times)"), "{why}");
    });
}

#[test]
fn what_is_not_allowed_or_not_there_is_named() {
    block_on(async {
        let mut world = deployments().await;
        world.cluster.state().forbidden.push(("/scale", "patch"));
        let why = world.shift("3P1D").await.report.abandoned.expect("given up");
        assert!(
            why.starts_with("the cluster does not allow it: a role with the verb patch on deployments/scale of apps in namespace llm is lacking"),
            "{why}"
        );
        assert_eq!(world.cluster.state().asked.iter().filter(|asked| asked.method == "PATCH").count(), 1);

        let mut world = World::new("kube://llm/deployment/vllm-prefill,deployment/no").await;
        world.workload("deployments", "vllm-prefill", 2, 1);
        assert_eq!(
            world.refusal("1P1D").await,
            r#"the cluster has no deployments/no in namespace llm: "no" not found"#
        );
        let mut world = World::new("kube://llm/rolebasedgroup/qwen").await;
        world.workload("deployments", "other", 2, 1);
        assert_eq!(
            world.refusal("1P1D").await,
            "the cluster has no RoleBasedGroup: workloads.x-k8s.io is not installed there"
        );
    });
}

#[test]
fn splits_that_leave_a_role_to_nobody_or_cannot_be_are_refused() {
    block_on(async {
        let mut world = deployments().await;
        let seen = world.settle().await;
        let refused = |to, how| world.kube.propose(to, how).expect_err("refused");
        let nobody = engine::units::Split { prefill: 4, decode: 0, aggregated: 0 };
        let why = prepared(&world.kube, &seen, nobody, How::Drain).expect_err("refused");
        assert_eq!(why, "4P0D would leave nobody to decode");
        assert_eq!(refused(split("4A"), How::Drain), "what scales prefill and decode has no aggregated units");
        assert!(refused(split("3P1D"), How::Migrate).contains("cannot migrate"));
    });
}

#[test]
fn a_cluster_that_is_not_there_is_said_to_be_without_the_token() {
    block_on(async {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config");
        let config = format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: {{server: \"http://{nobody}\"}}}}], users: [{{name: u, user: {{token: hunter2}}}}]}}"
        );
        std::fs::write(&file, config).expect("a kubeconfig");
        let observe = |address: &str, file| {
            let mut kube = Kube::new(address.parse().expect("an address"), Some(file), HttpOptions::default());
            async move { kube.observe().await.expect_err("nobody is there") }
        };
        let address = "kube://llm/deployment/p,deployment/d";
        let Unseen::NotYet(why) = observe(address, file.clone()).await else { panic!("it may come up") };
        assert!(why.contains("onnection refused") && !why.contains("hunter2"), "{why}");
        let Unseen::Never(why) = observe("kube://other/llm/deployment/p,deployment/d", file).await else {
            panic!("waiting makes no context")
        };
        assert!(why.starts_with("there is no usable kubeconfig: ") && why.contains("other"), "{why}");
        let Unseen::Never(why) = observe(address, folder.path().join("none")).await else { panic!("nor a file") };
        assert!(why.starts_with("there is no usable kubeconfig: "), "{why}");
    });
}

#[test]
fn a_dry_run_asks_the_cluster_without_effect() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut world = runtime.block_on(deployments());
    runtime.block_on(world.settle());
    let file = world.kube.kubeconfig.clone();
    let preview = |to: &str| {
        let address = world.kube.address.clone();
        let http = HttpOptions::default();
        let patience = std::time::Duration::from_secs(1);
        let at = KubeControlAt { address, kubeconfig: file.clone(), http, patience };
        ControlAt::Kube(at).preview(split(to), How::Drain).expect("a preview")
    };
    let shown = preview("3P1D");
    assert_eq!(shown.calls.len(), 2);
    assert_eq!(shown.rehearsed, Some(Ok(())));
    assert!(world.cluster.patches().iter().all(|asked| asked.query == "fieldManager=pdtune&dryRun=All"));
    world.cluster.state().forbidden.push(("/vllm-decode/scale", "patch"));
    let why = preview("3P1D").rehearsed.expect("an answer").expect_err("not allowed");
    assert!(why.starts_with("the cluster does not allow it: a role with the verb patch"), "{why}");
    assert_eq!(runtime.block_on(world.settle()).serving(), split("2P2D"));
}

#[test]
fn what_the_rollback_finds_changed_by_nobody_is_not_called_again() {
    block_on(async {
        let mut world = deployments().await;
        let plan = world.plan("3P1D").await.expect("a plan");
        let back = plan.steps[0].back.clone().expect("a way back");
        world.kube.apply(&back.call).await.expect("it is so already");
        assert!(world.cluster.patches().is_empty());
        {
            let path = "/apis/apps/v1/namespaces/llm/deployments/vllm-decode";
            let mut state = world.cluster.state();
            state.objects.get_mut(path).expect("it is there")["spec"]["replicas"] = serde_json::json!(5);
        }
        let why = world.kube.apply(&plan.steps[0].forth.call).await.expect_err("somebody else was there");
        assert!(
            matches!(&why, CallError::Overtaken(why) if why.contains("has set the units of deployments/vllm-decode to 5 meanwhile")),
            "{why}"
        );
    });
}
