//! Units of several nodes whose pods carry the label of their role, as those of a LeaderWorkerSet do.

use serde_json::{Value, json};

use super::cluster::{Cluster, collection};
use super::world::{Shifted, World, block_on, split};
use crate::control::plane::{Adapter, MemberState};

const ROLE: &str = "/metadata/labels/llm-d.ai~1role";
const PREFILL: Option<&str> = Some("prefill");
const DECODE: Option<&str> = Some("decode");

/// Sets with their groups, and of each group what its two pods carry, beginning with the one that leads.
async fn groups(sets: &[(&str, &[[Option<&str>; 2]])]) -> World {
    let world = World::new("kube://llm/pods?app=vllm").await;
    for (set, groups) in sets {
        for (group, words) in groups.iter().enumerate() {
            for (worker, word) in words.iter().enumerate() {
                put(&world, set, group, worker, *word);
            }
            holds(&world.cluster, &format!("{set}-{group}"), 0);
        }
    }
    world
}

fn put(world: &World, set: &str, group: usize, worker: usize, word: Option<&str>) {
    let leads = format!("{set}-{group}");
    let (name, owner) = if worker == 0 { (leads, set.to_owned()) } else { (format!("{leads}-{worker}"), leads) };
    let lws = |what: &str| format!("leaderworkerset.sigs.k8s.io/{what}");
    let mut pod = json!({"metadata": {"name": name, "annotations": {lws("size"): "2"},
        "labels": {"app": "vllm", lws("name"): set, lws("group-index"): group.to_string(), lws("worker-index"): worker.to_string()},
        "ownerReferences": [{"kind": "StatefulSet", "name": owner, "controller": true}]},
        "spec": {"containers": [{"ports": [{"containerPort": 8000}], "resources": {"limits": {"nvidia.com/gpu": "8"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}]}});
    if let Some(word) = word {
        pod["metadata"]["labels"]["llm-d.ai/role"] = json!(word);
    }
    world.cluster.put(&collection("", "v1", "pods"), pod);
}

/// A pod tells that it holds so many requests.
fn holds(cluster: &Cluster, pod: &str, running: u32) {
    let text = format!("vllm:num_requests_running{{engine=\"0\"}} {running}.0\n");
    cluster.state().metrics.insert(format!("{pod}:8000"), text);
}

/// A shift to 2P1D, during the first 20 looks of which `d-0` holds requests, and whether it went on before that was over.
async fn shift_once_idle(world: &mut World) -> (Shifted, bool) {
    holds(&world.cluster, "d-0", 3);
    let (mut looks, mut early) = (0, false);
    let shifted = world
        .shift_beside("2P1D", |cluster, calls| {
            looks += 1;
            early |= calls > 1 && looks < 20;
            if looks == 20 {
                holds(cluster, "d-0", 0);
            }
        })
        .await;
    (shifted, early)
}

fn change(cluster: &Cluster, pod: &str, change: impl FnOnce(&mut Value)) {
    let path = format!("{}/{pod}", collection("", "v1", "pods"));
    change(cluster.state().objects.get_mut(&path).expect("the pod"));
}

/// What every pod carries, in the order of their names.
fn labels(cluster: &Cluster) -> Vec<String> {
    let state = cluster.state();
    let pods = state.objects.iter().filter(|(path, _)| path.contains("/pods/"));
    let word = |pod: &Value| pod.pointer(ROLE).and_then(Value::as_str).unwrap_or("none").to_owned();
    pods.map(|(path, pod)| format!("{} {}", path.rsplit('/').next().unwrap_or_default(), word(pod))).collect()
}

/// The pods that were patched, in that order.
fn patched(world: &World) -> Vec<String> {
    world.patched().into_iter().map(|(path, _)| path).collect()
}

#[test]
fn pods_of_several_nodes_are_one_unit_and_the_one_that_leads_goes_first_and_comes_last() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        let seen = world.settle().await;
        assert_eq!((seen.serving(), seen.members.len()), (split("1P2D"), 3), "{}", seen.account());
        assert!(seen.members.iter().all(|member| member.gpus == Some(16)), "{:?}", seen.members);
        let plan = world.plan("2P1D").await.expect("a plan");
        let says: Vec<_> = plan.steps.iter().map(|step| step.forth.says.as_str()).collect();
        let pods = "/api/v1/namespaces/llm/pods/";
        assert_eq!(
            says,
            [
                format!("PATCH {pods}d-0, then {pods}d-0-1 label llm-d.ai/role decode -> none"),
                format!("PATCH {pods}d-0-1, then {pods}d-0 label llm-d.ai/role none -> prefill"),
            ]
        );
        let (shifted, early) = shift_once_idle(&mut world).await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P1D")));
        assert!(!early, "the one that leads tells for all, and held requests");
        assert_eq!(patched(&world), ["pods/d-0", "pods/d-0-1", "pods/d-0-1", "pods/d-0"]);
        let left = ["d-0 prefill", "d-0-1 prefill", "d-1 decode", "d-1-1 decode", "p-0 prefill", "p-0-1 prefill"];
        assert_eq!(labels(&world.cluster), left);
    });
}

