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
    /// Where it has a user, `pdtune`: the password. Else nobody is asked who they are.
    password: Option<&'static str>,
    /// How many tokens it has given or forgotten: the last one given is good, unless one was forgotten since.
    tokens: u32,
    /// How often a token was asked for.
    asked: u32,
}

impl Store {
    fn put(&mut self, key: &str, value: &str, lease: i64) {
        self.revision += 1;
        self.keys.insert(key.to_owned(), (value.to_owned(), self.revision, lease));
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(|(value, ..)| value.as_str())
    }

    /// What it answers about who asks; nothing where that is as it should be. Unlike etcd, it repeats secrets.
    fn refusal(&mut self, path: &str, token: Option<&str>, body: &Value) -> Option<(u16, Value)> {
        let refused = |status, said: String| Some((status, json!({ "error": said, "message": said, "code": 16 })));
        let good = |tokens: u32| format!("sesame-{tokens}.14");
        self.asked += u32::from(path == "/v3/auth/authenticate");
        match (path, self.password) {
            ("/v3/auth/authenticate", None) => refused(412, "etcdserver: authentication is not enabled".to_owned()),
            (_, None) => None,
            ("/v3/auth/authenticate", Some(password)) => {
                if body["name"] != "pdtune" || body["password"] != password {
                    return refused(400, format!("etcdserver: authentication failed of {}", body["password"]));
                }
                self.tokens += 1;
                Some((200, json!({ "header": {}, "token": good(self.tokens) })))
            }
            _ => match token {
                None => refused(400, "etcdserver: user name is empty".to_owned()),
                Some(token) if token == good(self.tokens) => None,
                Some(token) => refused(401, format!("etcdserver: invalid auth token {token}")),
            },
        }
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
    etcd_as(first, None)
}

/// The same, and who we say that we are.
fn etcd_as(first: &str, login: Option<&str>) -> (Arc<Mutex<Store>>, DynamoPlanner) {
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
    let login = login.map(|login| EtcdLogin::new(login).expect("a login"));
    (store, DynamoPlanner::new(&at, login, &HttpOptions::default()).expect("a client"))
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
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let token = header("authorization");
        let length = head.to_lowercase().split_once("content-length: ")?.1.split("\r\n").next()?.parse().ok()?;
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let body = serde_json::from_slice(&body).ok()?;
        let (status, answer) = {
            let mut store = store.lock().ok()?;
            let refusal = store.refusal(&path, token.as_deref(), &body);
            match (store.status.take(), refusal) {
                (Some(status), _) => (status, json!({})),
                (None, Some(refusal)) => refusal,
                (None, None) => (200, store.answer(&path, &body)),
            }
        };
        let answer = answer.to_string();
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
    assert_eq!(shown("dynamo+etcds://etcd:2379").as_deref(), Ok("dynamo+etcds://etcd:2379/dynamo"));
    for wrong in [
        "dynamo+etcd:///dynamo",
        "dynamo+etcd://etcd:2379/a/b",
        "dynamo+etcd://https://etcd:2379",
        "dynamo+etcd+https://etcd:2379",
        "etcd://etcd:2379",
    ] {
        let error = shown(wrong).expect_err(wrong);
        assert!(
            error.contains("write dynamo+etcd://HOST:PORT/NAMESPACE") && error.contains("dynamo+etcds://"),
            "{error}"
        );
    }
    for secret in ["dynamo+etcd://pdtune:hunter2@etcd:2379/dynamo", "dynamo+etcds://pdtune:hunter2/x@etcd"] {
        let error = shown(secret).expect_err(secret);
        assert!(error.contains("://…@etcd") && error.contains("USER:PASSWORD into a variable"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_user_is_given_a_token_and_another_one_whenever_that_is_forgotten() {
    let (store, mut planner) = etcd_as("2P2D", Some("pdtune:hunter2"));
    let lock = || store.lock().expect("the store");
    (lock().password, lock().scales) = (Some("hunter2"), true);
    block_on(async {
        planner.observe().await.expect("seen");
        planner.observe().await.expect("seen");
        assert_eq!(lock().tokens, 1, "it is kept while it is good");
        for to in ["3P1D", "1P3D"] {
            let plan = planner.propose(split(to), How::Drain).expect("a plan");
            lock().tokens += 1;
            planner.apply(&plan.steps[0].forth.call).await.expect("taken");
            lock().tokens += 1;
            let seen = planner.observe().await.expect("seen");
            assert!(seen.is(split(to)), "{}", seen.account());
        }
        assert_eq!(lock().tokens, 9, "one for each that was forgotten");
        lock().tokens += 1;
        planner.close().await;
    });
    assert_eq!(lock().value("v1/dynamo/planner/decision_id"), None, "it went with the lease");
}

#[test]
fn where_etcd_asks_nobody_who_they_are_a_password_is_sent_once_until_it_does_ask() {
    let (store, mut planner) = etcd_as("2P2D", Some("pdtune:hunter2"));
    let lock = || store.lock().expect("the store");
    let calls = || {
        let store = lock();
        (store.asked, store.tokens)
    };
    block_on(async {
        for _ in 0..2 {
            assert!(planner.observe().await.expect("seen").is(split("2P2D")));
        }
        assert_eq!(calls(), (1, 0));
        lock().password = Some("hunter2");
        planner.observe().await.expect("seen");
    });
    assert_eq!(calls(), (2, 1), "it asks by now");
}

#[test]
fn who_is_not_let_in_is_told_so_for_good_and_without_secrets() {
    let told = |login: Option<&str>, status: Option<u16>| {
        let (store, mut planner) = etcd_as("2P2D", login);
        store.lock().expect("the store").password = Some("swordfish");
        let unseen = block_on(async {
            if status.is_some() {
                planner.observe().await.expect("seen");
                store.lock().expect("the store").status = status;
            }
            planner.observe().await.expect_err("not let in")
        });
        let told = format!("{unseen} {planner:?}");
        for secret in ["hunter2", "swordfish", "sesame"] {
            assert!(!told.contains(secret), "{told}");
        }
        unseen
    };
    let Unseen::Never(why) = told(None, None) else { panic!("it would be waited for") };
    assert!(
        why.contains("/v3/kv/range answered 400: etcdserver: user name is empty\nhint: put USER:PASSWORD"),
        "{why}"
    );
    let Unseen::Never(why) = told(Some("pdtune:hunter2"), None) else { panic!("it would be waited for") };
    assert!(why.ends_with("/v3/auth/authenticate answered 400: etcdserver: authentication failed of \"…\""), "{why}");
    let Unseen::Never(why) = told(Some("pdtune:swordfish"), Some(403)) else { panic!("it would be waited for") };
    assert!(why.contains("answered 403: {}\nhint: the user has to read v1/instances/NAMESPACE/"), "{why}");
    let Unseen::NotYet(why) = told(Some("pdtune:swordfish"), Some(503)) else { panic!("it will come") };
    assert!(why.contains("answered 503: {}"), "{why}");
}

#[test]
fn a_call_that_waits_for_a_token_has_not_been_made() {
    let (store, mut planner) = etcd_as("2P2D", Some("pdtune:hunter2"));
    let lock = || store.lock().expect("the store");
    lock().password = Some("hunter2");
    block_on(async {
        lock().status = Some(503);
        let error = planner.etcd.grant(LEASE).await.expect_err("no token");
        let CallError::NotYet(why) = &error else { panic!("{error:?}") };
        assert!(why.contains("/v3/auth/authenticate: 503: {}"), "{why}");
        planner.etcd.grant(LEASE).await.expect("a lease");
        lock().status = Some(503);
        let error = planner.etcd.grant(LEASE).await.expect_err("nobody knows");
        assert!(matches!(error, CallError::Unclear(_)), "{error:?}");
    });
}

#[test]
fn a_password_that_is_a_word_of_etcds_does_not_hide_what_is_meant() {
    let (store, mut planner) = etcd_as("2P2D", Some("pdtune:token"));
    store.lock().expect("the store").password = Some("token");
    block_on(async {
        planner.observe().await.expect("seen");
        store.lock().expect("the store").tokens += 1;
        planner.observe().await.expect("seen with another one");
    });
}
