//! The control of an engine behind a real server: what it sees, what it moves, and what it tells.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken, How, Transfer, UnitState};
use engine::drive::wall::{Pace, WallConfig, WallEngine};
use engine::executor::{Executor, ExecutorError, Sampled, Sampling, StepInput};
use engine::model::{ModelText, Tokenizer};
use engine::remote::{RemoteAddress, RemoteConfig};
use engine::serve::ServedModel;
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::hub::{End, Generation, Hub, HubConfig, Part};
use engine::units::{Role, Split};
use loadgen::clock::RunClock;
use loadgen::control::grpc::{GrpcControl, Listener};
use loadgen::target::{Control, TargetEvent};
use loadgen::time::Micros;
use tokio::runtime::{Builder, Runtime};

/// Longer than anything takes: a test that would hang fails instead.
const HANG: Duration = Duration::from_mins(1);

struct Idle;

impl Executor for Idle {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        let wanted = input.plan.sequences.iter().filter(|sequence| sequence.sample);
        sampled.extend(wanted.map(|_| Sampled { token: 1, logits_digest: 0 }));
        Ok(())
    }

    fn import(&mut self, _: &Transfer, _: Range<u32>) -> Result<(), ExecutorError> {
        Ok(())
    }
}

/// Keeps what it is told.
#[derive(Clone)]
struct Told {
    clock: RunClock,
    events: Arc<(Mutex<Vec<TargetEvent>>, Condvar)>,
}

impl Told {
    fn new() -> Self {
        Self { clock: RunClock::start(), events: Arc::default() }
    }

    /// Everything that was told, once `is_enough` of it.
    fn until(&self, is_enough: impl Fn(&[TargetEvent]) -> bool) -> Vec<TargetEvent> {
        let (events, bell) = &*self.events;
        let wait = bell.wait_timeout_while(events.lock().unwrap(), HANG, |events| !is_enough(events)).unwrap();
        assert!(!wait.1.timed_out(), "{:?}", wait.0);
        wait.0.clone()
    }
}

impl Listener for Told {
    async fn tell(&self, events: &mut Vec<TargetEvent>) {
        let (told, bell) = &*self.events;
        told.lock().unwrap().append(events);
        bell.notify_all();
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }
}

fn hub() -> Hub {
    let limits = BatchLimits { tokens: 64, sequences: 32 };
    let cluster = ClusterConfig {
        block_tokens: 16,
        blocks_per_unit: 1024,
        max_context: 1024,
        prefill: limits,
        decode: limits,
        aggregated: limits,
        watermark_permille: 20,
        prefix_cache: true,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    };
    let split = split("2P2D");
    let (pace, inbox_limit, request_limit, event_limit) = (Pace::Unbounded, 64, 64, 4096);
    let config = WallConfig { cluster, split, pace, inbox_limit, request_limit, event_limit };
    let executors = (0..4).map(|_| Box::new(Idle) as Box<dyn Executor>).collect();
    let (engine, reader) = WallEngine::start(config, executors).expect("an engine");
    Hub::start(engine, reader, HubConfig::new(1024, 300)).expect("a hub")
}

/// A server on a runtime of its own; it ends with that.
fn serve(hub: &Hub) -> (RemoteAddress, Runtime) {
    let text = Arc::new(ModelText { tokenizer: Tokenizer::bytes(300), chat_template: None, eos: Vec::new() });
    let model = ServedModel { name: "idle".to_owned(), text, context_tokens: 1024, kv_block_bytes: 1 };
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let server = {
        let _within = runtime.enter();
        GrpcServer::bind("127.0.0.1:0".parse().expect("an address"), GrpcConfig::default()).expect("a port")
    };
    let (address, hub) = (format!("grpc://{}", server.address()), hub.clone());
    runtime.spawn(async move { server.run(hub, &model, std::future::pending()).await });
    (address.parse().expect("an address"), runtime)
}

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

fn has_ended(events: &[TargetEvent]) -> bool {
    events.iter().any(|event| matches!(event, TargetEvent::ShiftEnded { .. }))
}