/// As with data parallelism over nodes: each pod takes requests of its own.
#[test]
fn every_pod_that_tells_what_it_holds_is_waited_for() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        holds(&world.cluster, "d-0-1", 2);
        let (mut looks, mut early) = (0, false);
        let shifted = world
            .shift_beside("2P1D", |cluster, calls| {
                looks += 1;
                early |= calls > 1 && looks < 20;
                match looks {
                    // Who has told and does not is not taken for idle.
                    10 => drop(cluster.state().metrics.remove("d-0-1:8000")),
                    11 => holds(cluster, "d-0-1", 2),
                    20 => holds(cluster, "d-0-1", 0),
                    _ => {}
                }
            })
            .await;
        assert_eq!((shifted.report.abandoned, shifted.split, early), (None, split("2P1D"), false));
    });
}

#[test]
fn a_port_that_never_answers_does_not_keep_the_one_that_tells_from_being_heard() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        change(&world.cluster, "d-0", |pod| {
            pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": 7000}, {"containerPort": 8000}]);
        });
        world.cluster.state().silent.insert("d-0:7000".to_owned());
        let (shifted, early) = shift_once_idle(&mut world).await;
        assert_eq!((shifted.report.abandoned, shifted.split, early), (None, split("2P1D"), false));
    });
}

#[test]
fn pods_that_may_not_be_asked_are_asked_once_and_given_time() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        world.cluster.state().forbidden.push(("/proxy/metrics", "get"));
        world.settle().await;
        let plan = world.plan("2P1D").await.expect("a plan");
        world.kube.apply(&plan.steps[0].forth.call).await.expect("its label is off");
        let first = world.kube.observe().await.expect("units");
        assert!(first.members.iter().any(|member| member.state == MemberState::Stopping), "{}", first.account());
        let second = world.kube.observe().await.expect("units");
        assert!(second.members.iter().any(|member| member.state == MemberState::Out), "{}", second.account());
        let state = world.cluster.state();
        let asked: Vec<_> = state.asked.iter().filter(|asked| asked.path.ends_with("/proxy/metrics")).collect();
        assert_eq!(asked.len(), 2, "{asked:?}");
    });
}

#[test]
fn a_unit_serves_when_all_of_its_pods_are_there_and_ready() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        let ready = |pod: &mut Value, is: &str| pod["status"]["conditions"][1]["status"] = json!(is);
        change(&world.cluster, "d-1-1", |pod| ready(pod, "False"));
        let seen = world.kube.observe().await.expect("units");
        assert_eq!((seen.serving(), seen.wanted), (split("1P1D"), Some(split("1P2D"))));
        let why = "pod d-1 does not serve, and would be needed: the others would have its part, too";
        assert_eq!(world.refusal("2P1D").await, why);
        change(&world.cluster, "d-1-1", |pod| ready(pod, "True"));
        assert_eq!(world.kube.observe().await.expect("units").serving(), split("1P2D"));
        world.cluster.state().objects.retain(|path, _| !path.ends_with("/d-1-1") && !path.ends_with("/p-0-1"));
        // Of one that is alone, its selector may have left out the others: it speaks for them.
        assert_eq!(world.kube.observe().await.expect("units").serving(), split("1P2D"));
    });
}

