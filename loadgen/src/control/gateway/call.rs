//! Calls to the gateway and to the engines behind its workers.

use std::time::Duration;

use engine::units::Role;
use serde_json::{Value, json};

use super::engine::{Answer, Graphs, Started, switch};
use super::workers::{self, Worker};
use crate::control::plane::{CallError, Unseen};
use crate::control::rest::{Failed, KEY_HINT, Rest, wants_key};
use crate::http::{self, ApiKey, HttpAddress, HttpOptions};

/// How long the gateway may take for an answer.
const CALL: Duration = Duration::from_secs(15);
/// How long an engine may take to tell of itself.
const ASK: Duration = Duration::from_secs(5);
/// How long an engine may take to switch. It may capture decode graphs on the way; what it says after that is not heard, and
/// whether it has switched is seen all the same.
const SWITCH: Duration = Duration::from_mins(1);
/// The longest answer that is read.
const LONGEST: usize = 4 << 20;
/// How long a connection is kept.
const IDLE: Duration = Duration::from_secs(4);

/// A worker to be added.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Added {
    pub(super) url: String,
    pub(super) role: Role,
    /// Where decode engines find it; of prefill alone.
    pub(super) bootstrap_port: Option<u16>,
    pub(super) priority: Option<u32>,
    pub(super) cost: Option<f64>,
}

#[derive(Clone, Debug)]
pub(super) struct Api {
    address: HttpAddress,
    gateway: Rest,
    engines: Rest,
    /// What the gateway presents to the workers that it is given.
    worker_key: Option<ApiKey>,
}

impl Api {
    pub(super) fn new(
        address: &HttpAddress,
        key: Option<ApiKey>,
        worker_key: Option<ApiKey>,
        options: &HttpOptions,
    ) -> Result<Self, String> {
        let client = http::client(IDLE, &options.of_controls())?;
        Ok(Self {
            address: address.clone(),
            gateway: Rest::new(client.clone(), key.clone(), LONGEST).telling(worker_key.clone()),
            engines: Rest::new(client, worker_key.clone(), LONGEST).telling(key),
            worker_key,
        })
    }

    /// Every worker.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn workers(&self) -> Result<Vec<Worker>, Unseen> {
        let asked = self.gateway.client().get(self.address.at("/workers"));
        let hint = "hint: is it an SGLang gateway, such as sglang-router or smg?";
        let said = self.gateway.send(asked, CALL).await.map_err(|failed| {
            let hint = match failed {
                Failed::Status(status, _) if wants_key(status) => KEY_HINT.to_owned(),
                Failed::Status(..) => format!("\n{hint}"),
                _ => String::new(),
            };
            let who = format!("{}/workers", self.address);
            self.gateway.unanswered(&who, failed).and(&hint)
        })?;
        workers::read(&said).map_err(|why| {
            Unseen::Never(format!("{}/workers did not answer as an SGLang gateway does: {why}\n{hint}", self.address))
        })
    }

    /// Takes a worker out.
    pub(super) async fn remove(&self, id: &str) -> Result<(), CallError> {
        let request = self.gateway.client().delete(self.address.at(&format!("/workers/{}", segment(id))));
        self.order(self.gateway.send(request, CALL).await)
    }

    /// Puts a worker in.
    pub(super) async fn add(&self, added: &Added) -> Result<(), CallError> {
        let mut body = json!({ "url": added.url, "worker_type": added.role.to_string() });
        let more = [
            ("bootstrap_port", added.bootstrap_port.map(Value::from)),
            ("priority", added.priority.map(Value::from)),
            ("cost", added.cost.map(Value::from)),
            ("api_key", self.worker_key.as_ref().map(|key| key.reveal().into())),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let request = self.gateway.client().post(self.address.at("/workers"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        self.order(self.gateway.send(request, CALL).await)
    }

    fn order(&self, answer: Result<Vec<u8>, Failed>) -> Result<(), CallError> {
        answer.map(|_| ()).map_err(|failed| self.gateway.call_error("the gateway", failed))
    }

    /// How the engine of a worker was started; nothing of one that is no `SGLang`.
    ///
    /// # Errors
    /// One line: why it cannot be asked.
    pub(super) async fn started(&self, url: &str) -> Result<Started, String> {
        match self.server_info(url).await {
            Ok(said) => Ok(Started::read(&said)),
            Err(Failed::Status(status, _)) if status == 404 || status == 405 => Ok(Started::default()),
            Err(failed) => Err(self.engines.unanswered(url, failed).to_string()),
        }
    }

    /// What the decode graphs of the engine at `url` take, if it has some.
    pub(super) async fn graphs(&self, url: &str) -> Option<Graphs> {
        Graphs::of(&self.server_info(url).await.ok()?)
    }

    async fn server_info(&self, url: &str) -> Result<Vec<u8>, Failed> {
        let address = engine_at(url, "/server_info")?;
        self.engines.send(self.engines.client().get(address), ASK).await
    }

    /// The role that an engine has now, where it tells. Changes nothing.
    pub(super) async fn role(&self, url: &str) -> Option<Role> {
        self.would_switch(url, Role::Prefill, None).await.ok()?.old_role()
    }

    /// Whether an engine would switch. Changes nothing.
    ///
    /// # Errors
    /// One line: why it does not say.
    pub(super) async fn would_switch(&self, url: &str, to: Role, graphs: Option<Graphs>) -> Result<Answer, String> {
        match self.ask_to_switch(url, switch(to, graphs, true), ASK).await {
            Ok(answer) => Ok(answer),
            Err(failed) => Err(self.engines.unanswered(url, failed).to_string()),
        }
    }

    /// Has an engine switch.
    pub(super) async fn switch(&self, url: &str, to: Role, graphs: Option<Graphs>) -> Result<(), CallError> {
        match self.ask_to_switch(url, switch(to, graphs, false), SWITCH).await {
            Ok(answer) => answer.outcome(url),
            // A refusal that does not say whether the engine still serves.
            Err(Failed::Status(status, body)) if status == 400 => {
                let said = self.engines.said(status, &body);
                Err(CallError::Broken(format!(
                    "{url} did not switch, and does not say that it can be put back: {said}"
                )))
            }
            Err(failed) => Err(self.engines.call_error(url, failed)),
        }
    }

    async fn ask_to_switch(&self, url: &str, body: Value, time: Duration) -> Result<Answer, Failed> {
        let request = self.engines.client().post(engine_at(url, "/pd_role_switch")?);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let unreadable = || Failed::Unclear("an answer that does not say what became of the switch".to_owned());
        match self.engines.send(request, time).await {
            Ok(said) => Answer::read(&said).ok_or_else(unreadable),
            // A refusal comes with the same body.
            Err(Failed::Status(status, said)) if status == 400 => {
                Answer::read(&said).ok_or(Failed::Status(status, said))
            }
            Err(failed) => Err(failed),
        }
    }
}

/// A path of an engine. Gateways also know workers that do not speak HTTP, and ranks of one worker as `http://HOST:PORT@RANK`.
fn engine_at(url: &str, path: &str) -> Result<String, Failed> {
    let address: Result<HttpAddress, _> = url.parse();
    address.map(|address| address.at(path)).map_err(|_| Failed::Unsendable("it is no plain HTTP address".to_owned()))
}

/// An id as a segment of a path. Gateways make them of letters, digits and dashes.
fn segment(id: &str) -> String {
    id.chars().filter(|each| each.is_ascii_alphanumeric() || *each == '-').collect()
}
