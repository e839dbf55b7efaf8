//! What Ray 2.60 answered, cut to what is read, and what is made of it.

mod dashboard;

use engine::units::{Role, Split};
use serde_json::{Value, json};

use super::deployments::{Lever, Pair};
use super::instance::{Bounds, Instance};
use super::propose::{Change, RayCall, propose};
use super::*;
use crate::control::plane::{Goal, MemberState, Trouble};

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

fn replica(id: &str, state: &str) -> Value {
    json!({"replica_id": id, "state": state, "pid": 1, "node_ip": "192.0.2.2", "start_time_s": 1.5})
}

fn deployment(target: u32, replicas: &[Value]) -> Value {
    json!({
        "status": "HEALTHY", "status_trigger": "CONFIG_UPDATE_COMPLETED", "message": "",
        "deployment_config": {"num_replicas": target, "graceful_shutdown_timeout_s": 20.0, "ray_actor_options": {"num_gpus": 1}},
        "target_num_replicas": target, "required_resources": {"GPU": 1, "CPU": 0.1}, "replicas": replicas,
    })
}

/// An application of two prefill and two decode replicas.
fn instance() -> Value {
    let two = [replica("a", "RUNNING"), replica("b", "RUNNING")];
    json!({
        "proxy_location": "HeadOnly", "http_options": {"port": 8000},
        "applications": {"pd": {
            "status": "RUNNING", "message": "", "external_scaler_enabled": false,
            "deployed_app_config": {"name": "pd", "deployments": []},
            "deployments": {
                "Prefill:tiny": deployment(2, &two), "Decode:tiny": deployment(2, &two),
                "OpenAiIngress": deployment(1, &[replica("a", "RUNNING")]),
            },
        }},
    })
}

fn find(instance: &Value, names: &RayNames, before: Option<Pair>) -> Result<Pair, String> {
    let instance: Instance = serde_json::from_value(instance.clone()).expect("an answer");
    Pair::find(&instance, names, before)
}

fn pair(instance: &Value) -> Pair {
    find(instance, &RayNames::default(), None).expect("a pair")
}

#[test]
fn replicas_are_units_with_their_states() {
    let mut told = instance();
    let states = [replica("a", "RUNNING"), replica("c", "STARTING"), replica("b", "STOPPING")];
    told["applications"]["pd"]["deployments"]["Prefill:tiny"] = deployment(1, &states);
    let topology = pair(&told).topology();
    assert_eq!(
        topology.account(),
        "prefill 1 serving, 1 starting (Prefill:tiny#c), 1 stopping (Prefill:tiny#b); decode 2 serving"
    );
    assert_eq!((topology.wanted, topology.rival.as_deref()), (Some(split("1P2D")), None));
    assert!(topology.member("Prefill:tiny#b").is_some_and(|member| member.state == MemberState::Stopping));
    assert_eq!([Role::Prefill, Role::Decode].map(|role| topology.gpus_each(role)), [Some(1), Some(1)]);
}

#[test]
fn a_shift_lowers_first_and_raises_then() {
    let plan = propose(&pair(&instance()), split("3P1D"), How::Drain).expect("a plan");
    let says: Vec<_> = plan.steps.iter().map(|step| step.forth.says.as_str()).collect();
    assert_eq!(
        says,
        [
            "PUT /api/serve/applications/ with pd/Decode:tiny num_replicas 2 -> 1",
            "PUT /api/serve/applications/ with pd/Prefill:tiny num_replicas 2 -> 3"
        ]
    );
    assert_eq!(plan.steps[0].forth.wants, Some(split("2P1D")));
    assert_eq!(plan.steps[0].forth.goal, Goal::Count { role: Role::Decode, units: 1 });
    let back = plan.steps[1].back.clone().expect("a way back");
    let change = Change::Replicas { deployment: "Prefill:tiny".to_owned(), was: 3, replicas: 2 };
    assert_eq!(back.call, RayCall::Put { application: "pd".to_owned(), change });
    assert_eq!((back.wants, back.goal), (Some(split("2P1D")), Goal::Count { role: Role::Prefill, units: 2 }));
    assert_eq!(
        plan.remarks,
        [
            "a replica of Decode:tiny that stops has 20 s to end its streams (graceful_shutdown_timeout_s); what takes longer is cut"
        ]
    );
    // A replica that ends and another that starts: that is what draining is there, too.
    assert_eq!(propose(&pair(&instance()), split("3P1D"), How::Restart).expect("a plan").steps, plan.steps);
    let wider = propose(&pair(&instance()), split("3P2D"), How::Drain).expect("a plan");
    assert_eq!(wider.remarks, ["3P2D takes 0.1 CPU more than 2P2D"], "GPUs are said elsewhere");
}

#[test]
fn what_ray_cannot_do_is_refused_before_anything_is_called() {
    let refused = |to: Split, how| propose(&pair(&instance()), to, how).expect_err("refused");
    assert!(refused(split("4A"), How::Drain).contains("no aggregated units"));
    assert!(refused(split("1P3D"), How::Migrate).contains("cannot migrate"));
    let mut told = instance();
    told["applications"]["other"] = json!({"status": "RUNNING", "deployed_app_config": null});
    let why = propose(&pair(&told), split("1P3D"), How::Drain).expect_err("a PUT would end the other");
    assert!(why.contains("which a PUT of all applications would end"), "{why}");
}