#[test]
fn where_the_pod_that_leads_carries_the_label_alone_the_others_are_left_without() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE, None]; 2]), ("p", &[[PREFILL, None]])]).await;
        let seen = world.settle().await;
        assert!(seen.members.iter().all(|member| member.gpus == Some(16)), "the others are of the unit all the same");
        let shifted = world.shift("2P1D").await;
        assert_eq!((shifted.report.abandoned, shifted.split), (None, split("2P1D")));
        assert_eq!(patched(&world), ["pods/d-0", "pods/d-0"]);
        assert_eq!(labels(&world.cluster)[..2], ["d-0 prefill", "d-0-1 none"]);
    });
}

#[test]
fn a_unit_whose_pods_contradict_each_other_does_not_serve_and_is_not_shifted() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE, DECODE], [DECODE, PREFILL]]), ("p", &[[PREFILL; 2]])]).await;
        let seen = world.kube.observe().await.expect("units");
        let account = seen.account();
        assert!(account.starts_with("prefill 1 serving; decode 1 serving, 1 starting (d-1#"), "{account}");
        let why = "the pods of one unit contradict each other: d-1 has llm-d.ai/role decode, and d-1-1 has llm-d.ai/role prefill";
        let hint = "\nhint: give them the same, or to the first of them alone";
        assert_eq!(world.refusal("2P1D").await, format!("{why}{hint}"));
        // A second passes with every microsecond.
        let mut told = String::new();
        for _ in 0..100 {
            if let [trouble] = &world.kube.observe().await.expect("units").troubles[..] {
                told.clone_from(&trouble.why);
                break;
            }
        }
        assert!(told.starts_with(why), "{told}");

        // As whoever was stopped in between leaves it.
        let mut world = groups(&[("d", &[[DECODE; 2], [DECODE; 2], [None, DECODE]]), ("p", &[[PREFILL; 2]])]).await;
        let seen = world.kube.observe().await.expect("units");
        assert_eq!((seen.serving(), seen.count(engine::units::Role::Decode, MemberState::Out)), (split("1P2D"), 1));
        let why =
            "the pods of one unit contradict each other: d-2 has no llm-d.ai/role, and d-2-1 has llm-d.ai/role decode";
        assert_eq!(world.refusal("2P1D").await, format!("{why}{hint}"));
    });
}

#[test]
fn a_label_that_went_from_some_pods_alone_is_put_back() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        let before = labels(&world.cluster);
        world.cluster.state().forbidden.push(("/pods/d-0-1", "patch"));
        let shifted = world.shift("2P1D").await;
        let why = shifted.report.abandoned.expect("given up");
        assert!(why.contains("a role with the verb patch on pods"), "{why}");
        assert!(why.contains("; other pods of d-0#") && why.ends_with("have changed; rolled back to 1P2D"), "{why}");
        assert_eq!((labels(&world.cluster), shifted.split), (before, split("1P2D")));
        assert_eq!(patched(&world), ["pods/d-0", "pods/d-0-1", "pods/d-0"]);
    });
}

#[test]
fn a_pod_that_somebody_else_labels_meanwhile_ends_the_way_back_with_an_account() {
    block_on(async {
        let mut world = groups(&[("d", &[[DECODE; 2]; 2]), ("p", &[[PREFILL; 2]])]).await;
        let shifted = world
            .shift_beside("2P1D", |cluster, calls| {
                // While it is drained.
                if calls == 1 {
                    change(cluster, "d-0-1", |pod| pod["metadata"]["labels"]["llm-d.ai/role"] = json!("prefill"));
                }
            })
            .await;
        let why = shifted.report.abandoned.expect("given up");
        let odds =
            "the pods of one unit contradict each other: d-0 has no llm-d.ai/role, and d-0-1 has llm-d.ai/role prefill";
        assert!(why.starts_with(odds), "{why}");
        let met =
            "it is not rolled back any further: somebody else has changed llm-d.ai/role of pod d-0-1: it is prefill";
        assert!(why.contains(met), "{why}");
        assert!(why.contains("; left as it is: prefill 1 serving; decode 1 serving, 1 stopping (d-0#"), "{why}");
        assert_eq!(patched(&world), ["pods/d-0", "pods/d-0-1"], "nobody is fought");
    });
}
