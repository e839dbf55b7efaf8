//! Workers for real SGLang gateways, without a model: their roles, their streams, the hand-off between them and the rules of
//! switching are an engine's; their tokens are not.
//!
//! `sglang_worker prefill prefill decode decode` starts one for each word, on free ports of the loopback, and prints a line of
//! `ROLE URL BOOTSTRAP_PORT` for each. It ends when its standard input does.
//!
//! A gateway sends every request to a prefill and to a decode worker alike, with the number of a room where they meet. A prefill
//! worker computes its prompts one after another, and leaves them in their room; a decode worker waits for that, and streams.
//! What faults are asked for by `POST /fault`: `{"tears": true}`, `{"lies": true}`, `{"headroom_gb": 0.5}`, and `{"silent": true}`, to
//! switch and not to answer.

#![expect(clippy::print_stdout, reason = "what starts it reads where the workers are")]

mod engine;
mod http;

use std::collections::HashMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use engine::{Engine, Rules};
use http::{Reply, Request, serve};

/// What a token of a prompt takes, and a step of decoding, by itself and for each sequence in it.
const PROMPT_TOKEN: Duration = Duration::from_micros(50);
const STEP: Duration = Duration::from_millis(5);
const STEP_OF_EACH: Duration = Duration::from_micros(300);
/// What a switch takes.
const SWITCH: Duration = Duration::from_millis(200);
/// How long a decode worker waits for its prompt.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where prompts are left for those who go on with them.
type Rooms = Arc<Mutex<HashMap<u64, Arc<Notify>>>>;

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn room(rooms: &Rooms, number: u64) -> Arc<Notify> {
    Arc::clone(lock(rooms).entry(number).or_default())
}

struct Worker {
    rules: Mutex<Rules>,
    bootstrap_port: u16,
    rooms: Rooms,
    /// The next switch is made and not answered.
    silent: AtomicBool,
    /// One prompt is computed at a time.
    prompts: tokio::sync::Mutex<()>,
}

/// A request that the engine holds.
struct Held(Arc<Worker>);

impl Held {
    fn new(worker: &Arc<Worker>) -> Self {
        lock(&worker.rules).held += 1;
        Self(Arc::clone(worker))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.0.rules).held -= 1;
    }
}

async fn handle(worker: Arc<Worker>, Request { method, path, body }: Request) -> Reply {
    let rules = || lock(&worker.rules);
    match (method.as_str(), path.split('?').next().unwrap_or_default()) {
        ("GET", "/health" | "/health_generate") if rules().unhealthy => Reply::Whole(503, json!({})),
        ("GET", "/health" | "/health_generate") => Reply::Whole(200, json!({})),
        ("GET", "/v1/models") => {
            let model = json!({"id": "tiny", "object": "model", "owned_by": "nobody", "max_model_len": 32768});
            Reply::Whole(200, json!({"object": "list", "data": [model]}))
        }
        ("GET", "/server_info" | "/get_server_info") => Reply::Whole(200, rules().server_info(worker.bootstrap_port)),
        ("GET", "/model_info" | "/get_model_info") => {
            Reply::Whole(200, json!({"model_path": "tiny", "is_generation": true}))
        }
        ("GET", "/version") => Reply::Whole(200, json!({"version": "0.5.23"})),
        ("GET", "/v1/loads") => {
            let loads = json!([{"dp_rank": 0, "num_running_reqs": rules().held, "num_waiting_reqs": 0}]);
            Reply::Whole(200, json!({"loads": loads}))
        }
        ("POST", "/pd_role_switch") => {
            if body["prepare_only"] != true {
                sleep(SWITCH).await;
            }
            let (status, answer) = rules().switch(&body);
            let silent = body["prepare_only"] != true && worker.silent.swap(false, Ordering::Relaxed);
            if silent { Reply::Nothing } else { Reply::Whole(status, answer) }
        }
        ("POST", "/fault") => {
            worker.silent.store(body["silent"] == true, Ordering::Relaxed);
            let mut rules = rules();
            rules.tears = body["tears"] == true;
            rules.lies = body["lies"] == true;
            rules.headroom_gb = body["headroom_gb"].as_f64().unwrap_or(rules.headroom_gb);
            Reply::Whole(200, json!({}))
        }
        ("POST", path @ ("/v1/completions" | "/v1/chat/completions")) => answer(&worker, path, &body).await,
        _ => Reply::Whole(404, json!({"error": {"message": "there is no such path"}})),
    }
}

