//! What real gateways and engines were seen to answer, and what is made of it.

use ::engine::units::Role;
use serde_json::json;

use super::mock::engine::Engine;
use super::mock::{Fate, Mock};
use super::{Ended, EngineSwitch, Flavor, GatewayAddress, GatewayOptions, block_on, gateway, shift, split};
use crate::control::plane::{Adapter, CallError, MemberState};
use crate::http::{ApiKey, HttpOptions};
use crate::target::TargetEvent;

const BOTH: [Flavor; 2] = [Flavor::Sglang, Flavor::Smg];

/// A shift by a mock with these fates.
fn shifted(flavor: Flavor, to: &str, fates: &[Fate]) -> (Mock, Ended) {
    block_on(async {
        let mock = Mock::new(flavor).await;
        mock.lock().fates.extend(fates);
        let mut gateway = gateway(&mock, GatewayOptions::default());
        let ended = shift(&mut gateway, to, |_| {}).await.expect("it begins");
        (mock, ended)
    })
}

#[test]
fn a_flip_takes_out_switches_and_puts_in() {
    for flavor in BOTH {
        let (mock, ended) = shifted(flavor, "3P1D", &[]);
        assert_eq!(ended.why, None, "{flavor:?}");
        assert_eq!(mock.listed(), ["d0 decode", "d1 prefill", "p0 prefill", "p1 prefill"]);
        assert_eq!(mock.called(), ["DELETE", "POST /d1/pd_role_switch", "POST /workers"], "no PUT, no PATCH");
        let body = mock.lock().calls[2].1.clone();
        let expected = json!({
            "url": format!("{}/d1", mock.url()), "worker_type": "prefill", "bootstrap_port": 8998, "priority": 50, "cost": 1.0,
        });
        assert_eq!(body, expected, "the port is the engine's own");
        assert!(mock.lock().engine("d1").role == Engine::Prefill);
        let units: Vec<_> = ended
            .told
            .iter()
            .filter_map(|event| match event {
                TargetEvent::Unit { unit, .. } => Some(unit.0),
                _ => None,
            })
            .collect();
        assert!(units.windows(2).all(|pair| pair[0] == pair[1]), "it stays the same unit: {units:?}");
    }
}

#[test]
fn an_engine_that_is_to_decode_is_told_what_the_graphs_of_a_peer_take() {
    let (mock, ended) = shifted(Flavor::Smg, "1P3D", &[]);
    assert_eq!(ended.why, None);
    let body = mock.lock().calls[1].1.clone();
    let graphs = json!({"new_role": "decode", "decode_cuda_graph_bs": [1, 2, 4], "decode_cuda_graph_memory_gb": 1.5});
    assert_eq!(body, graphs);
    let put = mock.lock().calls[2].1.clone();
    assert!(put["worker_type"] == "decode" && put.get("bootstrap_port").is_none(), "{put}");
}

#[test]
fn the_worker_with_the_fewest_requests_is_taken() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        mock.lock().workers.iter_mut().for_each(|worker| worker.load = if worker.name == "d0" { 1 } else { 7 });
        let mut gateway = gateway(&mock, GatewayOptions::default());
        gateway.observe().await.expect("workers");
        let plan = gateway.propose(split("3P1D"), ::engine::cluster::How::Drain).expect("a plan");
        let url = format!("{}/d0", mock.url());
        assert_eq!(plan.moves, Some(vec![url.clone()]));
        assert_eq!(plan.remarks, [format!("decode {url} of 1 GPU, with 1 request under way, becomes prefill")]);
        let says: Vec<_> = plan.steps.iter().map(|step| step.forth.says.clone()).collect();
        let expected = [
            format!("DELETE /workers/ID of the decode worker {url}"),
            format!("POST {url}/pd_role_switch to prefill"),
            format!("POST /workers with {url}, worker_type prefill, bootstrap_port 8998"),
        ];
        assert_eq!(says, expected);
        assert!(mock.called().is_empty(), "nothing is called before it is applied");
    });
}

#[test]
fn an_engine_that_is_busy_is_waited_for() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        mock.lock().engine("d1").held = 3;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        let ended = shift(&mut gateway, "3P1D", |look| {
            let mut state = mock.lock();
            state.engine("d1").held = 3_usize.saturating_sub(look);
        });
        let ended = ended.await.expect("it begins");
        assert_eq!(ended.why, None);
        let said = |event: &TargetEvent| matches!(event, TargetEvent::Remark { text, .. } if text.contains("not idle"));
        assert_eq!(ended.told.iter().filter(|event| said(event)).count(), 1, "{:?}", ended.told);
        assert!(mock.called().iter().filter(|call| call.contains("pd_role_switch")).count() > 1);
    });
}

