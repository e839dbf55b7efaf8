//! A dashboard in this process that answers as that of Ray 2.60 does, and shifts that go by way of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::control::conduct::{Conduct, Turn};
use crate::control::prepare::prepared;
use crate::target::TargetEvent;
use crate::time::Micros;

/// What becomes of a PUT.
pub(super) enum Fate {
    /// It is answered by this text, and nothing has changed.
    Refused(u16, &'static str),
    /// It is answered by 200 and no body, and the application fails with this message: then nothing is told of its deployments.
    Fails(&'static str),
    /// The same, and a deployment fails with this message, its replicas being as they were.
    Ill(&'static str, &'static str),
}

pub(super) struct State {
    /// How many replicas each deployment is to have.
    pub(super) targets: BTreeMap<String, u64>,
    /// Of the next PUTs; those after are fine.
    pub(super) fates: VecDeque<Fate>,
    /// What each PUT has asked for.
    pub(super) put: Vec<String>,
    failed: Option<&'static str>,
    ill: Option<(&'static str, &'static str)>,
}

pub(super) struct Dashboard {
    state: Arc<Mutex<State>>,
    url: String,
    task: JoinHandle<()>,
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Dashboard {
    /// Two replicas of each role; PUTs have these fates.
    pub(super) async fn new(fates: impl IntoIterator<Item = Fate>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let targets = ["Prefill:tiny", "Decode:tiny"].map(|name| (name.to_owned(), 2)).into();
        let fates = fates.into_iter().collect();
        let state = Arc::new(Mutex::new(State { targets, fates, put: Vec::new(), failed: None, ill: None }));
        let answering = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&answering)));
            }
        });
        Self { state, url, task }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the state")
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn ray(&self) -> Ray {
        let address: RayAddress = format!("ray+{}", self.url).parse().expect("an address");
        Ray::new(&address, RayNames::default(), None, &HttpOptions::default()).expect("a client")
    }
}

impl State {
    fn instance(&self) -> Value {
        let mut told = instance();
        let listed: Vec<_> =
            self.targets.iter().map(|(name, target)| json!({"name": name, "num_replicas": target})).collect();
        let pd = &mut told["applications"]["pd"];
        pd["deployed_app_config"]["deployments"] = listed.into();
        if let Some(message) = self.failed {
            (pd["status"], pd["message"], pd["deployments"]) = (json!("DEPLOY_FAILED"), json!(message), json!({}));
            return told;
        }
        for (name, target) in &self.targets {
            let replicas: Vec<_> = (0..*target).map(|id| replica(&format!("r{id}"), "RUNNING")).collect();
            pd["deployments"][name] = deployment(u32::try_from(*target).expect("few"), &replicas);
        }
        if let Some((name, message)) = self.ill {
            let ill = &mut pd["deployments"][name];
            (ill["status"], ill["message"]) = (json!("DEPLOY_FAILED"), json!(message));
            // The one that was to come never does.
            ill["replicas"].as_array_mut().expect("replicas").pop();
        }
        told
    }

    fn put(&mut self, body: &Value) -> (u16, String) {
        let listed = body["applications"][0]["deployments"].as_array().expect("deployments");
        let wanted = |entry: &Value| {
            (entry["name"].as_str().expect("a name").to_owned(), entry["num_replicas"].as_u64().expect("a number"))
        };
        let targets: BTreeMap<_, _> = listed.iter().map(wanted).collect();
        self.put.push(format!("{}P{}D", targets["Prefill:tiny"], targets["Decode:tiny"]));
        let fate = self.fates.pop_front();
        if let Some(Fate::Refused(status, text)) = fate {
            return (status, text.to_owned());
        }
        (self.targets, self.failed, self.ill) = (targets, None, None);
        match fate {
            Some(Fate::Fails(message)) => self.failed = Some(message),
            Some(Fate::Ill(name, message)) => self.ill = Some((name, message)),
            _ => {}
        }
        (200, String::new())
    }
}

async fn talk(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).ok()?.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.ok()?;
        let (status, text) = match head.split_whitespace().next()? {
            "put" => state.lock().ok()?.put(&serde_json::from_slice(&body).ok()?),
            _ => (200, state.lock().ok()?.instance().to_string()),
        };
        let kind = if status == 200 { "application/json" } else { "text/plain; charset=utf-8" };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", text.len());
        stream.write_all((head + &text).as_bytes()).await.ok()?;
    }
}

