//! Others who change the number of units.

use serde_json::json;

use super::cluster::collection;
use super::world::{block_on, deployments, split};
use crate::control::plane::Adapter;

fn scaler(name: &str, labels: &serde_json::Value) -> serde_json::Value {
    json!({"metadata": {"name": name, "labels": labels}, "spec": {"minReplicas": 1, "maxReplicas": 8,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "vllm-decode"}}})
}

#[test]
fn autoscalers_that_aim_at_the_units_are_named_before() {
    block_on(async {
        let mut world = deployments().await;
        let scalers = collection("autoscaling", "v2", "horizontalpodautoscalers");
        world.cluster.put(&scalers, scaler("keda-hpa-decode", &json!({"scaledobject.keda.sh/name": "decode"})));
        let mut other = scaler("other", &json!({}));
        other["spec"]["scaleTargetRef"]["name"] = json!("something-else");
        world.cluster.put(&scalers, other);
        let wva = json!({"metadata": {"name": "qwen"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "vllm-prefill"}}});
        world.cluster.put(&collection("llmd.ai", "v1alpha1", "variantautoscalings"), wva);
        world.cluster.state().forbidden.push(("/podautoscalers", "get"));
        let plan = world.plan("3P1D").await.expect("a plan");
        let told: Vec<_> = plan.remarks.iter().map(String::as_str).collect();
        for sentence in [
            "HorizontalPodAutoscaler/keda-hpa-decode (of KEDA's ScaledObject/decode) scales deployment/vllm-decode between 1 and 8",
            "VariantAutoscaling/qwen scales deployment/vllm-prefill",
            "HorizontalPodAutoscaler/keda-hpa-decode (of KEDA's ScaledObject/decode) and VariantAutoscaling/qwen decides on the units, too; what it changes meanwhile is told",
            "whether a PodAutoscaler scales the units cannot be seen: the verb list on podautoscalers of autoscaling.aibrix.ai is lacking",
        ] {
            assert!(told.contains(&sentence), "{told:#?}");
        }
        assert!(!told.iter().any(|remark| remark.contains("/other ")), "{told:#?}");
    });
}

#[test]
fn autoscalers_that_cannot_be_seen_for_a_moment_are_those_that_were() {
    block_on(async {
        let mut world = deployments().await;
        let scalers = collection("autoscaling", "v2", "horizontalpodautoscalers");
        for name in ["both", "other"] {
            world.cluster.put(&scalers, scaler(name, &json!({})));
        }
        world.kube.observe().await.expect("units");
        world.cluster.state().unwell.push("/horizontalpodautoscalers");
        let seen = world.kube.observe().await.expect("the units are seen all the same");
        let named = "HorizontalPodAutoscaler/both and HorizontalPodAutoscaler/other";
        assert_eq!(seen.rival.as_deref(), Some(named));
        let remarks = world.plan("3P1D").await.expect("a plan").remarks;
        let told =
            "whether a HorizontalPodAutoscaler scales the units cannot be seen for now: the cluster answered 503";
        assert!(remarks.iter().any(|remark| remark.starts_with(told)), "{remarks:#?}");
    });
}

#[test]
fn what_belongs_to_somebody_who_sets_it_back_is_refused_with_a_better_address() {
    block_on(async {
        let mut world = deployments().await;
        let path = "/apis/apps/v1/namespaces/llm/deployments/vllm-decode";
        let own = |kind: &str| json!([{"apiVersion": "x/v1", "kind": kind, "name": "qwen", "controller": true}]);
        world.cluster.state().objects.get_mut(path).expect("it is there")["metadata"]["ownerReferences"] =
            own("LLMInferenceService");
        let why = world.plan("3P1D").await.expect_err("refused");
        assert_eq!(
            why,
            "deployment/vllm-decode belongs to LLMInferenceService/qwen, which would set it back\nhint: kube://llm/llminferenceservice/qwen"
        );
        world.cluster.state().objects.get_mut(path).expect("it is there")["metadata"]["ownerReferences"] =
            own("ModelService");
        let plan = world.plan("3P1D").await.expect("a plan");
        let owned = "deployment/vllm-decode belongs to ModelService/qwen, which may set it back".to_owned();
        assert!(plan.remarks.contains(&owned), "{:?}", plan.remarks);
    });
}

#[test]
fn a_shift_that_somebody_else_undoes_is_given_up_and_not_fought_for() {
    block_on(async {
        let mut world = deployments().await;
        let path = "/apis/apps/v1/namespaces/llm/deployments/vllm-decode";
        let mut looks = 0;
        let shifted = world
            .shift_beside("3P1D", |cluster, calls| {
                looks += usize::from(calls == 2);
                let mut state = cluster.state();
                let object = state.objects.get_mut(path).expect("it is there");
                if looks == 2 {
                    object["spec"]["replicas"] = json!(4);
                    object["metadata"]["managedFields"] = json!([{"manager": "keda-operator", "time": "2026-11-29T19:00:00Z",
                        "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
                }
            })
            .await;
        let why = shifted.report.abandoned.expect("given up");
        assert!(
            why.contains("somebody else changed what is wanted to 3P4D meanwhile: keda-operator, as the object says"),
            "{why}"
        );
        assert_eq!(world.cluster.patches().len(), 2, "nothing was undone");
        assert_ne!(shifted.split, split("2P2D"));
    });
}