#[test]
fn an_engine_that_is_torn_stays_out_and_one_that_is_safe_is_put_back() {
    let (mock, ended) = shifted(Flavor::Smg, "3P1D", &[Fate::Fine, Fate::Wrong]);
    let why = ended.why.expect("given up");
    assert!(why.contains("is not safe to be put back: role switch failed; instance unhealthy"), "{why}");
    assert!(why.ends_with(&format!("decode 1 serving, 1 out of service ({}/d1)", mock.url())), "{why}");
    assert_eq!(mock.listed(), ["d0 decode", "p0 prefill", "p1 prefill"]);
    let left: Vec<_> = ended.seen.members.iter().filter(|member| member.state == MemberState::Out).collect();
    assert_eq!(left.len(), 1);
    let (mock, ended) = shifted(Flavor::Smg, "3P1D", &[Fate::Fine, Fate::Refused]);
    assert_eq!(ended.why, Some(format!("{}/d1 did not switch: not today; rolled back to 2P2D", mock.url())));
    assert_eq!(mock.listed(), ["d0 decode", "d1 decode", "p0 prefill", "p1 prefill"]);
}

#[test]
fn an_engine_that_says_it_has_switched_and_has_not_is_found_out() {
    let (mock, ended) = shifted(Flavor::Sglang, "3P1D", &[Fate::Fine, Fate::Ignored]);
    let why = ended.why.expect("given up");
    assert!(why.contains("answered that it has switched to prefill, and says that it is decode"), "{why}");
    assert_eq!(mock.listed(), ["d0 decode", "d1 decode", "p0 prefill", "p1 prefill"]);
}

/// It captures graphs, say, for longer than a call may take.
#[test]
fn no_switch_is_sent_while_another_may_be_under_way() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let switches = || mock.called().iter().filter(|call| call.contains("pd_role_switch")).count();
        mock.lock().fates.extend([Fate::Fine, Fate::DoneUnanswered]);
        mock.lock().silent = true;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        let ended = shift(&mut gateway, "3P1D", |look| mock.lock().silent = look < 50).await.expect("it begins");
        assert_eq!((ended.why, switches()), (None, 1), "it is waited for as long as a step may take");
        // It has switched, and is asked to switch back, once it says so.
        mock.lock().fates.extend([Fate::Fine, Fate::DoneUnanswered]);
        mock.lock().silent = true;
        let ended = shift(&mut gateway, "2P2D", |look| {
            assert!(look > 90 || switches() <= 2, "at look {look}");
            mock.lock().silent = look < 90;
        });
        let why = ended.await.expect("it begins").why.expect("given up");
        assert!(why.ends_with("has not come true within 60 s; rolled back to 3P1D"), "{why}");
        assert_eq!(switches(), 3);
        assert_eq!(mock.listed(), ["d0 decode", "d1 prefill", "p0 prefill", "p1 prefill"]);
        assert!(mock.lock().engine("p1").role == Engine::Prefill);
    });
}

#[test]
fn an_answer_that_has_changed_nothing_is_found_out() {
    let (mock, ended) = shifted(Flavor::Sglang, "3P1D", &[Fate::Ignored]);
    let why = ended.why.expect("given up");
    assert!(why.starts_with("`DELETE /workers/ID of the decode worker "), "{why}");
    assert!(why.ends_with("was answered, and has changed nothing within 30 s; rolled back to 2P2D"), "{why}");
    assert_eq!(mock.called(), ["DELETE"]);
    // As of a worker that cannot be reached.
    let (mock, ended) = shifted(Flavor::Smg, "3P1D", &[Fate::Fine, Fate::Fine, Fate::Ignored]);
    let why = ended.why.expect("given up");
    assert!(why.ends_with("has changed nothing within 30 s; rolled back to 2P2D"), "{why}");
    assert_eq!(mock.listed(), ["d0 decode", "d1 decode", "p0 prefill", "p1 prefill"]);
    assert!(mock.lock().engine("d1").role == Engine::Decode);
}

#[test]
fn a_worker_that_came_in_as_regular_is_taken_out_and_put_back() {
    let (mock, ended) = shifted(Flavor::Sglang, "3P1D", &[Fate::Fine, Fate::Fine, Fate::Wrong]);
    let why = ended.why.expect("given up");
    assert!(why.ends_with("d1 came back as aggregated, and not as prefill; rolled back to 2P2D"), "{why}");
    assert_eq!(mock.listed(), ["d0 decode", "d1 decode", "p0 prefill", "p1 prefill"]);
}