/// Why a shift was given up, if it was; a second from look to look.
pub(super) async fn shift(ray: &mut Ray, to: &str) -> Option<String> {
    let first = ray.observe().await.expect("replicas");
    let plan = prepared(ray, &first, split(to), How::Drain).expect("a plan");
    let mut conduct = Conduct::new(first, Duration::from_mins(2), Micros::ZERO);
    conduct.accept(split(to), How::Drain, Micros::ZERO);
    let order = conduct.take_next().expect("its turn");
    let mut turn = conduct.begin(order, plan, Micros::ZERO);
    for look in 1..600 {
        let now = Micros(look * 1_000_000);
        loop {
            let Turn { events, call } = turn;
            for event in events {
                if let TargetEvent::ShiftEnded { report, .. } = event {
                    return report.abandoned;
                }
            }
            let Some(action) = call else { break };
            let answer = ray.apply(&action.call).await;
            turn = conduct.answered(answer, now);
        }
        turn = conduct.saw(ray.observe().await.expect("replicas"), now);
    }
    panic!("the shift has no end")
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// As Ray 2.60 answers a number that is not to be had, from its own check of what is stated.
const INVALID: &str = "2 validation errors for ServeDeploySchema\napplications.0.deployments.0.num_replicas.constrained-int\n  Input should be greater than 0 [type=greater_than, input_value=0, input_type=int]\n    For further information visit https://errors.pydantic.dev/2.14/v/greater_than\napplications.0.deployments.0.num_replicas.str\n  Input should be a valid string [type=string_type, input_value=0, input_type=int]\n    For further information visit https://errors.pydantic.dev/2.14/v/string_type";
/// And what its controller has thrown.
const THROWN: &str = "\u{1b}[36mray::ServeController.deploy_applications()\u{1b}[39m (pid=4711, ip=192.0.2.2, actor_id=5f, repr=<ray.serve._private.controller.ServeController object>)\n  File \"/usr/lib/python3/site-packages/ray/serve/_private/controller.py\", line 1\n    raise ValueError(\nValueError: The route prefix / is taken by another application.\n";

#[test]
fn a_put_that_ray_refuses_is_told_with_its_own_words_and_has_changed_nothing() {
    block_on(async {
        let dashboard = Dashboard::new([Fate::Refused(400, INVALID), Fate::Refused(400, THROWN)]).await;
        let mut ray = dashboard.ray();
        let why = shift(&mut ray, "3P1D").await.expect("given up");
        let said = format!(
            "Ray at {} refused it with 400: 2 validation errors for ServeDeploySchema applications.0.deployments.0.num_replicas.constrained-int Input should be greater than 0 [type=greater_than, ",
            dashboard.url()
        );
        assert!(why.starts_with(&said) && !why.contains('\n'), "{why}");
        let plan = ray.propose(split("3P1D"), How::Drain).expect("a plan");
        let error = ray.apply(&plan.steps[0].forth.call).await.expect_err("refused");
        let said = format!(
            "Ray at {} refused it with 400: ValueError: The route prefix / is taken by another application.",
            dashboard.url()
        );
        assert_eq!(error, CallError::Refused(said));
        let state = dashboard.lock();
        assert_eq!(
            (state.put.as_slice(), state.targets["Decode:tiny"]),
            (&["2P1D".to_owned(), "2P1D".to_owned()][..], 2)
        );
    });
}

#[test]
fn an_application_that_fails_after_its_put_is_told_as_ray_says_it_and_repaired() {
    block_on(async {
        let message = "ValueError: Deployment 'Prefil:typo' does not exist. Available: ['Decode:tiny', 'OpenAiIngress', 'Prefill:tiny']";
        let dashboard = Dashboard::new([Fate::Fails(message)]).await;
        let why = shift(&mut dashboard.ray(), "3P1D").await.expect("given up");
        assert_eq!(why, format!("Ray says DEPLOY_FAILED: {message}; rolled back to 2P2D"));
        let state = dashboard.lock();
        assert_eq!(state.put, ["2P1D", "2P2D"], "what was answered by 200 is undone");
        assert_eq!(state.failed, None);
    });
}

#[test]
fn a_deployment_that_fails_in_mid_shift_is_told_as_ray_says_it_and_rolled_back() {
    block_on(async {
        let message = "The deployment failed to start 3 times in a row. This may be due to a problem with its constructor or initial health check failing. See controller logs for details. Error:\n\u{1b}[36mray::ServeReplica:pd:Prefill:tiny.initialize_and_get_metadata()\u{1b}[39m (pid=7, ip=192.0.2.2)\n  File \"/usr/lib/python3/site-packages/ray/serve/_private/replica.py\", line 1\n    raise RuntimeError(\nRuntimeError: Engine core initialization failed.";
        let dashboard = Dashboard::new([Fate::Ill("Decode:tiny", message)]).await;
        let why = shift(&mut dashboard.ray(), "2P3D").await.expect("given up");
        let said = "Ray says that Decode:tiny is DEPLOY_FAILED: The deployment failed to start 3 times in a row: RuntimeError: Engine core initialization failed.";
        assert_eq!(why, format!("{said}; rolled back to 2P2D"));
        assert_eq!(dashboard.lock().put, ["2P3D", "2P2D"]);
    });
}
