//! A gateway with four workers, answering as sglang-router 0.3.2 or SMG 1.13.0 was seen to; with engines behind.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Flavor;

#[path = "../../../../tests/peers/engine.rs"]
pub(super) mod engine;
#[path = "../../../../tests/peers/http.rs"]
#[expect(dead_code, reason = "a gateway's own answers are no streams")]
mod http;

use engine::{Engine, Rules};
use http::{Reply, Request, serve};

/// Looks that SMG lists a worker as draining for.
const DRAINS: u32 = 3;

/// What becomes of a call that is to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Fine,
    /// 400.
    Refused,
    /// 500, and nothing was done.
    Failed,
    /// Answered, and nothing was done.
    Ignored,
    /// Done, and not answered.
    DoneUnanswered,
    /// Neither.
    Unanswered,
    /// Of a worker that is added: it comes in as regular. Of an engine: it tears.
    Wrong,
}

/// A worker as the gateway has it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) healthy: bool,
    pub(super) load: u64,
    pub(super) bootstrap_port: Option<u16>,
    /// Looks until it is gone, once it drains.
    drains: Option<u32>,
}

#[derive(Debug)]
pub(super) struct State {
    flavor: Flavor,
    url: String,
    next: u32,
    pub(super) workers: Vec<Listed>,
    pub(super) engines: Vec<(String, Rules)>,
    /// Of the next calls; those after are fine.
    pub(super) fates: VecDeque<Fate>,
    /// Every call that was to change something, as `METHOD PATH` and its body.
    pub(super) calls: Vec<(String, Value)>,
    /// The fewest of a role that there ever were.
    pub(super) fewest: usize,
    /// Whether engines tell how they were started.
    pub(super) reticent: bool,
    /// Looks that it fails to answer.
    pub(super) unwell: u32,
    /// Whether engines do not say whether they would switch, as one that is at it.
    pub(super) silent: bool,
}

pub(super) struct Mock {
    pub(super) state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mock {
    /// Two prefill workers, `p0` and `p1`, and two decode workers, `d0` and `d1`.
    pub(super) async fn new(flavor: Flavor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let mut state = State {
            flavor,
            url,
            next: 0,
            workers: Vec::new(),
            engines: Vec::new(),
            fates: VecDeque::new(),
            calls: Vec::new(),
            fewest: usize::MAX,
            reticent: false,
            unwell: 0,
            silent: false,
        };
        for (name, role) in
            [("p0", Engine::Prefill), ("p1", Engine::Prefill), ("d0", Engine::Decode), ("d1", Engine::Decode)]
        {
            let port = (role == Engine::Prefill).then_some(9000);
            state.list(name, role.name(), port);
            state.engines.push((name.to_owned(), Rules::new(role)));
        }
        let state = Arc::new(Mutex::new(state));
        let answering = Arc::clone(&state);
        let task = tokio::spawn(serve(listener, move |request| {
            let state = Arc::clone(&answering);
            async move { state.lock().expect("the state").answer(&request) }
        }));
        Self { state, task }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    pub(super) fn flavor(&self) -> Flavor {
        self.lock().flavor
    }

    pub(super) fn url(&self) -> String {
        self.lock().url.clone()
    }

    /// The workers that are there, as `NAME ROLE`, in order.
    pub(super) fn listed(&self) -> Vec<String> {
        let mut listed: Vec<_> =
            self.lock().workers.iter().map(|worker| format!("{} {}", worker.name, worker.role)).collect();
        listed.sort();
        listed
    }

    /// What was called, in order, without what differs from run to run.
    pub(super) fn called(&self) -> Vec<String> {
        let state = self.lock();
        let path = |call: &str| match call.strip_prefix("DELETE /workers/") {
            Some(_) => "DELETE".to_owned(),
            None => call.to_owned(),
        };
        state.calls.iter().map(|(call, _)| path(call)).collect()
    }
}

impl State {
    fn list(&mut self, name: &str, role: &str, bootstrap_port: Option<u16>) {
        self.next += 1;
        let (id, name, role) = (self.next, name.to_owned(), role.to_owned());
        self.workers.push(Listed { id, name, role, healthy: true, load: 0, bootstrap_port, drains: None });
    }

    pub(super) fn engine(&mut self, name: &str) -> &mut Rules {
        &mut self.engines.iter_mut().find(|(known, _)| known == name).expect("an engine").1
    }

    /// Somebody else puts a worker in.
    pub(super) fn put(&mut self, name: &str, role: &str) {
        self.list(name, role, None);
    }

    /// Somebody else takes a worker out.
    pub(super) fn drop_worker(&mut self, name: &str) {
        self.workers.retain(|worker| worker.name != name);
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let Request { method, path, body } = request;
        let words: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), words.as_slice()) {
            ("GET", ["workers"]) if self.unwell > 0 => {
                self.unwell -= 1;
                Reply::Whole(503, json!({"error": "not now"}))
            }
            ("GET", ["workers"]) => self.workers(),
            ("GET", [_, "server_info"]) if self.reticent => Reply::Whole(404, json!({})),
            ("GET", [name, "server_info"]) => Reply::Whole(200, self.engine(name).server_info(8998)),
            ("POST", [_, "pd_role_switch"]) if body["prepare_only"] == true && self.silent => Reply::Nothing,
            ("POST", [name, "pd_role_switch"]) if body["prepare_only"] == true => {
                let (status, answer) = self.engine(name).switch(body);
                Reply::Whole(status, answer)
            }
            _ => {
                self.calls.push((format!("{method} {path}"), body.clone()));
                let fate = self.fates.pop_front().unwrap_or(Fate::Fine);
                match fate {
                    Fate::Refused => {
                        return Reply::Whole(
                            400,
                            json!({
                                "error": format!("not today{}", body["api_key"].as_str().unwrap_or_default()), "success": false,
                                "message": "not today", "safe_to_restore": true,
                            }),
                        );
                    }
                    Fate::Failed => return Reply::Whole(500, json!({"error": "oh"})),
                    Fate::Ignored if words.len() == 2 && words[1] == "pd_role_switch" => {
                        self.engine(words[0]).lies = true;
                    }
                    Fate::Ignored => return Reply::Whole(202, json!({"status": "accepted"})),
                    Fate::Unanswered => return Reply::Nothing,
                    Fate::Wrong | Fate::Fine | Fate::DoneUnanswered => {}
                }
                let reply = self.change(method, &words, body, fate);
                if fate == Fate::DoneUnanswered { Reply::Nothing } else { reply }
            }
        }
    }