#[test]
fn a_worker_that_somebody_else_puts_in_is_not_fought() {
    for flavor in BOTH {
        let ended = block_on(async {
            let mock = Mock::new(flavor).await;
            // It is busy, and out; then somebody has it back.
            mock.lock().engine("d1").held = 1;
            let mut gateway = gateway(&mock, GatewayOptions::default());
            let mut missed = 0;
            shift(&mut gateway, "3P1D", |_| {
                let mut state = mock.lock();
                missed += usize::from(!state.workers.iter().any(|worker| worker.name == "d1"));
                // Once it has been seen to be out.
                if missed == 2 {
                    missed += 1;
                    state.put("d1", "decode");
                    state.engine("d1").held = 0;
                }
            })
            .await
            .expect("it begins")
        });
        let why = ended.why.expect("given up");
        let left = "is there already, as decode: somebody else has put it in; left as it is: prefill 2 serving; decode 2 serving";
        assert!(why.ends_with(left), "{flavor:?}: {why}");
    }
}

#[test]
fn somebody_elses_delete_is_told_as_somebody_elses() {
    let (ended, mock) = block_on(async {
        let mock = Mock::new(Flavor::Smg).await;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        let ended = shift(&mut gateway, "3P1D", |_| mock.lock().drop_worker("p0")).await.expect("it begins");
        (ended, mock)
    });
    let lost = format!("{}/p0 is gone", mock.url());
    assert!(ended.told.iter().any(|event| matches!(event, TargetEvent::UnitLost { why, .. } if *why == lost)));
    let why = ended.why.expect("given up");
    assert!(why.starts_with("somebody else changed what is wanted to 2P1D meanwhile"), "{why}");
    assert_eq!(mock.listed(), ["d0 decode", "d1 prefill", "p1 prefill"], "what was begun is finished");
}

#[test]
fn what_cannot_be_right_is_refused_before_anything_is_called() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let refused = async |to: &str, options: GatewayOptions| {
            let mut gateway = gateway(&mock, options);
            shift(&mut gateway, to, |_| {}).await.err().expect("refused")
        };
        let plain = GatewayOptions::default;
        assert!(refused("3P2D", plain()).await.contains("are neither started nor ended: 3P2D has 5"));
        assert!(refused("4A", plain()).await.contains("regular ones stay what they are"));
        mock.lock().engine("d1").switches = false;
        let why = refused("3P1D", plain()).await;
        assert!(why.contains("started for decode alone, and without --enable-pd-role-switch"), "{why}");
        assert!(why.contains("hint: --engine-switch never"), "{why}");
        mock.lock().workers[0].healthy = false;
        let why = refused("3P1D", GatewayOptions { engine_switch: EngineSwitch::Never, ..plain() }).await;
        assert!(why.contains("/p0 is not healthy"), "{why}");
        assert!(mock.called().is_empty());
    });
}

#[test]
fn engines_that_serve_both_roles_are_left_alone() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        mock.lock().reticent = true;
        let mut with = gateway(&mock, GatewayOptions::default());
        let why = shift(&mut with, "3P1D", |_| {}).await.err().expect("refused");
        assert!(why.contains("no bootstrap port is known for") && why.contains("--bootstrap-port"), "{why}");
        let mut with = gateway(&mock, GatewayOptions { bootstrap_port: Some(7000), ..GatewayOptions::default() });
        let ended = shift(&mut with, "3P1D", |_| {}).await.expect("it begins");
        assert_eq!((ended.why, mock.called()), (None, vec!["DELETE".to_owned(), "POST /workers".to_owned()]));
        assert_eq!(mock.lock().calls[1].1["bootstrap_port"], 7000);
    });
}

#[test]
fn a_rehearsal_asks_the_engine_and_changes_nothing() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        gateway.observe().await.expect("workers");
        let plan = gateway.propose(split("1P3D"), ::engine::cluster::How::Drain).expect("a plan");
        let first = plan.steps[0].forth.call.clone();
        assert_eq!(gateway.rehearse(&first).await, Some(Ok(())));
        mock.lock().engine("p1").held = 5;
        assert_eq!(gateway.rehearse(&first).await, Some(Ok(())), "it will be idle once it is out");
        {
            let mut state = mock.lock();
            let engine = state.engine("p1");
            (engine.held, engine.headroom_gb) = (0, 0.5);
        }
        let why = gateway.rehearse(&first).await.expect("asked").expect_err("no room");
        assert!(why.contains("insufficient decode CUDA graph headroom"), "{why}");
        assert!(mock.called().is_empty());
    });
}

