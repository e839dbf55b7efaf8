//! Pods whose label is their role.

use serde_json::{Value, json};

use super::cluster::collection;
use super::world::{World, block_on, split};
use crate::control::plane::{Adapter, CallError};

/// Pods with these values of the label, all of them ready.
async fn pods(words: &[&str]) -> World {
    let world = World::new("kube://llm/pods?app=vllm").await;
    for (at, word) in words.iter().enumerate() {
        let pod = json!({"metadata": {"name": format!("vllm-{at}"), "labels": {"app": "vllm", "llm-d.ai/role": word},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "vllm-5d", "controller": true}]},
            "spec": {"containers": [{"ports": [{"containerPort": 8000}, {"containerPort": 8200}]}]},
            "status": {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]}});
        world.cluster.put(&collection("", "v1", "pods"), pod);
        serve(&world, at, 0);
    }
    owner(&world, &json!({"app": "vllm"}));
    world
}

fn owner(world: &World, labels: &Value) {
    let set = json!({"metadata": {"name": "vllm-5d"}, "spec": {"selector": {"matchLabels": labels}}});
    world.cluster.put(&collection("apps", "v1", "replicasets"), set);
}

/// A pod holds so many requests.
fn serve(world: &World, at: usize, running: u32) {
    let text = format!("vllm:num_requests_running{{engine=\"0\"}} {running}.0\n");
    world.cluster.state().metrics.insert(format!("vllm-{at}:8200"), text);
}

fn labels(world: &World) -> Vec<String> {
    let state = world.cluster.state();
    let pods = state.objects.iter().filter(|(path, _)| path.contains("/pods/"));
    pods.map(|(_, pod)| {
        pod.pointer("/metadata/labels/llm-d.ai~1role").and_then(Value::as_str).unwrap_or("none").to_owned()
    })
    .collect()
}

#[test]
fn a_pod_is_taken_out_drained_and_put_back_under_its_new_role() {
    block_on(async {
        let mut world = pods(&["prefill", "decode", "decode", "decode"]).await;
        serve(&world, 1, 3);
        let mut looks = 0;
        let mut seen = Vec::new();
        let shifted = {
            let cluster = world.cluster.clone();
            world
                .shift_beside("2P2D", |_, _| {
                    looks += 1;
                    let state = cluster.state();
                    let pod =
                        state.objects.values().find(|pod| pod.pointer("/metadata/name") == Some(&json!("vllm-1")));
                    seen.push(pod.and_then(|pod| pod.pointer("/metadata/labels/llm-d.ai~1role").cloned()));
                    drop(state);
                    if looks == 20 {
                        cluster
                            .state()
                            .metrics
                            .insert("vllm-1:8200".to_owned(), "vllm:num_requests_running 0\n".to_owned());
                    }
                })
                .await
        };
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P2D")));
        assert!(seen[..20].iter().all(Option::is_none), "it holds requests, and is left out: {seen:?}");
        assert_eq!(labels(&world), ["prefill", "prefill", "decode", "decode"]);
        let patched = world.patched();
        assert_eq!(patched.len(), 2);
        assert_eq!(patched[0].0, "pods/vllm-1");
        assert_eq!(
            patched[0].1[1],
            json!({"op": "test", "path": "/metadata/labels/llm-d.ai~1role", "value": "decode"})
        );
        assert_eq!(patched[0].1[2], json!({"op": "remove", "path": "/metadata/labels/llm-d.ai~1role"}));
        let put_back = &world.cluster.patches()[1].body["metadata"];
        assert_eq!(put_back["labels"], json!({"llm-d.ai/role": "prefill"}));
        assert!(put_back["resourceVersion"].is_string(), "of the pod as it was read");
    });
}