    fn workers(&mut self) -> Reply {
        for worker in &mut self.workers {
            worker.drains = worker.drains.map(|left| left.saturating_sub(1));
        }
        self.workers.retain(|worker| worker.drains != Some(0));
        let workers = self.workers.iter().map(|worker| {
            let mut told = json!({
                "id": worker.id.to_string(), "url": format!("{}/{}", self.url, worker.name), "worker_type": worker.role,
                "is_healthy": worker.healthy && worker.drains.is_none(), "load": worker.load, "priority": 50, "cost": 1.0,
            });
            if let Some(port) = worker.bootstrap_port {
                told["bootstrap_port"] = json!(port);
            }
            if self.flavor == Flavor::Smg {
                let status = if worker.drains.is_some() { "draining" } else if worker.healthy { "ready" } else { "not_ready" };
                told["status"] = json!(status);
            }
            told
        });
        Reply::Whole(200, json!({"workers": workers.collect::<Vec<_>>()}))
    }

    fn change(&mut self, method: &str, words: &[&str], body: &Value, fate: Fate) -> Reply {
        let accepted = || Reply::Whole(202, json!({"status": "accepted"}));
        match (method, words) {
            ("DELETE", ["workers", id]) => {
                let Some(at) = self.workers.iter().position(|worker| worker.id.to_string() == *id) else {
                    return Reply::Whole(404, json!({"error": "no", "code": "WORKER_NOT_FOUND"}));
                };
                if self.flavor == Flavor::Smg {
                    self.workers[at].drains = Some(DRAINS);
                } else {
                    self.workers.remove(at);
                }
                for role in ["prefill", "decode"] {
                    let left =
                        self.workers.iter().filter(|worker| worker.role == role && worker.drains.is_none()).count();
                    self.fewest = self.fewest.min(left);
                }
                accepted()
            }
            ("POST", ["workers"]) => {
                let url = body["url"].as_str().unwrap_or_default();
                let name = url.rsplit('/').next().unwrap_or_default().to_owned();
                let there = self.workers.iter().any(|worker| worker.name == name);
                let role = body["worker_type"].as_str().unwrap_or_default();
                let known = ["regular", "prefill", "decode"].contains(&role);
                match self.flavor {
                    Flavor::Smg if there => {
                        return Reply::Whole(409, json!({"error": "it is there", "code": "WORKER_ALREADY_EXISTS"}));
                    }
                    Flavor::Smg if !known => return Reply::Whole(400, json!({"error": "unknown variant"})),
                    Flavor::Sglang if there => return accepted(),
                    _ => {}
                }
                let role = if known && fate != Fate::Wrong { role } else { "regular" }.to_owned();
                let port = body["bootstrap_port"].as_u64().and_then(|port| u16::try_from(port).ok());
                self.list(&name, &role, port);
                accepted()
            }
            ("POST", [name, "pd_role_switch"]) => {
                let rules = self.engine(name);
                rules.tears = fate == Fate::Wrong;
                let (status, answer) = rules.switch(body);
                Reply::Whole(status, answer)
            }
            _ => Reply::Whole(405, json!({"error": "no"})),
        }
    }
}