#[test]
fn the_call_is_the_one_that_the_deployment_takes() {
    let mut told = instance();
    told["applications"]["pd"]["deployments"]["Decode:tiny"]["deployment_config"]["autoscaling_config"] =
        json!({"min_replicas": 1, "max_replicas": 4, "target_ongoing_requests": 5.0});
    let bounds = Bounds { min: Some(1), max: Some(4), initial: None };
    assert_eq!(pair(&told).decode.lever, Lever::Bounds(bounds));
    let plan = propose(&pair(&told), split("1P3D"), How::Drain).expect("a plan");
    let step = &plan.steps[1];
    assert!(step.forth.says.ends_with("autoscaling_config between 3 and 3 replicas"), "{}", step.forth.says);
    assert!(step.back.as_ref().is_some_and(|back| back.says.ends_with("between 1 and 4 replicas")));
    assert_eq!(pair(&told).topology().rival.as_deref(), Some("Ray's autoscaler of Decode:tiny"));
    // Ray refuses bounds that leave the number at the start outside.
    told["applications"]["pd"]["deployments"]["Decode:tiny"]["deployment_config"]["autoscaling_config"]["initial_replicas"] =
        json!(2);
    let started = propose(&pair(&told), split("1P3D"), How::Drain).expect("a plan").steps.remove(1);
    assert!(started.forth.says.ends_with("between 3 and 3 replicas, 3 at first"), "{}", started.forth.says);
    assert!(started.back.is_some_and(|back| back.says.ends_with("between 1 and 4 replicas, 2 at first")));
    told["applications"]["pd"]["external_scaler_enabled"] = json!(true);
    let rival = pair(&told).topology().rival;
    assert!(rival.is_some_and(|rival| rival.contains("external scaler")), "it is told by the scale call then");
    let plan = propose(&pair(&told), split("1P3D"), How::Drain).expect("a plan");
    let (application, deployment) = ("pd".to_owned(), "Decode:tiny".to_owned());
    let call = RayCall::Scale { application, deployment, was: 2, target: 3 };
    assert_eq!(plan.steps[1].forth.call, call);
}

/// Ray tells no deployments then, though all replicas run on.
#[test]
fn after_a_deployment_that_failed_the_units_are_those_before() {
    let before = pair(&instance());
    let mut told = instance();
    told["applications"]["pd"]["deployments"] = json!({});
    told["applications"]["pd"]["status"] = json!("DEPLOY_FAILED");
    told["applications"]["pd"]["message"] = json!("ValueError: Deployment 'Prefil:typo'\ndoes not exist.");
    let after = find(&told, &RayNames::default(), Some(before)).expect("a pair");
    let why = propose(&after, split("1P3D"), How::Drain).expect_err("it would fail again");
    assert!(
        why.ends_with("does not exist; a shift would ask for the same again: deploy pd as it should be first"),
        "{why}"
    );
    let topology = after.topology();
    assert_eq!(topology.serving(), split("2P2D"));
    assert_eq!(
        topology.troubles,
        [Trouble::of_all("Ray says DEPLOY_FAILED: ValueError: Deployment 'Prefil:typo' does not exist.")]
    );
    let why = find(&told, &RayNames::default(), None).expect_err("nothing is known of it");
    assert!(
        why.contains(
            "pd (DEPLOY_FAILED: ValueError: Deployment 'Prefil:typo' does not exist.) has none\nhint: of an application"
        ),
        "{why}"
    );
}

#[test]
fn which_deployments_are_meant_is_found_or_asked_for() {
    let none = find(&json!({"applications": {}}), &RayNames::default(), None).expect_err("no application");
    assert!(
        none.starts_with("Ray Serve has no deployments Prefill:MODEL and Decode:MODEL: there is no application"),
        "{none}"
    );
    let mut two = instance();
    for name in ["Prefill:big", "Decode:big"] {
        two["applications"]["pd"]["deployments"][name] = deployment(1, &[replica("a", "RUNNING")]);
    }
    let why = find(&two, &RayNames::default(), None).expect_err("two pairs");
    assert!(why.contains("Prefill:big and Decode:big of pd; Prefill:tiny and Decode:tiny of pd"), "{why}");
    let named =
        |prefill: &str, decode: &str| RayNames { prefill: Some(prefill.to_owned()), decode: Some(decode.to_owned()) };
    assert_eq!(find(&two, &named("Prefill:big", "Decode:big"), None).expect("a pair").wanted(), split("1P1D"));
    let why = find(&two, &named("Prefil:big", "Decode:big"), None).expect_err("a typo");
    assert!(
        why.contains("has no deployments Prefil:big and Decode:big: pd has Decode:big, Decode:tiny, OpenAiIngress"),
        "{why}"
    );
}

#[test]
fn an_address_is_read_and_shown() {
    let address: RayAddress = "ray+http://127.0.0.1:8265/".parse().expect("an address");
    assert_eq!(address.to_string(), "ray+http://127.0.0.1:8265");
    for (text, why) in
        [("http://127.0.0.1:8265", "ray+http://HOST:PORT"), ("ray+http://u:hunter2@h:1", "--api-key-env")]
    {
        let error = text.parse::<RayAddress>().expect_err(text).to_string();
        assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
    }
}