#[test]
fn a_label_is_replaced_at_once_where_nobody_could_stand_in() {
    block_on(async {
        let mut world = pods(&["both", "prefill-decode"]).await;
        let shifted = world.shift("1P1D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("1P1D")));
        assert_eq!(labels(&world), ["prefill", "decode"]);
        assert_eq!(world.patched().len(), 3, "the first is taken out, the second is not");
        assert!(
            shifted.remarks.iter().any(|remark| remark.contains("nobody can stand in for pod vllm-1")),
            "{:?}",
            shifted.remarks
        );
    });
}

#[test]
fn a_pod_that_does_not_tell_what_it_holds_is_given_its_time() {
    block_on(async {
        let mut world = pods(&["prefill", "prefill", "decode"]).await;
        world.cluster.state().metrics.clear();
        let shifted = world.shift("1P2D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("1P2D")));
    });
}

#[test]
fn labels_that_their_owner_selects_by_are_left_alone() {
    block_on(async {
        let mut world = pods(&["prefill", "decode", "decode"]).await;
        owner(&world, &json!({"app": "vllm", "llm-d.ai/role": "decode"}));
        assert_eq!(
            world.refusal("2P1D").await,
            "ReplicaSet/vllm-5d selects its pods by llm-d.ai/role: it would replace a pod whose label changes"
        );
        let mut world = pods(&["prefill", "decode", "decode"]).await;
        assert_eq!(
            world.refusal("2P2D").await,
            "units change their roles here, and are neither started nor ended: 2P2D has 4, and 1P2D has 3"
        );
        let mut world = pods(&["", "router"]).await;
        assert!(
            world.refusal("1P1D").await.starts_with("no pod in namespace llm with app=vllm has a label llm-d.ai/role")
        );
    });
}

#[test]
fn a_pod_that_changes_at_the_same_moment_is_read_again() {
    block_on(async {
        let mut world = pods(&["prefill", "decode", "decode"]).await;
        let shifted = world
            .shift_beside("2P1D", |cluster, calls| {
                // Before the call that puts the new label on.
                let mut state = cluster.state();
                state.conflicts = if calls == 1 { 2 } else { 0 };
            })
            .await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P1D")));
        assert_eq!(labels(&world), ["prefill", "prefill", "decode"]);
        assert_eq!(world.cluster.patches().len(), 4, "one that takes off, and three that put on");
    });
}

#[test]
fn a_shift_that_cannot_go_on_puts_the_label_back() {
    block_on(async {
        let mut world = pods(&["prefill", "decode", "decode"]).await;
        let shifted = world
            .shift_beside("2P1D", |cluster, calls| {
                // The call that would put the new label on is refused.
                let mut state = cluster.state();
                state.refusals = u32::from(calls == 1);
            })
            .await;
        let why = shifted.report.abandoned.expect("given up");
        assert!(
            why.contains("the verb patch on pods in namespace llm is lacking") && why.ends_with("rolled back to 1P2D"),
            "{why}"
        );
        assert_eq!(labels(&world), ["prefill", "decode", "decode"]);
    });
}

#[test]
fn a_pod_that_once_does_not_tell_holds_what_it_held() {
    block_on(async {
        let mut world = pods(&["prefill", "decode", "decode", "decode"]).await;
        serve(&world, 1, 3);
        let (mut looks, mut off) = (0, 0);
        let shifted = world
            .shift_beside("2P2D", |cluster, calls| {
                looks += 1;
                off += usize::from(calls == 1);
                let mut state = cluster.state();
                let metrics = &mut state.metrics;
                match looks {
                    10 => drop(metrics.remove("vllm-1:8200")),
                    11 => drop(metrics.insert("vllm-1:8200".to_owned(), "vllm:num_requests_running 3\n".to_owned())),
                    20 => drop(metrics.insert("vllm-1:8200".to_owned(), "vllm:num_requests_running 0\n".to_owned())),
                    _ => {}
                }
            })
            .await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P2D")));
        assert!(off >= 20, "it was put back after {off} looks");
    });
}

#[test]
fn a_pod_that_would_be_needed_and_does_not_serve_stands_in_for_nobody() {
    block_on(async {
        let mut world = pods(&["prefill", "prefill", "decode"]).await;
        {
            let mut state = world.cluster.state();
            let pod = state.objects.iter_mut().find(|(path, _)| path.ends_with("/pods/vllm-1")).expect("a pod").1;
            pod["status"]["conditions"][1]["status"] = json!("False");
        }
        let why = "pod vllm-1 does not serve, and would be needed: the others would have its part, too";
        assert_eq!(world.refusal("1P2D").await, why);
    });
}

#[test]
fn the_last_pod_of_a_role_that_serves_keeps_its_label() {
    block_on(async {
        let mut world = pods(&["prefill", "prefill", "decode"]).await;
        let plan = world.plan("1P2D").await.expect("a plan");
        {
            // It falls ill in between.
            let mut state = world.cluster.state();
            let pod = state.objects.iter_mut().find(|(path, _)| path.ends_with("/pods/vllm-1")).expect("a pod").1;
            pod["status"]["conditions"][1]["status"] = json!("False");
        }
        world.kube.observe().await.expect("pods");
        let error = world.kube.apply(&plan.steps[0].forth.call).await.expect_err("refused");
        assert_eq!(error, CallError::Refused("nobody serves who could stand in for pod vllm-0".to_owned()));
        assert_eq!(labels(&world), ["prefill", "prefill", "decode"]);
    });
}