#[test]
fn a_key_of_workers_goes_to_the_gateway_in_the_body_and_into_no_text() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let key = ApiKey::new("hunter2".to_owned());
        let options = GatewayOptions { worker_key: key, ..GatewayOptions::default() };
        let mut gateway = gateway(&mock, options);
        assert!(!format!("{gateway:?}").contains("hunter2"));
        let ended = shift(&mut gateway, "3P1D", |_| {}).await.expect("it begins");
        assert_eq!(mock.lock().calls[2].1["api_key"], "hunter2");
        assert!(!format!("{:?}", ended.told).contains("hunter2"));
        // A gateway that refuses may repeat what it was sent.
        mock.lock().fates.extend([Fate::Fine, Fate::Fine, Fate::Refused]);
        let ended = shift(&mut gateway, "2P2D", |_| {}).await.expect("it begins");
        let why = ended.why.expect("refused");
        assert!(why.contains("not today") && !why.contains("hunter2"), "{why}");
    });
}

#[test]
fn an_address_is_read_and_shown() {
    for text in ["smg+http://127.0.0.1:30000", "sglang+http://gateway:30000"] {
        let address: GatewayAddress = text.parse().expect(text);
        assert_eq!(address.to_string(), text);
        assert!(GatewayAddress::is_meant(text));
    }
    assert!(!GatewayAddress::is_meant("ray+http://127.0.0.1:8265"));
    for text in ["smg+ftp://h:1", "sglang+http://u:hunter2@h:1", "http://h:1"] {
        let error = text.parse::<GatewayAddress>().expect_err(text).to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn what_is_no_gateway_is_told() {
    block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let gone: GatewayAddress = format!("smg+http://{address}").parse().expect("an address");
        let mut gateway =
            super::Gateway::new(&gone, GatewayOptions::default(), None, &HttpOptions::default()).expect("a client");
        let why = gateway.observe().await.expect_err("nobody is there");
        assert!(why.may_pass(), "it may come up: {why:?}");
        let why = why.to_string();
        assert!(why.starts_with("cannot reach http://127.0.0.1:") && !why.contains("hint"), "{why}");
    });
}

#[test]
fn the_last_healthy_worker_of_a_role_is_never_taken_out() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        let first = gateway.observe().await.expect("workers");
        assert_eq!(first.gpus_each(Role::Decode), Some(1));
        let plan = gateway.propose(split("3P1D"), ::engine::cluster::How::Drain).expect("a plan");
        // Somebody takes the other one out in between.
        mock.lock().drop_worker("d0");
        let error = gateway.apply(&plan.steps[0].forth.call).await.expect_err("refused");
        assert!(error.to_string().ends_with("d1 is the last decode worker that is healthy"), "{error}");
        assert!(mock.called().is_empty());
    });
}

#[test]
fn a_worker_that_is_not_healthy_is_taken_out_beside_the_only_one_that_is() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        gateway.observe().await.expect("workers");
        let plan = gateway.propose(split("3P1D"), ::engine::cluster::How::Drain).expect("a plan");
        for worker in &mut mock.lock().workers {
            worker.healthy = worker.name != "d1";
        }
        gateway.apply(&plan.steps[0].forth.call).await.expect("nobody is served by it");
        assert_eq!(mock.called().len(), 1, "{:?}", mock.called());
    });
}

#[test]
fn a_look_that_fails_before_a_call_is_made_again() {
    block_on(async {
        let mock = Mock::new(Flavor::Sglang).await;
        let mut gateway = gateway(&mock, GatewayOptions::default());
        gateway.observe().await.expect("workers");
        let plan = gateway.propose(split("3P1D"), ::engine::cluster::How::Drain).expect("a plan");
        for step in &plan.steps {
            mock.lock().unwell = 1;
            let answer = gateway.apply(&step.forth.call).await;
            assert!(matches!(&answer, Err(CallError::NotYet(why)) if why.contains("503")), "{answer:?}");
            gateway.apply(&step.forth.call).await.expect("now");
        }
        assert_eq!(mock.called().len(), 3);
    });
}

#[test]
fn a_worker_that_came_back_and_is_taken_out_by_somebody_else_is_not_ours() {
    for flavor in BOTH {
        block_on(async {
            let mock = Mock::new(flavor).await;
            let mut gateway = gateway(&mock, GatewayOptions::default());
            let ended = shift(&mut gateway, "3P1D", |_| {}).await.expect("it begins");
            assert_eq!(ended.why, None);
            let plan = gateway.propose(split("2P2D"), ::engine::cluster::How::Drain).expect("a plan");
            let url = plan.moves.as_ref().expect("moves")[0].clone();
            mock.lock().drop_worker(url.rsplit('/').next().expect("a name"));
            let seen = gateway.observe().await.expect("workers");
            assert_eq!(seen.member(&url), None, "{}", seen.account());
            let answer = gateway.apply(&plan.steps[0].forth.call).await;
            assert!(
                matches!(&answer, Err(CallError::Refused(why)) if why.ends_with("is not there any more")),
                "{answer:?}"
            );
        });
    }
}
