//! The planner's place at an etcd that is made up here: it keeps keys and leases and answers in the shape of etcd 3.4.23's gateway.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

#[derive(Default)]
struct Store {
    /// Values with the revision of their last writing, and their lease.
    keys: BTreeMap<String, (String, i64, i64)>,
    revision: i64,
    leases: i64,
    /// Somebody writes between our reading and our writing.
    interferes: bool,
    /// What it answers next with this status.
    status: Option<u16>,
    /// Whoever scales does at once what was decided, and acknowledges it.
    scales: bool,
}

impl Store {
    fn put(&mut self, key: &str, value: &str, lease: i64) {
        self.revision += 1;
        self.keys.insert(key.to_owned(), (value.to_owned(), self.revision, lease));
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(|(value, ..)| value.as_str())
    }

    fn answer(&mut self, path: &str, body: &Value) -> Value {
        let text = |value: &Value| {
            String::from_utf8(base64::decode(value.as_str().expect("a text")).expect("base64")).expect("a text")
        };
        let number = |value: &Value| value.as_str().expect("a text").parse::<i64>().expect("a number");
        match path {
            "/v3/kv/range" => {
                let (from, to) = (text(&body["key"]), text(&body["range_end"]));
                let pair = |(key, (value, revision, lease)): (&String, &(String, i64, i64))| {
                    let mut kv = json!({ "key": base64::encode(key.as_bytes()), "create_revision": "1",
                        "mod_revision": revision.to_string(), "version": "1", "value": base64::encode(value.as_bytes()) });
                    if *lease != 0 {
                        kv["lease"] = lease.to_string().into();
                    }
                    kv
                };
                let kvs: Vec<_> = self.keys.range(from..to).map(pair).collect();
                if kvs.is_empty() { json!({ "header": {} }) } else { json!({ "header": {}, "kvs": kvs, "count": "1" }) }
            }
            "/v3/lease/grant" => {
                self.leases += 1;
                json!({ "header": {}, "ID": (7_000 + self.leases).to_string(), "TTL": "30" })
            }
            "/v3/lease/keepalive" => json!({ "result": { "header": {}, "ID": body["ID"], "TTL": "30" } }),
            "/v3/lease/revoke" => {
                let lease = number(&body["ID"]);
                self.keys.retain(|_, (.., of)| *of != lease);
                json!({ "header": {} })
            }
            "/v3/kv/txn" => {
                if self.interferes {
                    self.put("v1/dynamo/planner/decision_id", "5", 99);
                }
                let compare = &body["compare"][0];
                let at = self.keys.get(&text(&compare["key"])).map_or(0, |(_, revision, _)| *revision);
                if at != number(&compare["mod_revision"]) {
                    return json!({ "header": {} });
                }
                for put in body["success"].as_array().expect("a list") {
                    let put = &put["request_put"];
                    self.put(&text(&put["key"]), &text(&put["value"]), number(&put["lease"]));
                }
                if self.scales {
                    self.scale();
                }
                json!({ "header": {}, "succeeded": true, "responses": [] })
            }
            other => panic!("{other}"),
        }
    }

    /// Registers as many workers as are wanted.
    fn scale(&mut self) {
        self.keys.retain(|key, _| !key.starts_with("v1/instances/"));
        for (name, component) in [("prefill", "prefill"), ("decode", "backend")] {
            let count = self.value(&format!("v1/dynamo/planner/num_{name}_workers")).expect("a count");
            for at in 0..count.parse::<u32>().expect("a number") {
                self.put(&format!("v1/instances/dynamo/{component}/generate/{at:x}{}", name.len()), "{}", 1);
            }
        }
        let id = self.value("v1/dynamo/planner/decision_id").expect("a number").to_owned();
        self.put("v1/dynamo/planner/scaled_decision_id", &id, 0);
    }
}

/// An etcd with workers of this split.
fn etcd(first: &str) -> (Arc<Mutex<Store>>, DynamoPlanner) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let store = Arc::new(Mutex::new(Store::default()));
    {
        let mut store = store.lock().expect("the store");
        let split = split(first);
        store.put("v1/dynamo/planner/num_prefill_workers", &split.prefill.to_string(), 0);
        store.put("v1/dynamo/planner/num_decode_workers", &split.decode.to_string(), 0);
        store.put("v1/dynamo/planner/decision_id", &u64::MAX.to_string(), 0);
        store.scale();
        store.keys.remove("v1/dynamo/planner/scaled_decision_id");
    }
    let served = Arc::clone(&store);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let served = Arc::clone(&served);
            std::thread::spawn(move || serve(stream, &served));
        }
    });
    let at: DynamoEtcd = format!("{PREFIX}{address}/dynamo").parse().expect("an address");
    (store, DynamoPlanner::new(&at, &HttpOptions::default()).expect("a client"))
}

