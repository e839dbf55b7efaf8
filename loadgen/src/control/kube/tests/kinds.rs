//! Every kind of object is seen, and shifted where its number stands.

use engine::units::Role;
use serde_json::json;

use super::cluster::collection;
use super::world::{World, block_on, deployments, split};
use crate::control::plane::{Adapter, MemberState};

#[test]
fn deployments_are_scaled_by_the_sub_resource_and_the_side_that_shrinks_goes_first() {
    block_on(async {
        let mut world = deployments().await;
        let plan = world.plan("3P1D").await.expect("a plan");
        let says: Vec<_> = plan.steps.iter().map(|step| step.forth.says.as_str()).collect();
        assert_eq!(
            says,
            [
                r#"PATCH /apis/apps/v1/namespaces/llm/deployments/vllm-decode/scale {"spec":{"replicas":1}} (was 2)"#,
                r#"PATCH /apis/apps/v1/namespaces/llm/deployments/vllm-prefill/scale {"spec":{"replicas":3}} (was 2)"#
            ]
        );
        let shifted = world.shift("3P1D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("3P1D")));
        assert!(shifted.report.drain.0 > 0, "a pod that terminates is seen to");
        assert_eq!(
            shifted.remarks,
            [
                "1 decode unit of 1 GPU becomes 1 prefill unit of 1",
                "a pod of deployment/vllm-decode that stops has 30 s to end its streams (terminationGracePeriodSeconds); what takes longer is cut"
            ]
        );
        let asked = world.cluster.patches();
        assert_eq!(asked[0].kind, "application/merge-patch+json");
        assert_eq!(asked[0].query, "fieldManager=pdtune");
        assert!(asked[0].body.pointer("/metadata/resourceVersion").is_some(), "of the object as it was read");
        let scaled =
            |name: &str, units: u32| (format!("deployments/{name}/scale"), json!({"spec": {"replicas": units}}));
        assert_eq!(world.patched(), [scaled("vllm-decode", 1), scaled("vllm-prefill", 3)]);
    });
}

#[test]
fn pods_of_several_nodes_are_one_unit_and_a_shift_says_what_it_trades() {
    block_on(async {
        let mut world = World::new("kube://llm/statefulset/p,leaderworkerset/d").await;
        world.workload("statefulsets", "p", 2, 1);
        let set = json!({"metadata": {"name": "d"}, "spec": {"replicas": 2, "leaderWorkerTemplate": {"size": 2}}});
        let path = world.cluster.put(&collection("leaderworkerset.x-k8s.io", "v1", "leaderworkersets"), set);
        world.makes(&path, "/spec/replicas", "d", &[("leaderworkerset.sigs.k8s.io/name", "d")], 4);
        world.cluster.state().makers[1].size = 2;
        let seen = world.settle().await;
        assert_eq!(seen.serving(), split("2P2D"));
        let plan = world.plan("3P1D").await.expect("a plan");
        assert_eq!(plan.remarks[0], "1 decode unit of 8 GPUs becomes 1 prefill unit of 1, and 7 GPUs stay idle");
        let shifted = world.shift("3P1D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("3P1D")));
        assert_eq!(world.patched()[0], ("leaderworkersets/d/scale".to_owned(), json!({"spec": {"replicas": 1}})));
    });
}

const DYNAMO: &str = "nvidia.com";

async fn graph(adapters: bool) -> World {
    let world = World::new("kube://llm/dgd/vllm").await;
    let object = json!({"metadata": {"name": "vllm"}, "spec": {"components": [
        {"name": "Frontend", "type": "frontend", "replicas": 1},
        {"name": "VllmPrefillWorker", "type": "prefill", "replicas": 2},
        {"name": "VllmDecodeWorker", "type": "decode", "replicas": 2}]}});
    let path = world.cluster.put(&collection(DYNAMO, "v1beta1", "dynamographdeployments"), object);
    for (index, component) in [(1, "VllmPrefillWorker"), (2, "VllmDecodeWorker")] {
        let labels = [("nvidia.com/dynamo-graph-deployment-name", "vllm"), ("nvidia.com/dynamo-component", component)];
        let (mut from, mut pointer) = (path.clone(), format!("/spec/components/{index}/replicas"));
        if adapters {
            let adapter = json!({"metadata": {"name": format!("vllm-{}", component.to_lowercase())},
                "spec": {"replicas": 2, "dgdRef": {"name": "vllm", "serviceName": component}}});
            from = world.cluster.put(&collection(DYNAMO, "v1beta1", "dynamographdeploymentscalingadapters"), adapter);
            "/spec/replicas".clone_into(&mut pointer);
        }
        world.makes(&from, &pointer, &component.to_lowercase(), &labels, 1);
    }
    world
}

#[test]
fn a_dynamo_graph_is_scaled_by_its_adapters_and_without_them_in_its_list() {
    block_on(async {
        let mut world = graph(true).await;
        let shifted = world.shift("1P3D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("1P3D")));
        let scaled = |component: &str, units: u32| {
            (
                format!("dynamographdeploymentscalingadapters/vllm-{component}/scale"),
                json!({"spec": {"replicas": units}}),
            )
        };
        assert_eq!(world.patched(), [scaled("vllmprefillworker", 1), scaled("vllmdecodeworker", 3)]);

        let mut world = graph(false).await;
        let shifted = world.shift("1P3D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("1P3D")));
        let patched = world.patched();
        assert_eq!(patched[0].0, "dynamographdeployments/vllm");
        assert_eq!(
            patched[0].1,
            json!([
                {"op": "test", "path": "/spec/components/1/name", "value": "VllmPrefillWorker"},
                {"op": "test", "path": "/spec/components/1/replicas", "value": 2},
                {"op": "add", "path": "/spec/components/1/replicas", "value": 1}])
        );
    });
}

#[test]
fn a_role_based_group_is_scaled_by_the_adapter_of_the_role_or_in_its_list() {
    block_on(async {
        let mut world = World::new("kube://llm/rolebasedgroup/qwen").await;
        let group = "workloads.x-k8s.io";
        let object = json!({"metadata": {"name": "qwen"}, "spec": {"roles": [
            {"name": "router", "replicas": 1}, {"name": "prefill", "replicas": 1}, {"name": "decode", "replicas": 3}]}});
        let path = world.cluster.put(&collection(group, "v1alpha2", "rolebasedgroups"), object);
        let adapter = json!({"metadata": {"name": "qwen-decode"},
            "spec": {"replicas": 3, "scaleTargetRef": {"name": "qwen", "role": "decode"}}});
        let adapter = world.cluster.put(&collection(group, "v1alpha2", "rolebasedgroupscalingadapters"), adapter);
        for (from, pointer, role) in
            [(&path, "/spec/roles/1/replicas", "prefill"), (&adapter, "/spec/replicas", "decode")]
        {
            let labels = [("rbg.workloads.x-k8s.io/group-name", "qwen"), ("rbg.workloads.x-k8s.io/role-name", role)];
            world.makes(from, pointer, role, &labels, 1);
        }
        let shifted = world.shift("2P2D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P2D")));
        let patched = world.patched();
        assert_eq!(
            patched[0],
            ("rolebasedgroupscalingadapters/qwen-decode/scale".to_owned(), json!({"spec": {"replicas": 2}}))
        );
        assert_eq!(patched[1].0, "rolebasedgroups/qwen");
        assert_eq!(patched[1].1[2], json!({"op": "add", "path": "/spec/roles/1/replicas", "value": 2}));
    });
}

#[test]
fn an_inference_service_is_changed_itself_and_refused_where_it_scales_itself() {
    block_on(async {
        let mut world = World::new("kube://llm/llminferenceservice/qwen").await;
        let services = collection("serving.kserve.io", "v1alpha2", "llminferenceservices");
        let object = json!({"metadata": {"name": "qwen"}, "spec": {"replicas": 2, "prefill": {"replicas": 2}}});
        let path = world.cluster.put(&services, object);
        for (child, pointer) in [("qwen-kserve", "/spec/replicas"), ("qwen-kserve-prefill", "/spec/prefill/replicas")] {
            let object = json!({"metadata": {"name": child, "ownerReferences":
                [{"kind": "LLMInferenceService", "name": "qwen", "controller": true}]},
                "spec": {"replicas": 2, "selector": {"matchLabels": {"app": child}}}});
            world.cluster.put(&collection("apps", "v1", "deployments"), object);
            let pod = if child.ends_with("prefill") { "p" } else { "d" };
            world.makes(&path, pointer, pod, &[("app", child)], 1);
        }
        let shifted = world.shift("1P3D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("1P3D")));
        let at = "llminferenceservices/qwen".to_owned();
        let patched =
            [(at.clone(), json!({"spec": {"prefill": {"replicas": 1}}})), (at, json!({"spec": {"replicas": 3}}))];
        assert_eq!(world.patched(), patched);

        let object =
            json!({"metadata": {"name": "qwen"}, "spec": {"scaling": {"maxReplicas": 4}, "prefill": {"replicas": 2}}});
        world.cluster.put(&services, object);
        assert!(world.refusal("1P3D").await.contains("scales its decode itself (`scaling`)"));
        world.cluster.put(&services, json!({"metadata": {"name": "qwen"}, "spec": {"replicas": 2}}));
        assert_eq!(world.refusal("1P3D").await, "llminferenceservice/qwen has no `prefill`: its units do both");
    });
}

#[test]
fn a_storm_service_of_one_role_set_is_scaled_by_role() {
    block_on(async {
        let mut world = World::new("kube://llm/stormservice/qwen").await;
        let services = collection("orchestration.aibrix.ai", "v1alpha1", "stormservices");
        let object = |sets: u32| {
            json!({"metadata": {"name": "qwen"}, "spec": {"replicas": sets, "template": {"spec": {"roles": [
                {"name": "prefill", "replicas": 3}, {"name": "decode", "replicas": 1}]}}}})
        };
        let path = world.cluster.put(&services, object(1));
        for (index, role) in ["prefill", "decode"].into_iter().enumerate() {
            let labels = [("storm-service-name", "qwen"), ("role-name", role)];
            world.makes(&path, &format!("/spec/template/spec/roles/{index}/replicas"), role, &labels, 1);
        }
        let shifted = world.shift("2P2D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P2D")));
        let patched = world.patched();
        assert_eq!(
            patched[0].1[0],
            json!({"op": "test", "path": "/spec/template/spec/roles/0/name", "value": "prefill"})
        );
        world.cluster.put(&services, object(2));
        assert!(world.refusal("1P3D").await.contains("has 2 role sets, each with all of the roles"));
    });
}

#[test]
fn where_pods_cannot_be_seen_the_objects_numbers_are_what_is_known() {
    block_on(async {
        let mut world = deployments().await;
        world.settle().await;
        world.cluster.state().forbidden.push(("/pods", "get"));
        let seen = world.kube.observe().await.expect("units");
        assert_eq!(seen.serving(), split("2P2D"));
        let plan = world.kube.propose(split("3P1D"), engine::cluster::How::Drain).expect("a plan");
        assert!(
            plan.remarks[0].starts_with("the pods cannot be seen (the verb list on pods is lacking)"),
            "{:?}",
            plan.remarks
        );
        // Nobody has acted on what was asked for a moment ago.
        let path = format!("{}/vllm-decode", collection("apps", "v1", "deployments"));
        if let Some(object) = world.cluster.state().objects.get_mut(&path) {
            object["metadata"]["generation"] = json!(9);
        }
        let seen = world.kube.observe().await.expect("units");
        assert_eq!(seen.count(Role::Decode, MemberState::Serving), 0, "what is told is of before");
    });
}