/// The leg of a request that is this worker's, by the role that it has now.
async fn answer(worker: &Arc<Worker>, path: &str, asked: &Value) -> Reply {
    let held = Held::new(worker);
    let role = lock(&worker.rules).role;
    let meeting = asked["bootstrap_room"].as_u64().map(|number| (number, room(&worker.rooms, number)));
    let prompt = tokens_of(asked);
    let wanted = asked["max_tokens"].as_u64().or(asked["max_completion_tokens"].as_u64()).unwrap_or(16);
    if role == Engine::Prefill {
        let turn = worker.prompts.lock().await;
        sleep(PROMPT_TOKEN * u32::try_from(prompt).unwrap_or(u32::MAX)).await;
        drop(turn);
        if let Some((_, room)) = &meeting {
            // Kept for whoever waits there later.
            room.notify_one();
        }
    } else if let Some((number, room)) = &meeting {
        let came = timeout(PATIENCE, room.notified()).await;
        lock(&worker.rooms).remove(number);
        if came.is_err() {
            return Reply::Whole(500, json!({"error": {"message": "the prompt never came"}}));
        }
    }
    // A prefill engine ends with the first token.
    let count = if role == Engine::Prefill { 1 } else { wanted };
    let (events, stream) = mpsc::channel(16);
    let (chat, usage) =
        (path.ends_with("chat/completions"), json!({"prompt_tokens": prompt, "completion_tokens": count}));
    let pieces = (0..count).map(move |number| piece(chat, number + 1 == count));
    if asked["stream"] != true {
        let choices = json!([{"index": 0, "text": " t", "finish_reason": "length"}]);
        return Reply::Whole(
            200,
            json!({"id": "x", "object": "text_completion", "model": "tiny", "choices": choices, "usage": usage}),
        );
    }
    let worker = Arc::clone(worker);
    tokio::spawn(async move {
        let _held = held;
        for piece in pieces {
            let sequences = u32::try_from(lock(&worker.rules).held).unwrap_or(u32::MAX);
            sleep(STEP + STEP_OF_EACH * sequences).await;
            if events.send(piece).await.is_err() {
                return;
            }
        }
        let end = json!({"id": "x", "model": "tiny", "object": "text_completion", "choices": [], "usage": usage});
        for last in [end.to_string(), "[DONE]".to_owned()] {
            let _ = events.send(last).await;
        }
    });
    Reply::Events(stream)
}

/// A word of a text is a token.
fn tokens_of(asked: &Value) -> usize {
    match (&asked["prompt"], &asked["messages"]) {
        (Value::Array(ids), _) => ids.len(),
        (Value::String(text), _) => text.split_whitespace().count(),
        (_, Value::Array(messages)) => {
            let words = |message: &Value| message["content"].as_str().unwrap_or_default().split_whitespace().count();
            messages.iter().map(words).sum()
        }
        _ => 0,
    }
}

fn piece(chat: bool, last: bool) -> String {
    let reason = last.then_some("length");
    let (kind, choice) = if chat {
        ("chat.completion.chunk", json!({"index": 0, "delta": {"content": " t"}, "finish_reason": reason}))
    } else {
        ("text_completion", json!({"index": 0, "text": " t", "finish_reason": reason}))
    };
    json!({"id": "x", "object": kind, "model": "tiny", "choices": [choice]}).to_string()
}

/// A listener on a free port, and that port.
async fn listener() -> std::io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let rooms = Rooms::default();
    for role in std::env::args().skip(1).filter_map(|word| Engine::read(&word)) {
        let (address, port) = listener().await?;
        // Real engines meet there; here nobody connects, but the port is the worker's own.
        let (bootstrap, bootstrap_port) = listener().await?;
        let rules = Mutex::new(Rules::new(role));
        let worker = Arc::new(Worker {
            rules,
            bootstrap_port,
            rooms: Arc::clone(&rooms),
            silent: AtomicBool::new(false),
            prompts: tokio::sync::Mutex::default(),
        });
        tokio::spawn(async move {
            let _bootstrap = bootstrap;
            serve(address, move |request| handle(Arc::clone(&worker), request)).await;
        });
        println!("{} http://127.0.0.1:{port} {bootstrap_port}", role.name());
    }
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let _ = ended.await;
    Ok(())
}