/// Answers until the connection ends.
fn serve(stream: TcpStream, store: &Mutex<Store>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let path = head.split(' ').nth(1)?.to_owned();
        let length = head.to_lowercase().split_once("content-length: ")?.1.split("\r\n").next()?.parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (status, answer) = {
            let mut store = store.lock().ok()?;
            match store.status.take() {
                Some(status) => (status, "{}".to_owned()),
                None => (200, store.answer(&path, &serde_json::from_slice(&body).ok()?).to_string()),
            }
        };
        write!(
            writer,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .ok()?;
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

#[test]
fn a_decision_is_written_with_its_number_and_seen_to_be_done() {
    let (store, mut planner) = etcd("2P2D");
    store.lock().expect("the store").scales = true;
    block_on(async {
        let first = planner.observe().await.expect("seen");
        assert!(first.is(split("2P2D")) && first.wanted.is_none(), "{}", first.account());
        for (number, to) in ["3P1D", "1P3D"].into_iter().enumerate() {
            let plan = planner.propose(split(to), How::Drain).expect("a plan");
            let [step] = &plan.steps[..] else { panic!("{plan:?}") };
            assert!(step.forth.says.ends_with(&format!("decision_id {number}}}")), "{}", step.forth.says);
            planner.apply(&step.forth.call).await.expect("taken");
            let seen = planner.observe().await.expect("seen");
            assert!(step.forth.goal.is_met(&seen) && seen.wanted == Some(split(to)), "{}", seen.account());
        }
        planner.close().await;
    });
    let store = store.lock().expect("the store");
    assert_eq!(store.value("v1/dynamo/planner/decision_id"), None, "it went with the lease");
    assert_eq!(store.value("v1/dynamo/planner/scaled_decision_id"), Some("1"), "that is not ours");
}

/// Nothing scales by the keys.
#[test]
fn a_decision_that_nobody_has_done_is_taken_back_and_no_other_is_made_before() {
    let (store, mut planner) = etcd("2P2D");
    block_on(async {
        planner.observe().await.expect("seen");
        let plan = planner.propose(split("3P1D"), How::Drain).expect("a plan");
        let [Step { forth, back: Some(back) }] = &plan.steps[..] else { panic!("{plan:?}") };
        planner.apply(&forth.call).await.expect("taken");
        let seen = planner.observe().await.expect("seen");
        assert!(seen.is(split("2P2D")) && seen.wanted == Some(split("3P1D")), "{}", seen.account());
        let again = planner.apply(&forth.call).await.expect_err("one at a time");
        let CallError::NotYet(why) = again else { panic!("{again}") };
        assert!(why.starts_with("decision 0 has not been acknowledged: nothing scales by the keys"), "{why}");
        planner.apply(&back.call).await.expect("taken back");
        let seen = planner.observe().await.expect("seen");
        assert!(back.goal.is_met(&seen) && seen.wanted == Some(split("2P2D")), "{}", seen.account());
    });
    assert_eq!(store.lock().expect("the store").value("v1/dynamo/planner/decision_id"), Some("1"));
}

#[test]
fn an_etcd_that_is_busy_is_asked_again() {
    let (store, mut planner) = etcd("2P2D");
    block_on(async {
        planner.observe().await.expect("seen");
        let plan = planner.propose(split("3P1D"), How::Drain).expect("a plan");
        for status in [429, 503] {
            store.lock().expect("the store").status = Some(status);
            let answer = planner.apply(&plan.steps[0].forth.call).await;
            assert!(matches!(&answer, Err(CallError::NotYet(why)) if why.contains(&status.to_string())), "{answer:?}");
        }
        planner.apply(&plan.steps[0].forth.call).await.expect("now");
    });
}

#[test]
fn nothing_is_decided_beside_a_planner_that_lives() {
    let (store, mut planner) = etcd("2P2D");
    store.lock().expect("the store").put("v1/dynamo/planner/decision_id", "4", 0xbeef);
    store.lock().expect("the store").put("v1/dynamo/planner/scaled_decision_id", "4", 0);
    block_on(async {
        planner.observe().await.expect("seen");
        let why = planner.propose(split("3P1D"), How::Drain).expect_err("a rival");
        let told = "a planner of Dynamo is alive in namespace dynamo (lease beef on its keys) and wants 2P2D";
        assert!(why.starts_with(told), "{why}");
    });
}

#[test]
fn what_a_rival_writes_in_between_is_not_overwritten() {
    let (store, mut planner) = etcd("2P2D");
    block_on(async {
        planner.observe().await.expect("seen");
        let plan = planner.propose(split("3P1D"), How::Drain).expect("a plan");
        store.lock().expect("the store").interferes = true;
        let error = planner.apply(&plan.steps[0].forth.call).await.expect_err("a rival");
        let CallError::Overtaken(why) = error else { panic!("{error}") };
        assert!(why.contains("a planner of Dynamo is alive") && why.contains("wants 2P2D"), "{why}");
    });
    assert_eq!(store.lock().expect("the store").value("v1/dynamo/planner/num_prefill_workers"), Some("2"));
}

#[test]
fn addresses_name_an_etcd_and_a_namespace() {
    let shown = |text: &str| text.parse::<DynamoEtcd>().map(|at| at.to_string()).map_err(|error| error.to_string());
    assert_eq!(shown("dynamo+etcd://127.0.0.1:2379").as_deref(), Ok("dynamo+etcd://127.0.0.1:2379/dynamo"));
    assert_eq!(shown("dynamo+etcd://etcd:2379/prod").as_deref(), Ok("dynamo+etcd://etcd:2379/prod"));
    for wrong in ["dynamo+etcd:///dynamo", "dynamo+etcd://etcd:2379/a/b", "etcd://etcd:2379"] {
        assert!(shown(wrong).is_err_and(|error| error.contains("dynamo+etcd://HOST:PORT/NAMESPACE")), "{wrong}");
    }
}