#[test]
fn a_shift_is_told_from_its_start_to_its_end_and_then_seen() {
    let hub = hub();
    let (address, _runtime) = serve(&hub);
    let told = Told::new();
    let (control, first) = GrpcControl::open(address, RemoteConfig::default(), told.clone()).expect("a control");
    assert_eq!((first.model.as_str(), first.observed.split), ("idle", split("2P2D")));
    assert_eq!(control.observe().split, split("2P2D"));
    let before = told.now();
    control.shift(split("1P3D"), How::Drain).expect("a shift");
    let events = told.until(has_ended);
    let mut states = Vec::new();
    let mut last = Micros::ZERO;
    for event in &events {
        let (TargetEvent::Unit { at, .. } | TargetEvent::ShiftStarted { at, .. } | TargetEvent::ShiftEnded { at, .. }) =
            event
        else {
            panic!("{event:?}")
        };
        // On the run's clock; the server's is known to within the time that an answer takes.
        assert!(*at >= last && *at <= told.now() && at.0 + 1_000_000 > before.0, "{event:?}");
        last = *at;
        if let TargetEvent::Unit { role, state, .. } = event {
            states.push((*role, *state));
        }
    }
    assert!(matches!(events[0], TargetEvent::ShiftStarted { to, how: How::Drain, .. } if to == split("1P3D")));
    let path = [
        (Role::Prefill, UnitState::Draining { left: 0 }),
        (Role::Prefill, UnitState::Switching),
        (Role::Prefill, UnitState::Warming),
        (Role::Decode, UnitState::Serving),
    ];
    assert_eq!(states, path);
    // The next look shows it.
    let seen = (0..100_000_000).find_map(|_| {
        std::thread::yield_now();
        Some(control.observe()).filter(|view| view.split == split("1P3D"))
    });
    assert_eq!(seen.expect("it is looked at twice a second").units.len(), 4);
}

#[test]
fn a_refusal_is_in_the_servers_words() {
    let hub = hub();
    let (address, _runtime) = serve(&hub);
    let (control, _) = GrpcControl::open(address, RemoteConfig::default(), Told::new()).expect("a control");
    let why = control.shift(split("5P5D"), How::Drain).expect_err("there are four units");
    assert_eq!(why, "split 5P5D has 10 units, 4 are serving");
}

#[test]
fn figures_are_rates_between_two_looks() {
    let hub = hub();
    let (address, runtime) = serve(&hub);
    let (control, _) = GrpcControl::open(address, RemoteConfig::default(), Told::new()).expect("a control");
    assert!(control.observe().units.iter().all(|unit| unit.output_tps <= 0.0));
    let generation = Generation {
        prompt: [7; 40].into(),
        output_tokens: 20,
        sampling: Sampling::Greedy,
        stop: Arc::default(),
        logprobs: None,
    };
    let mut answer = hub.generate(vec![generation]).expect("room").pop().expect("an answer");
    runtime.block_on(async { while !matches!(answer.next().await, Some(Part::End(End::Finished(_)))) {} });
    let seen = (0..100_000_000).find_map(|_| {
        std::thread::yield_now();
        Some(control.observe()).filter(|view| view.units.iter().any(|unit| unit.output_tps > 0.0))
    });
    let units = seen.expect("it is looked at twice a second").units;
    assert!(units.iter().all(|unit| unit.output_tps.is_finite() && (0.0..=1.0).contains(&unit.busy)));
    assert_eq!(units.len(), 4);
}

#[test]
fn an_engine_that_is_not_there_is_an_error_at_once() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let address = format!("grpc://{address}").parse().expect("an address");
    let error = GrpcControl::open(address, RemoteConfig::default(), Told::new()).expect_err("nobody is there");
    assert!(error.to_string().contains("cannot connect to grpc://127.0.0.1:"), "{error}");
}

#[test]
fn a_control_whose_server_has_gone_says_so_and_keeps_what_it_saw() {
    let hub = hub();
    let (address, runtime) = serve(&hub);
    let (control, _) = GrpcControl::open(address, RemoteConfig::default(), Told::new()).expect("a control");
    drop(runtime);
    let why = control.shift(split("1P3D"), How::Drain).expect_err("nobody is there");
    assert!(why.contains("grpc://127.0.0.1:"), "{why}");
    assert_eq!(control.observe().split, split("2P2D"));
}
